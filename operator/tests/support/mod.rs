//! Real servers on loopback: Git's own `http-backend`, sshd, and distribution.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod git_server;
pub mod odd_registry;
pub mod proxy;
pub mod registry_server;

/// Bytes as if they were random: no compression makes them fewer.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

/// The provider that `main` installs.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
