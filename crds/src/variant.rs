use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a container is described: one container can have both, and each makes its own image tag (design section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// A `Dockerfile`; its tags are `v<version>-<sha7>`.
    Dockerfile,
    /// A `default.nix`; its tags are `v<version>-<sha7>-nix`.
    Nix,
}

impl Variant {
    /// Both, in the order in which we list them.
    pub const ALL: [Variant; 2] = [Variant::Dockerfile, Variant::Nix];

    /// The word used in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Variant::Dockerfile => "dockerfile",
            Variant::Nix => "nix",
        }
    }

    /// The file in the container's directory that makes this variant exist.
    pub fn file(self) -> &'static str {
        match self {
            Variant::Dockerfile => "Dockerfile",
            Variant::Nix => "default.nix",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
