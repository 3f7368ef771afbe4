//! The only place that touches the world.

pub mod git;
pub mod registry;
