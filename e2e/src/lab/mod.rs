//! The lab: a real single-node Kubernetes with a registry, a forge and Argo CD, and how a story talks to it.
//!
//! A story calls [`Lab::connect`] and gets a cluster, a registry and a forge, and Argo CD in the cluster: those of the lab that `cargo lab up`
//! started, or, when `MAINSTAY_E2E_KUBECONFIG` is set, ones you already have. [`machine`] is what starts the lab.

pub mod address;
pub mod argocd;
pub mod audit;
mod connect;
pub mod door;
mod error;
pub mod forge;
pub mod image;
pub mod machine;
pub mod paths;
pub mod registry;
pub mod state;

pub use connect::Lab;
pub use error::{Context, Error, Result};
