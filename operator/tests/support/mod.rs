//! Real servers on loopback: Git's own `http-backend`, sshd, and distribution.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod git_server;
pub mod registry_server;

/// The provider that `main` installs.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
