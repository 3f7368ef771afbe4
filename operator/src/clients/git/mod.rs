//! Git: one bare clone per SourceRepository, heads only, no work tree, no hooks, no submodules (design section 4.1).
//!
//! - [`Store`]: the clones; fetches, and answers what the controllers ask, off the async threads.
//! - [`Auth`], [`Remote`]: where a repository is and how to get in.
//! - `transport`: git2's objects and protocol over our own HTTP, so that each repository has its own CA, deadline and credentials.
//! - `fetch`, `index`, `listing`: one job each.

mod auth;
mod error;
mod fetch;
mod index;
mod known_hosts;
mod listing;
mod store;
mod transport;

pub use auth::{Auth, Remote};
pub use error::GitError;
pub use fetch::Synced;
pub use index::{Index, Watch};
pub use listing::{Container, Found, Listing, Skipped};
pub use store::Store;

pub(crate) use fetch::commit as fetch_commit;
