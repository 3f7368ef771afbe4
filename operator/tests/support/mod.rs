//! Real servers on loopback: Git's own `http-backend`, sshd, and distribution.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod git_server;
mod noise;
pub mod odd_registry;
pub mod proxy;
pub mod registry_server;

/// Bytes as if they were random: no compression makes them fewer.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    noise::words(seed).flatten().take(length).collect()
}

/// The provider that `main` installs.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
