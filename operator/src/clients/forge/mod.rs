//! The forge: pull requests and commit statuses of one repository over REST, for Gitea and Forgejo (one API) and for GitHub.
//!
//! - [`Address`]: which forge a repository URL means, and where its API is.
//! - [`Forge`]: find, open, update and close pull requests; read and write commit statuses.

mod address;
mod client;
mod error;
mod pulls;
mod statuses;

pub use address::{Address, ForgeKind};
pub use client::{Forge, Settings};
pub use error::ForgeError;
pub use pulls::{PullRequest, State};
pub use statuses::CommitStatus;
