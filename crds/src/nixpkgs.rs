use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The nixpkgs that a default.nix is built with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nixpkgs {
    /// Whether the same commit gets the same nixpkgs on every day.
    pub pinned: bool,
    /// What says which: a file of the repository, or a setting of the engine.
    pub from: String,
    /// Where it comes from, such as `github:NixOS/nixpkgs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Hash of its content, as nix writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What is wrong and what to do, where it is not pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
