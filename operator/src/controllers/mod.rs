//! One folder per kind: observe -> validate -> plan -> apply -> status. Kinds do not import each other: they meet in spec and status.
//!
//! - [`allowed_images`]: the list that the admission policy reads.
//! - [`batch`]: waiting a moment, so that many changes become one commit.
//! - [`commit_statuses`]: what the forge is told of builds.
//! - [`context`]: what every reconcile is given.
//! - [`hints`]: what the hooks of forges and registries ask for.
//! - [`lag`]: caches that have not yet seen what woke us.
//! - [`access`]: from a SourceRepository and its Secrets to a Git remote and a registry client.
//! - [`pods`]: which of our images run, and whether they may.
//! - [`problem`]: what keeps an object from its goal, in the words of its condition.
//! - [`publish`]: status and events, written on change only.
//! - [`secrets`]: Secrets that were read a moment ago.
//! - [`source`]: how a ContainerImage finds its SourceRepository.
//! - [`tags`]: which tags an image has in the registry.
//! - [`turns`]: which builds may run, and which wait.

pub mod access;
pub mod allowed_images;
pub mod batch;
pub mod commit_statuses;
pub mod container_image;
pub mod context;
pub mod hints;
pub mod image_build;
pub mod lag;
pub mod looks;
pub mod manifest_pin;
pub mod pods;
pub mod problem;
pub mod publish;
pub mod secrets;
pub mod source;
pub mod source_repository;
pub mod tags;
pub mod turns;
