//! The only place that touches the world.
//!
//! - [`call`]: the one layer that every call passes: site name, deadline, metric, class of error.
//! - [`cluster`]: the API server; [`watch`]: what happens in it; [`workloads`]: what runs in it. [`git`]: the clones. [`registry`]: tags and images. [`forge`]: pull requests.

pub mod authorities;
pub mod call;
pub mod cluster;
pub mod forge;
pub mod git;
pub mod registry;
pub mod watch;
pub mod workloads;
