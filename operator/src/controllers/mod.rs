//! One folder per kind: observe -> validate -> plan -> apply -> status. Kinds do not import each other: they meet in spec and status.
//!
//! - [`context`]: what every reconcile is given.
//! - [`access`]: from a SourceRepository and its Secrets to a Git remote and a registry client.
//! - [`problem`]: what keeps an object from its goal, in the words of its condition.
//! - [`publish`]: status and events, written on change only.
//! - [`source`]: how a ContainerImage finds its SourceRepository.

pub mod access;
pub mod container_image;
pub mod context;
pub mod image_build;
pub mod problem;
pub mod publish;
pub mod source;
pub mod source_repository;
