//! Settings of the operator: one YAML file that the chart mounts. Unknown fields are errors, so that a typing mistake is not a default.

mod engines;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;
use mainstay_crds::Engine;
use serde::Deserialize;

use crate::clients::authorities;
use crate::domain::{duration, quantity};

pub use engines::{CacheConfig, CacheMode, EngineConfig, Engines, RegistryCache};

/// Longest list of authorities, in bytes: it is part of every Job.
const MAX_BUNDLE: usize = 64 << 10;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what we expect.
    #[error("the configuration {path} is not valid: {message}")]
    Parse {
        /// Which file.
        path: String,
        /// Field and remedy.
        message: String,
    },
}

/// Settings of the operator.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The namespaces whose objects are looked at, and where builds run; none means all.
    #[serde(default)]
    pub watch_namespaces: Vec<String>,
    /// How often a SourceRepository that does not say looks for commits.
    #[serde(default = "Config::default_interval", deserialize_with = "readable")]
    pub interval: Duration,
    /// How often an object at rest is looked at again, so that an image deleted from the registry is noticed.
    #[serde(default = "Config::default_resync", deserialize_with = "readable")]
    pub resync: Duration,
    /// Longest time for one call to the outside (API, Git, registry).
    #[serde(default = "Config::default_call_deadline", deserialize_with = "readable")]
    pub call_deadline: Duration,
    /// How long a ManifestPin that does not say waits for further changes before it writes.
    #[serde(default = "Config::default_batch_window", deserialize_with = "readable")]
    pub batch_window: Duration,
    /// The `source` and `push` steps of a build pod.
    pub steps: StepConfig,
    /// The volume that the three steps share.
    #[serde(default)]
    pub workspace: Volume,
    /// The engines.
    pub engines: Engines,
    /// Registries that base images come from without TLS, as `host:port`.
    #[serde(default, rename = "plainHTTPRegistries")]
    pub plain_http_registries: Vec<String>,
    /// Where base images of a registry are looked for first: the registry's host, and its mirrors as `host[:port][/path]`. A mirror without TLS
    /// stands in [`Config::plain_http_registries`] too.
    #[serde(default)]
    pub registry_mirrors: BTreeMap<String, Vec<String>>,
    /// Proxies of every step. The operator itself has them in its environment.
    #[serde(default)]
    pub proxy: Proxy,
    /// Certificate authorities in PEM that everything trusts besides the usual ones: the operator, every step, and the pulls of base images.
    #[serde(default)]
    pub ca_bundle: Option<String>,
    /// Environment of every build step. No secrets: Jobs can be read by many.
    #[serde(default)]
    pub build_environment: BTreeMap<String, String>,
    /// The list of images that the chart's admission policy reads; none without.
    #[serde(default)]
    pub allowed_images: Option<AllowedImagesConfig>,
    /// Hooks of forges and registries; none are taken without.
    #[serde(default)]
    pub webhook: Option<WebhookConfig>,
    /// Secrets of the build's namespace for pulling the images of the steps and engines.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
}

/// How hooks reach the operator.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookConfig {
    /// What stands before the path, as senders reach it: `https://hooks.example`. For the status of SourceRepositories only.
    #[serde(default)]
    pub url: Option<String>,
}

/// The object that the admission policy reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedImagesConfig {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Namespaces whose ContainerImages count: whoever may write a SourceRepository there says what main is.
    pub from: Vec<String>,
}

/// Our own steps in a build pod.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepConfig {
    /// Image with the `mainstay` program.
    pub image: String,
    /// Pull policy of that image.
    #[serde(default)]
    pub image_pull_policy: Option<String>,
    /// Resources of each step.
    #[serde(default)]
    pub resources: Option<ResourceRequirements>,
}

/// Proxies, as programs take them from their environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proxy {
    /// For `http://`.
    #[serde(default)]
    pub http: Option<String>,
    /// For `https://`.
    #[serde(default)]
    pub https: Option<String>,
    /// Hosts that are reached without: names, suffixes, addresses, networks.
    #[serde(default)]
    pub no_proxy: Vec<String>,
}

/// A scratch volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Most that may lie on it, such as `10Gi`.
    #[serde(default)]
    pub size_limit: Option<String>,
    /// `Memory` keeps it in RAM; default: the node's disk.
    #[serde(default)]
    pub medium: Option<String>,
}

impl Config {
    fn default_interval() -> Duration {
        Duration::from_secs(60)
    }

    fn default_resync() -> Duration {
        Duration::from_secs(600)
    }

    fn default_batch_window() -> Duration {
        Duration::from_millis(25)
    }

