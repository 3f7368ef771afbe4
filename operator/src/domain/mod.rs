//! Words of our trade, pure: no client, clock or async here.

pub mod report;
