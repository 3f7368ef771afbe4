//! The Job of an ImageBuild: one pod, three steps. Only `source` sees the Git credentials, only `push` those of the registry, `build` none
//! (design sections 4.4 and 6.5).

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
    SecretVolumeSource, SecurityContext, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use mainstay_crds::{BuildSettings, Engine, Variant, names};

use super::engine::{self, Request, literal, mount, proxies, variables, words};
use crate::clients::authorities;
use crate::config::Config;
use crate::domain::duration;

/// Where the shared volume is mounted.
pub(super) const WORKSPACE: &str = "/workspace";
/// The exported tree of the commit.
pub(super) const SOURCE: &str = "/workspace/src";
/// What the build step leaves for `push`.
pub(super) const ARCHIVE: &str = "/workspace/image.tar";

/// Directory with the certificate authorities of the configuration, for the build step.
pub(super) const AUTHORITIES: &str = "/workspace/authorities";

/// What the build step leaves for `push` where it evaluates the version.
pub(super) const VERSION: &str = "/workspace/version";

/// User and group of our own steps.
const USER: i64 = 65532;

/// Time that `source` gets, and that `push` may be without progress.
const STEP_DEADLINE: Duration = Duration::from_secs(600);

/// Everything that a Job is made of.
pub(super) struct Plan<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) owner: OwnerReference,
    pub(super) build: &'a str,
    pub(super) image_name: &'a str,
    pub(super) key: &'a str,
    pub(super) engine: Engine,
    pub(super) variant: Variant,
    pub(super) settings: Option<&'a BuildSettings>,
    /// Whether the commit was on main when it was resolved.
    pub(super) from_main: bool,
    pub(super) source: Source<'a>,
    pub(super) target: Target<'a>,
}

/// What is built.
pub(super) struct Source<'a> {
    pub(super) url: &'a str,
    pub(super) branch: &'a str,
    pub(super) commit: &'a str,
    pub(super) path: &'a str,
    /// `None`: the build step evaluates it.
    pub(super) version: Option<&'a str>,
    /// When the commit was made.
    pub(super) created: Option<Timestamp>,
    pub(super) secret: Option<&'a str>,
}

/// Where it goes.
pub(super) struct Target<'a> {
    pub(super) image: &'a str,
    /// `None`: it follows from the version that the build step evaluates.
    pub(super) tag: Option<&'a str>,
    pub(super) plain_http: bool,
    pub(super) secret: Option<&'a str>,
    /// Repositories of the same registry that may have layers already.
    pub(super) neighbours: Vec<String>,
    pub(super) ca_secret: Option<&'a str>,
    /// What is said of the build, JSON.
    pub(super) provenance: String,
    pub(super) signing_secret: Option<&'a str>,
}

/// The Job; `None` where no engine was chosen.
pub(super) fn job(plan: &Plan<'_>, config: &Config) -> Option<Job> {
    let request = Request {
        name: plan.image_name,
        context: plan.source.path,
        settings: plan.settings,
        from_main: plan.from_main,
        evaluates_version: plan.source.version.is_none(),
        created: plan.source.created,
        config,
    };
    let step = engine::step(plan.engine, &request)?;
    let own = config.engine(plan.engine)?;
    let (selector, tolerations) = engine::placement(own, plan.settings);
    let deadline = plan.settings.and_then(|s| s.deadline.as_deref()).and_then(duration::parse).unwrap_or(own.deadline);
    let labels = labels(plan);

    let mut volumes = vec![Volume { name: "workspace".to_owned(), empty_dir: Some(workspace(config)), ..Volume::default() }];
    volumes.extend(step.volumes);
    let (source, source_volumes) = source_step(plan, config);
    let (push, push_volumes) = push_step(plan, config);
    volumes.extend(source_volumes);
    volumes.extend(push_volumes);

    let pull_secrets = config.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    let pod = PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        service_account_name: own.service_account_name.clone(),
        runtime_class_name: own.runtime_class_name.clone(),
        priority_class_name: own.priority_class_name.clone(),
        enable_service_links: Some(false),
        host_users: step.user_namespace.then_some(false),
        // On the pod and not on the Job: a Job that is over time deletes its pod, and with it the log that says why.
        active_deadline_seconds: i64::try_from(deadline.as_secs()).ok(),
        node_selector: (!selector.is_empty()).then_some(selector),
        tolerations: (!tolerations.is_empty()).then_some(tolerations),
        image_pull_secrets: (!config.image_pull_secrets.is_empty()).then_some(pull_secrets),
        security_context: Some(PodSecurityContext { fs_group: Some(USER), ..PodSecurityContext::default() }),
        init_containers: Some(vec![source, step.container]),
        containers: vec![push],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    Some(Job {
        metadata: ObjectMeta {
            name: Some(plan.name.to_owned()),
            namespace: Some(plan.namespace.to_owned()),
            labels: Some(labels.clone()),
            annotations: Some(BTreeMap::from([(names::BUILD_KEY.to_owned(), plan.key.to_owned())])),
            owner_references: Some(vec![plan.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            // Retries are the ContainerImage's business: it knows whether a failure may pass.
            backoff_limit: Some(0),
            template: PodTemplateSpec { metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }), spec: Some(pod) },
            ..JobSpec::default()
        }),
        status: None,
    })
}

