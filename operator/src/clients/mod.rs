//! The only place that touches the world.
//!
//! - [`call`]: the one layer that every call passes: site name, deadline, metric, class of error.
//! - [`cluster`]: the API server. [`git`]: the clones. [`registry`]: tags and images.

pub mod call;
pub mod cluster;
pub mod git;
pub mod registry;
