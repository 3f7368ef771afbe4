//! The contract of Mainstay: Rust types that become the CustomResourceDefinitions of `mainstay.dev/v1alpha1`.

mod variant;

pub use variant::Variant;
