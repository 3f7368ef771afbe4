use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalReference;

/// How the forge of a repository is reached: wherever something is written there, the same fields say it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgeSettings {
    /// The forge. Default: `GitHub` for github.com, else `Gitea` (which Forgejo is too).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ForgeProvider>,

    /// Address of the forge's API. Default: that of the repository's host.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "apiURL")]
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^@[:space:]]+$')", "apiURL must begin with https:// or http:// and hold no credentials"))]
    pub api_url: Option<String>,

    /// Secret with a token for the API in key `token`. Default: the password or bearer token of the SourceRepository's Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<LocalReference>,
}

/// A kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ForgeProvider {
    /// Gitea and Forgejo.
    Gitea,
    /// GitHub and GitHub Enterprise.
    GitHub,
}
