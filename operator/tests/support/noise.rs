//! Bytes as if they were random (xorshift): no compression makes them fewer, and the same seed gives the same.

/// Eight bytes after another, without an end.
pub fn words(seed: u64) -> impl Iterator<Item = [u8; 8]> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
}
