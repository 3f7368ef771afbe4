//! Stories against a real, throw-away Kubernetes, and the lab that makes one on a bare machine.
//!
//! - [`lab`]: the cluster, the registry and the forge, and how they are started.
//! - [`guide`]: what is in a page of the docs that a machine can judge.
//! - [`journey`]: from a pull request to a running pod, as `make demo` shows it.
//! - [`operator`]: Mainstay itself, installed from the chart.
//! - [`sample`]: the sample repository, pushed and watched as it is built.
//! - [`patterns`]: how each container of it shows that it runs.
//! - [`world`]: a namespace with a repository of its own, in which one story is told.

pub mod guide;
pub mod journey;
pub mod lab;
pub mod operator;
pub mod patterns;
pub mod sample;
pub mod world;
