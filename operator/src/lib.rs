//! The operator and its in-cluster helpers, one line per room:
//!
//! - [`domain`]: words of our trade, pure: versions, tags, names, conditions, backoff. No client, clock or async.
//! - [`clients`]: the only place that touches the world: cluster, Git, registry.
//! - [`controllers`]: per kind a driver and the five steps observe -> validate -> plan -> apply -> status.
//! - [`source`]: the `mainstay source` step of a build pod: the exact tree of one commit.
//! - [`push`]: the `mainstay push` step of a build pod: an image archive becomes an immutable tag.
//! - [`step`]: what the two steps have in common.
//! - [`app`]: wires the operator together; [`config`] its settings, [`admin`] and [`webhook`] its ports, [`metrics`] what it counts.
//! - [`error`]: the class and reason that every error of ours has.

pub mod admin;
pub mod app;
pub mod clients;
pub mod config;
pub mod controllers;
pub mod domain;
pub mod error;
pub mod metrics;
pub mod push;
pub mod source;
pub mod step;
pub mod webhook;
