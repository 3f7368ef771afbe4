//! The engines. Each says in a file of its own what it puts into the pod ([`Parts`]); here is what is the same for all: the `build` step, a
//! container that turns `/workspace/src` into the archive [`ARCHIVE`] without any credential (design sections 4.4 and 6.5).

mod buildkit;
mod cache;
mod kaniko;
mod nix;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Node, SeccompProfile, SecurityContext, Toleration, Volume, VolumeMount};
use k8s_openapi::jiff::Timestamp;
use mainstay_crds::{BuildSettings, Engine, Variant};

use super::job::{ARCHIVE, AUTHORITIES, SOURCE, VERSION, WORKSPACE};
use crate::config::{Config, EngineConfig};
use crate::domain::node::{has_user_namespaces, may_run};

/// What an engine is asked for.
pub(super) struct Request<'a> {
    /// Name of the ContainerImage.
    pub(super) name: &'a str,
    /// The container's directory below [`SOURCE`].
    pub(super) context: &'a str,
    pub(super) settings: Option<&'a BuildSettings>,
    /// Whether the commit was on main: others leave nothing in a cache that main's builds use.
    pub(super) from_main: bool,
    /// Whether no file says the version: the engine leaves it in [`VERSION`].
    pub(super) evaluates_version: bool,
    /// When the commit was made: the time of everything in the image, so that the same inputs give the same image.
    pub(super) created: Option<Timestamp>,
    pub(super) config: &'a Config,
}

/// What an engine puts into the pod.
#[derive(Default)]
struct Parts {
    /// Default: what the image says.
    command: Option<Vec<String>>,
    args: Vec<String>,
    environment: BTreeMap<String, String>,
    security: SecurityContext,
    volumes: Vec<(Volume, VolumeMount)>,
    /// Whether the pod must have its own user namespace.
    user_namespace: bool,
}

/// The `build` step, and what it needs of its pod.
pub(super) struct Step {
    /// The container.
    pub(super) container: Container,
    /// Volumes besides the workspace.
    pub(super) volumes: Vec<Volume>,
    /// Whether the pod must have its own user namespace.
    pub(super) user_namespace: bool,
}

/// Which engine builds a variant, and why. `auto` takes BuildKit where a node that the pod may run on has user namespaces (design section 4).
pub(super) fn choose(variant: Variant, settings: Option<&BuildSettings>, config: &Config, nodes: &[Node]) -> (Engine, String) {
    let asked = settings.and_then(|s| s.engine).unwrap_or_default();
    match (variant, asked) {
        (Variant::Nix, _) => (Engine::Nix, "default.nix is built by nix".to_owned()),
        (Variant::Dockerfile, Engine::Buildkit | Engine::Kaniko) => (asked, "spec.build.engine of the ContainerImage".to_owned()),
        (Variant::Dockerfile, Engine::Auto) => auto(settings, config, nodes),
        (Variant::Dockerfile, Engine::Nix) => {
            let (engine, why) = auto(settings, config, nodes);
            (engine, format!("spec.build.engine nix builds no Dockerfile; {why}"))
        }
    }
}

fn auto(settings: Option<&BuildSettings>, config: &Config, nodes: &[Node]) -> (Engine, String) {
    let Some(buildkit) = &config.engines.buildkit else {
        return (Engine::Kaniko, "auto: buildkit is not configured".to_owned());
    };
    let (selector, tolerations) = placement(buildkit, settings);
    let fit = nodes
        .iter()
        .find(|node| may_run(node, &selector, &tolerations) && has_user_namespaces(node, buildkit.runtime_class_name.as_deref()));
    match fit.and_then(|node| node.metadata.name.as_deref()) {
        Some(name) => (Engine::Buildkit, format!("auto: node {name} has user namespaces")),
        None => (Engine::Kaniko, "auto: no node that the pod may run on has user namespaces".to_owned()),
    }
}

/// Labels and tolerations of a build pod: those of the engine and those of the image.
pub(super) fn placement(engine: &EngineConfig, settings: Option<&BuildSettings>) -> (BTreeMap<String, String>, Vec<Toleration>) {
    let mut selector = engine.node_selector.clone();
    let mut tolerations = engine.tolerations.clone();
    if let Some(settings) = settings {
        selector.extend(settings.node_selector.clone());
        tolerations.extend(settings.tolerations.iter().cloned());
    }
    (selector, tolerations)
}

