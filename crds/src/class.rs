use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the commit that a tag names is on main (design section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// It is main's head or an ancestor of it.
    Main,
    /// It exists on another branch only.
    Branch,
    /// It is absent or ambiguous. Doubt is never `main`.
    Unknown,
}

impl Class {
    /// All, the best first.
    pub const ALL: [Class; 3] = [Class::Main, Class::Branch, Class::Unknown];

    /// The word used in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Main => "main",
            Class::Branch => "branch",
            Class::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Class {
    /// As people write it: `[main]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.as_str())
    }
}
