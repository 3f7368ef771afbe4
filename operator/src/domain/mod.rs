//! Words of our trade, pure: no client, clock or async here.

pub mod allowed;
pub mod backoff;
pub mod build;
pub mod class;
pub mod commit_status;
pub mod condition;
pub mod duration;
pub mod graph;
pub mod hook;
pub mod message;
pub mod name;
mod nix;
pub mod nixpkgs;
pub mod node;
pub mod pin;
pub mod progress;
pub mod quantity;
pub mod queue;
pub mod report;
pub mod scrub;
pub mod selection;
pub mod tag;
pub mod template;
pub mod version;