/// The build step; `None` where the engine has no settings.
pub(super) fn step(engine: Engine, request: &Request<'_>) -> Option<Step> {
    let Request { settings, config, .. } = *request;
    let own = config.engine(engine)?;
    let parts = match engine {
        Engine::Auto => return None,
        Engine::Buildkit => buildkit::parts(request, own),
        Engine::Kaniko => kaniko::parts(request, own),
        Engine::Nix => nix::parts(request, own),
    };
    let mut environment = proxies(config);
    environment.extend(config.build_environment.clone());
    environment.extend(own.environment.clone());
    environment.extend(parts.environment);
    environment.insert("CONTEXT".to_owned(), directory(request.context));
    environment.insert("ARCHIVE".to_owned(), ARCHIVE.to_owned());
    let (volumes, mounts): (Vec<Volume>, Vec<VolumeMount>) = parts.volumes.into_iter().unzip();
    let container = Container {
        name: "build".to_owned(),
        image: Some(own.image.clone()),
        image_pull_policy: own.image_pull_policy.clone(),
        command: parts.command,
        args: Some(parts.args).filter(|args| !args.is_empty()),
        env: Some(variables(environment)),
        resources: settings.and_then(|s| s.resources.clone()).or_else(|| own.resources.clone()),
        volume_mounts: Some([vec![mount("workspace", WORKSPACE)], mounts].concat()),
        termination_message_policy: Some("File".to_owned()),
        security_context: Some(parts.security),
        ..Container::default()
    };
    Some(Step { container, volumes, user_namespace: parts.user_namespace })
}

/// The container's directory in the pod.
fn directory(context: &str) -> String {
    format!("{SOURCE}/{context}")
}

/// Proxies as programs look for them: some know the names in small letters only, some those in capitals.
pub(super) fn proxies(config: &Config) -> BTreeMap<String, String> {
    let proxy = &config.proxy;
    let no_proxy = (!proxy.no_proxy.is_empty()).then(|| proxy.no_proxy.join(","));
    let all = [("http_proxy", proxy.http.clone()), ("https_proxy", proxy.https.clone()), ("no_proxy", no_proxy)];
    let set = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    set.flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_uppercase(), value)]).collect()
}

pub(super) fn variables(environment: BTreeMap<String, String>) -> Vec<EnvVar> {
    environment.into_iter().map(|(name, value)| EnvVar { name, value: Some(literal(&value)), value_from: None }).collect()
}

/// Where programs in Go look for certificates besides the usual file, if further ones are to be trusted. `usual` is what the image has.
fn certificates(config: &Config, usual: &str) -> BTreeMap<String, String> {
    let directories = config.ca_bundle.as_ref().map(|_| ("SSL_CERT_DIR".to_owned(), format!("{usual}:{AUTHORITIES}")));
    directories.into_iter().collect()
}

/// Stage and arguments of the Dockerfile. Engines hand the proxies to its steps, and leave them out of the image.
fn dockerfile_options(request: &Request<'_>, option: &str, prefix: &str, target: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut options = request.settings.and_then(|settings| settings.target.as_deref()).map(target).unwrap_or_default();
    let mut args = proxies(request.config);
    args.extend(request.settings.map(|settings| settings.args.clone()).unwrap_or_default());
    for (name, value) in args {
        options.extend([option.to_owned(), literal(&format!("{prefix}{name}={value}"))]);
    }
    options
}

fn shell(script: &str) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), literal(script), "build".to_owned()]
}

/// Root, but without a way to become more than the container is.
fn confined(capabilities: Option<k8s_openapi::api::core::v1::Capabilities>) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        run_as_user: Some(0),
        capabilities,
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..SecurityContext::default()
    }
}

/// A value that Kubernetes does not expand: it replaces `$(NAME)` in arguments and environment.
pub(super) fn literal(value: &str) -> String {
    value.replace("$(", "$$(")
}

pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

pub(super) fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests;
