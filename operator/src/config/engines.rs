//! Settings of the engines.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use serde::Deserialize;

use super::readable;

/// Settings per engine. An engine without settings is not used.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Engines {
    /// Daemonless BuildKit in a pod user namespace.
    #[serde(default)]
    pub buildkit: Option<EngineConfig>,
    /// The maintained fork of kaniko.
    #[serde(default)]
    pub kaniko: Option<EngineConfig>,
    /// `nix-build`.
    #[serde(default)]
    pub nix: Option<EngineConfig>,
}

/// Settings of one engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineConfig {
    /// Image of the build step.
    pub image: String,
    /// Pull policy of that image.
    #[serde(default)]
    pub image_pull_policy: Option<String>,
    /// Resources of the build step.
    #[serde(default)]
    pub resources: Option<ResourceRequirements>,
    /// Labels a node must have.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pod tolerates.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    /// Longest time for one build, from the start of its pod.
    #[serde(default = "EngineConfig::default_deadline", deserialize_with = "readable")]
    pub deadline: Duration,
    /// Further environment of the build step.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How many builds may run at once; the others wait.
    #[serde(default = "EngineConfig::default_max_concurrent_builds")]
    pub max_concurrent_builds: NonZeroUsize,
    /// RuntimeClass of the pod.
    #[serde(default)]
    pub runtime_class_name: Option<String>,
    /// ServiceAccount of the pod. Its token is never mounted.
    #[serde(default)]
    pub service_account_name: Option<String>,
    /// PriorityClass of the pod.
    #[serde(default)]
    pub priority_class_name: Option<String>,
    /// What is kept between builds.
    #[serde(default)]
    pub cache: CacheConfig,
    /// nix: stores that results are taken from.
    #[serde(default)]
    pub substituters: Vec<String>,
    /// nix: keys that these stores sign with.
    #[serde(default)]
    pub trusted_public_keys: Vec<String>,
}

/// What an engine keeps between builds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheConfig {
    /// PersistentVolumeClaim in the namespace of the build.
    #[serde(default)]
    pub claim: Option<String>,
    /// Most that is kept on the claim.
    #[serde(default)]
    pub size_limit: Option<String>,
    /// What is older is not used.
    #[serde(default, deserialize_with = "readable_or_none")]
    pub max_age: Option<Duration>,
    /// A repository that takes and gives cache without credentials.
    #[serde(default)]
    pub registry: Option<RegistryCache>,
}

/// A cache in a registry.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryCache {
    /// `host[:port]/path`.
    pub repository: String,
    /// What of a build is kept.
    #[serde(default)]
    pub mode: CacheMode,
}

/// What of a build goes to a cache in a registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// The layers of the image.
    Min,
    /// The layers of every step.
    #[default]
    Max,
}

impl EngineConfig {
    fn default_deadline() -> Duration {
        Duration::from_secs(3600)
    }

    fn default_max_concurrent_builds() -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add(1)
    }
}

fn readable_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    readable(deserializer).map(Some)
}