fn labels(plan: &Plan<'_>) -> BTreeMap<String, String> {
    // A label value holds 63 characters; longer names are told apart by the owner reference.
    let value = |text: &str| text.get(..63).unwrap_or(text).trim_end_matches(['-', '.', '_']).to_owned();
    BTreeMap::from([
        (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
        (names::IMAGE_LABEL.to_owned(), value(plan.image_name)),
        (names::BUILD_LABEL.to_owned(), value(plan.build)),
        (names::VARIANT_LABEL.to_owned(), plan.variant.to_string()),
    ])
}

fn workspace(config: &Config) -> EmptyDirVolumeSource {
    EmptyDirVolumeSource {
        medium: config.workspace.medium.clone(),
        size_limit: config.workspace.size_limit.clone().map(Quantity),
        ..EmptyDirVolumeSource::default()
    }
}

fn source_step(plan: &Plan<'_>, config: &Config) -> (Container, Vec<Volume>) {
    let source = &plan.source;
    let mut args = vec!["source".to_owned()];
    let mut flag = |name: &str, value: &str| args.extend([format!("--{name}"), literal(value)]);
    flag("url", source.url);
    flag("commit", source.commit);
    flag("branch", source.branch);
    flag("destination", SOURCE);
    flag("deadline", &STEP_DEADLINE.as_secs().to_string());
    if config.ca_bundle.is_some() {
        flag("authorities", AUTHORITIES);
    }
    let mut container = own_step("source", config);
    let mut volumes = Vec::new();
    if let Some(secret) = source.secret {
        flag("credentials", "/credentials/git");
        container.volume_mounts.get_or_insert_default().push(read_only("git-credentials", "/credentials/git"));
        volumes.push(secret_volume("git-credentials", secret));
    }
    container.args = Some(args);
    (container, volumes)
}

fn push_step(plan: &Plan<'_>, config: &Config) -> (Container, Vec<Volume>) {
    let target = &plan.target;
    let mut args = vec!["push".to_owned()];
    let mut flag = |name: &str, value: &str| args.extend([format!("--{name}"), literal(value)]);
    flag("archive", ARCHIVE);
    flag("image", target.image);
    match (target.tag, plan.source.version) {
        (Some(tag), Some(version)) => {
            flag("tag", tag);
            flag("version", version);
        }
        _ => flag("version-file", VERSION),
    }
    flag("revision", plan.source.commit);
    if let Some(created) = plan.source.created {
        flag("created", &created.to_string());
    }
    flag("provenance", &target.provenance);
    flag("label", &format!("org.opencontainers.image.source={}", plan.source.url));
    flag("label", &format!("dev.mainstay.path={}", plan.source.path));
    flag("label", &format!("dev.mainstay.variant={}", plan.variant));
    flag("label", &format!("dev.mainstay.engine={}", plan.engine.as_str()));
    for neighbour in &target.neighbours {
        flag("mount-from", neighbour);
    }
    flag("deadline", &STEP_DEADLINE.as_secs().to_string());
    let mut container = own_step("push", config);
    let mut volumes = Vec::new();
    if let Some(secret) = target.secret {
        flag("credentials", "/credentials/registry/.dockerconfigjson");
        container.volume_mounts.get_or_insert_default().push(read_only("registry-credentials", "/credentials/registry"));
        volumes.push(secret_volume("registry-credentials", secret));
    }
    if let Some(secret) = target.ca_secret {
        flag("ca", "/credentials/registry-ca/ca.crt");
        container.volume_mounts.get_or_insert_default().push(read_only("registry-ca", "/credentials/registry-ca"));
        volumes.push(secret_volume("registry-ca", secret));
    }
    if let Some(secret) = target.signing_secret {
        flag("signing-key", "/credentials/provenance/signing.key");
        container.volume_mounts.get_or_insert_default().push(read_only("provenance-key", "/credentials/provenance"));
        volumes.push(secret_volume("provenance-key", secret));
    }
    if target.plain_http {
        args.push("--plain-http".to_owned());
    }
    container.args = Some(args);
    (container, volumes)
}

fn own_step(name: &str, config: &Config) -> Container {
    let mut environment = proxies(config);
    // The image has no directory that can be written to: what is spooled lies on the shared volume, under its limit.
    environment.insert("TMPDIR".to_owned(), WORKSPACE.to_owned());
    environment.extend(config.ca_bundle.clone().map(|bundle| (authorities::ENVIRONMENT.to_owned(), bundle)));
    Container {
        name: name.to_owned(),
        image: Some(config.steps.image.clone()),
        image_pull_policy: config.steps.image_pull_policy.clone(),
        resources: config.steps.resources.clone(),
        env: Some(variables(environment)),
        volume_mounts: Some(vec![mount("workspace", WORKSPACE)]),
        termination_message_policy: Some("File".to_owned()),
        security_context: Some(SecurityContext {
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            run_as_non_root: Some(true),
            read_only_root_filesystem: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(words(&["ALL"])), ..Capabilities::default() }),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn read_only(volume: &str, path: &str) -> k8s_openapi::api::core::v1::VolumeMount {
    k8s_openapi::api::core::v1::VolumeMount { read_only: Some(true), ..mount(volume, path) }
}

fn secret_volume(name: &str, secret: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        // Readable by the step's group (fsGroup) alone.
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every setting of the configuration that has a say in a Job.
    fn config() -> Config {
        let config = Config::parse(
            "{steps: {image: r/m:1}, plainHTTPRegistries: ['10.88.0.1:5000'], imagePullSecrets: [pull], workspace: {sizeLimit: 4Gi}, \
             buildEnvironment: {TZ: UTC}, proxy: {http: 'http://proxy.example:3128', noProxy: [.svc]}, engines: {kaniko: {image: r/k:1, \
             nodeSelector: {disk: fast}, tolerations: [{key: mainstay.dev/builder, operator: Exists}], deadline: 30m, runtimeClassName: gvisor, \
             serviceAccountName: builder, priorityClassName: low, resources: {requests: {cpu: 500m, ephemeral-storage: 10Gi}, limits: \
             {ephemeral-storage: 40Gi}}, cache: {claim: build-cache, maxAge: 168h}}}}",
        );
        Config { ca_bundle: Some("-----BEGIN CERTIFICATE-----".to_owned()), ..config.unwrap() }
    }

    #[test]
    fn a_job_of_kaniko_with_every_setting() {
        let settings: BuildSettings =
            serde_saphyr::from_str("{target: run, args: {A: b}, nodeSelector: {zone: a}, deadline: 10m, cache: {claim: own}}").unwrap();
        let plan = Plan {
            name: "cv-3b9e0d1-0a1b2c3d",
            namespace: "ops",
            owner: OwnerReference { name: "cv-3b9e0d1".to_owned(), uid: "uid".to_owned(), ..OwnerReference::default() },
            build: "cv-3b9e0d1",
            image_name: "cv",
            key: "uid",
            engine: Engine::Kaniko,
            variant: Variant::Dockerfile,
            settings: Some(&settings),
            from_main: true,
            source: Source {
                url: "https://git.example/ops.git",
                branch: "main",
                commit: "3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887",
                path: "containers/cv",
                version: Some("1.0"),
                created: Some("2026-11-24T12:00:00Z".parse().unwrap()),
                secret: Some("git"),
            },
            target: Target {
                image: "registry.example/team/cv",
                tag: Some("v1.0-3b9e0d1"),
                plain_http: false,
                secret: Some("registry"),
                neighbours: vec!["team/web".to_owned()],
                ca_secret: Some("registry-ca"),
                provenance: "{}".to_owned(),
                signing_secret: Some("provenance"),
            },
        };
        let job = job(&plan, &config()).unwrap();
        insta::assert_yaml_snapshot!(job);
        let pod = job.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false), "whatever the ServiceAccount is");
        let build = &pod.init_containers.unwrap()[1];
        let mounts: Vec<_> = build.volume_mounts.as_ref().unwrap().iter().map(|mount| mount.name.as_str()).collect();
        assert_eq!(mounts, ["workspace", "cache"], "no credential");
    }
}
