//! An OCI registry (OCI distribution specification 1.1): tags, images, and what `push` needs.
//!
//! The types of manifests are oci-client's. Its client is not used: it follows no `Link`, shows no `Retry-After`, believes a digest in a header,
//! keeps the first credential for a host and has no limits for bodies (note crates, section 2) — each a thing that must hold here.

mod auth;
mod blob;
mod client;
mod credential;
mod error;
mod image;
mod manifest;
mod referrers;
mod tags;
mod upload;

pub use blob::Blob;
pub use client::{Registry, Settings};
pub use credential::Credential;
pub use error::RegistryError;
pub use image::{Image, REVISION};
pub use referrers::{Artifact, Referrer};
pub use upload::{Sent, Upload};
