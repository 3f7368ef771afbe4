//! Git: one bare clone per SourceRepository, heads only, no work tree, no hooks, no submodules (design section 4.1).
//!
//! - [`Store`]: the clones; fetches, and answers what the controllers ask, off the async threads.
//! - [`Auth`], [`Remote`]: where a repository is and how to get in.
//! - `transport`: git2's objects and protocol over our own HTTP, so that each repository has its own CA, deadline and credentials.
//! - `fetch`, `index`, `listing`, `manifests`, `trace`: reading, one job each.
//! - `known`: what was read, for those who ask again.
//! - `write`, `sign`, `push`: a commit made without a work tree, and brought to a branch by compare-and-swap (design section 4.6).

mod about;
mod auth;
mod error;
mod fetch;
mod graph;
mod index;
mod known;
mod known_hosts;
mod listing;
mod manifests;
mod push;
mod sign;
mod store;
mod trace;
mod transport;
mod write;

pub use about::unified_diff;
pub use auth::{Auth, Remote};
pub use error::GitError;
pub use fetch::Synced;
pub use graph::refresh as refresh_graph;
pub use index::{Index, Watch};
pub use listing::{Container, Found, Listing, Skipped};
pub use manifests::{Manifest, Manifests};
pub use push::Pushed;
pub use sign::SigningKey;
pub use store::Store;
pub use trace::Change;
pub use write::{Author, WriteRequest};

pub(crate) use fetch::commit as fetch_commit;