    fn default_call_deadline() -> Duration {
        Duration::from_secs(60)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Where it cannot be read or is not valid.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: name.clone(), source })?;
        Self::parse(&text).map_err(|message| ConfigError::Parse { path: name, message })
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// Words that name the field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// What the form of the file does not say.
    fn check(&self) -> Result<(), String> {
        for (name, proxy) in [("http", &self.proxy.http), ("https", &self.proxy.https)] {
            if proxy.as_ref().is_some_and(|url| url.contains('@')) {
                return Err(format!(
                    "proxy.{name} has a user: whoever reads a Job reads the proxy, so that it must take us without a password"
                ));
            }
        }
        if let Some(bundle) = &self.ca_bundle {
            authorities::check(bundle).map_err(|message| format!("caBundle: {message}"))?;
            if bundle.len() > MAX_BUNDLE {
                return Err(format!("caBundle has {} bytes, and {MAX_BUNDLE} are taken: list your own authorities only", bundle.len()));
            }
        }
        let engines = [("buildkit", &self.engines.buildkit), ("kaniko", &self.engines.kaniko), ("nix", &self.engines.nix)];
        for (name, engine) in engines.into_iter().filter_map(|(name, engine)| Some((name, engine.as_ref()?))) {
            let nix = name == "nix";
            let cache = &engine.cache;
            let unknown = [
                ("substituters", !engine.substituters.is_empty() && !nix),
                ("trustedPublicKeys", !engine.trusted_public_keys.is_empty() && !nix),
                ("cache.registry", cache.registry.is_some() && nix),
                ("cache.maxAge", cache.max_age.is_some() && nix),
                ("cache.sizeLimit", cache.size_limit.is_some() && name == "kaniko"),
            ];
            if let Some((field, _)) = unknown.into_iter().find(|(_, set)| *set) {
                return Err(format!("engines.{name}.{field} is set, and {name} knows no such thing"));
            }
            if let Some(limit) = cache.size_limit.as_deref().filter(|limit| quantity::bytes(limit).is_none()) {
                return Err(format!("engines.{name}.cache.sizeLimit: {limit:?} is not an amount such as 20Gi"));
            }
        }
        Ok(())
    }

    /// Settings of an engine, where it is used; `auto` is none.
    pub fn engine(&self, engine: Engine) -> Option<&EngineConfig> {
        match engine {
            Engine::Auto => None,
            Engine::Buildkit => self.engines.buildkit.as_ref(),
            Engine::Kaniko => self.engines.kaniko.as_ref(),
            Engine::Nix => self.engines.nix.as_ref(),
        }
    }

    /// What `<nixpkgs>` and the like mean in a build.
    pub fn nix_path(&self) -> Option<&str> {
        let nix = self.engines.nix.as_ref()?;
        nix.environment.get("NIX_PATH").or_else(|| self.build_environment.get("NIX_PATH")).map(String::as_str)
    }
}

fn readable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a duration such as 60s or 1h30m")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest file that is valid.
    const SMALLEST: &str = "{steps: {image: r/m:1}, engines: {nix: {image: r/n:1}}}";

    #[test]
    fn the_smallest_file_has_sane_defaults() {
        let config = Config::parse(SMALLEST).unwrap();
        assert_eq!((config.interval.as_secs(), config.resync.as_secs()), (60, 600));
        assert_eq!(config.engine(Engine::Nix).unwrap().deadline.as_secs(), 3600);
        assert_eq!(config.engine(Engine::Nix).unwrap().max_concurrent_builds.get(), 2);
        assert!(config.engine(Engine::Auto).is_none() && config.engine(Engine::Kaniko).is_none());
    }

    #[test]
    fn mistakes_are_named() {
        let unknown = Config::parse(&SMALLEST.replacen('{', "{intervall: 5s, ", 1)).unwrap_err();
        assert!(unknown.contains("intervall"), "{unknown}");
        let words = Config::parse(&SMALLEST.replacen('{', "{interval: often, ", 1)).unwrap_err();
        assert!(words.contains("often"), "{words}");
    }

    #[test]
    fn what_an_engine_does_not_know_is_refused() {
        for (extra, field) in [
            ("kaniko: {image: r/k:1, substituters: ['https://c']}", "engines.kaniko.substituters"),
            ("kaniko: {image: r/k:1, cache: {sizeLimit: 1Gi}}", "engines.kaniko.cache.sizeLimit"),
            ("nix: {image: r/n:1, cache: {registry: {repository: r/c}}}", "engines.nix.cache.registry"),
            ("nix: {image: r/n:1, cache: {maxAge: 24h}}", "engines.nix.cache.maxAge"),
            ("buildkit: {image: r/b:1, cache: {sizeLimit: much}}", "much"),
            ("docker: {image: r/d:1}", "docker"),
        ] {
            let said = Config::parse(&format!("{{steps: {{image: r/m:1}}, engines: {{{extra}}}}}")).unwrap_err();
            assert!(said.contains(field), "{said}");
        }
    }

    #[test]
    fn a_proxy_has_no_password_and_a_bundle_holds_certificates() {
        let with = |extra: &str| Config::parse(&SMALLEST.replacen('{', &format!("{{{extra}, "), 1)).unwrap_err();
        assert!(with("proxy: {https: 'http://u:p@proxy:3128'}").contains("proxy.https"));
        assert!(with("caBundle: words").contains("caBundle"));
    }
}
