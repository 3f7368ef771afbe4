//! The `build` step of each engine: a container that turns `/workspace/src` into `/workspace/image.tar`, without any credential
//! (design section 4.4; the settings of each engine are those of notes lab and ux).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, Node, SeccompProfile, SecurityContext, Toleration, Volume, VolumeMount,
};
use mainstay_crds::{BuildSettings, Engine, Variant};

use super::job::{ARCHIVE, SOURCE, WORKSPACE};
use crate::config::{Config, EngineConfig};
use crate::domain::node::{has_user_namespaces, may_run};

/// What an engine needs of its pod.
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
        (Variant::Dockerfile, Engine::Auto | Engine::Nix) => {
            let Some(buildkit) = &config.engines.buildkit else {
                return (Engine::Kaniko, "auto: buildkit is not configured".to_owned());
            };
            let (selector, tolerations) = placement(buildkit, settings);
            let fit = nodes.iter().find(|node| may_run(node, &selector, &tolerations) && has_user_namespaces(node));
            match fit.and_then(|node| node.metadata.name.as_deref()) {
                Some(name) => (Engine::Buildkit, format!("auto: node {name} has user namespaces")),
                None => (Engine::Kaniko, "auto: no node that the pod may run on has user namespaces".to_owned()),
            }
        }
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

/// The build step. `context` is the container's directory below [`SOURCE`].
pub(super) fn step(engine: Engine, context: &str, settings: Option<&BuildSettings>, config: &Config) -> Option<Step> {
    let own = config.engine(engine)?;
    let directory = format!("{SOURCE}/{context}");
    let mut environment: BTreeMap<String, String> = config.build_environment.clone();
    environment.extend(own.environment.clone());
    environment.insert("CONTEXT".to_owned(), directory.clone());
    environment.insert("ARCHIVE".to_owned(), ARCHIVE.to_owned());
    let mut container = Container {
        name: "build".to_owned(),
        image: Some(own.image.clone()),
        image_pull_policy: own.image_pull_policy.clone(),
        resources: settings.and_then(|s| s.resources.clone()).or_else(|| own.resources.clone()),
        volume_mounts: Some(vec![mount("workspace", WORKSPACE)]),
        termination_message_policy: Some("File".to_owned()),
        ..Container::default()
    };
    let mut volumes = Vec::new();
    match engine {
        Engine::Auto => return None,
        Engine::Buildkit => {
            environment.insert("BUILDKITD_CONFIG".to_owned(), buildkitd_config(config));
            container.command = Some(shell(BUILDKIT));
            container.args =
                Some(dockerfile_options(settings, "--opt", "build-arg:", |target| vec!["--opt".to_owned(), format!("target={target}")]));
            // Root and these capabilities hold inside the pod's user namespace only.
            container.security_context = Some(SecurityContext {
                allow_privilege_escalation: Some(true),
                run_as_user: Some(0),
                seccomp_profile: Some(SeccompProfile { type_: "Unconfined".to_owned(), ..SeccompProfile::default() }),
                capabilities: Some(Capabilities { add: Some(words(&["SYS_ADMIN", "NET_ADMIN"])), ..Capabilities::default() }),
                ..SecurityContext::default()
            });
            container.volume_mounts.get_or_insert_default().push(mount("engine", "/var/lib/buildkit"));
            volumes.push(Volume { name: "engine".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() });
        }
        Engine::Kaniko => {
            let mut args = vec![
                format!("--context=dir://{}", literal(&directory)),
                format!("--dockerfile={}/Dockerfile", literal(&directory)),
                "--no-push".to_owned(),
                "--destination=mainstay.invalid/build:latest".to_owned(),
                format!("--tar-path={ARCHIVE}"),
                format!("--ignore-path={WORKSPACE}"),
            ];
            args.extend(config.plain_http_registries.iter().map(|host| format!("--insecure-registry={host}")));
            for (registry, mirrors) in &config.registry_mirrors {
                // kaniko's own name for Docker Hub.
                let registry = if registry == "docker.io" { "index.docker.io" } else { registry };
                args.extend(mirrors.iter().map(|mirror| format!("--registry-map={registry}={mirror}")));
            }
            args.extend(dockerfile_options(settings, "--build-arg", "", |target| vec![format!("--target={target}")]));
            container.args = Some(args);
            container.security_context = Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                run_as_user: Some(0),
                capabilities: Some(Capabilities {
                    drop: Some(words(&["ALL"])),
                    add: Some(words(&["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "SYS_CHROOT"])),
                }),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
                ..SecurityContext::default()
            });
        }
        Engine::Nix => {
            // nix' own sandbox needs privileges that the pod does not have; the pod is the sandbox.
            let config = "build-users-group =\nsandbox = false";
            environment
                .entry("NIX_CONFIG".to_owned())
                .and_modify(|extra| *extra = format!("{config}\n{extra}"))
                .or_insert_with(|| config.to_owned());
            environment.insert("HOME".to_owned(), "/tmp".to_owned());
            container.command = Some(shell(NIX));
            container.security_context = Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                run_as_user: Some(0),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
                ..SecurityContext::default()
            });
        }
    }
    container.env =
        Some(environment.into_iter().map(|(name, value)| EnvVar { name, value: Some(literal(&value)), value_from: None }).collect());
    Some(Step { container, volumes, user_namespace: engine == Engine::Buildkit })
}

/// Starts the daemon, waits for it, builds. What a user wrote reaches it by environment and arguments only, never as script.
const BUILDKIT: &str = r#"set -eu
mkdir -p /run/buildkit
printf '%s' "$BUILDKITD_CONFIG" > /run/buildkit/buildkitd.toml
export BUILDKIT_HOST=unix:///run/buildkit/buildkitd.sock
buildkitd --config /run/buildkit/buildkitd.toml --root /var/lib/buildkit --addr "$BUILDKIT_HOST" \
  --oci-worker=true --oci-worker-no-process-sandbox --containerd-worker=false > /run/buildkit/log 2>&1 &
daemon=$!
tries=0
until buildctl debug workers > /dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 300 ] || ! kill -0 "$daemon" 2> /dev/null; then
    tail -n 20 /run/buildkit/log >&2
    echo 'buildkitd did not start' >&2
    exit 1
  fi
  sleep 0.1
done
status=0
buildctl build --progress=plain --frontend dockerfile.v0 --local context="$CONTEXT" --local dockerfile="$CONTEXT" \
  "$@" --output "type=oci,dest=$ARCHIVE" || status=$?
[ "$status" -ne 0 ] || chmod 0644 "$ARCHIVE"
kill "$daemon"
exit "$status"
"#;

/// Builds the expression; a script as result is a streamed image, run to get the archive.
const NIX: &str = r#"set -eu
nix-build "$CONTEXT/default.nix" --out-link /tmp/result
result=$(readlink -f /tmp/result)
if [ -f "$result" ] && [ -x "$result" ]; then
  "$result" > "$ARCHIVE"
elif [ -f "$result" ]; then
  cp "$result" "$ARCHIVE"
else
  echo "default.nix gave $result, which is neither an image archive nor a script that streams one" >&2
  exit 1
fi
chmod 0644 "$ARCHIVE"
"#;

fn shell(script: &str) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), literal(script), "build".to_owned()]
}

fn dockerfile_options(settings: Option<&BuildSettings>, option: &str, prefix: &str, target: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let Some(settings) = settings else { return Vec::new() };
    let mut options: Vec<String> = settings.target.as_deref().map(target).unwrap_or_default();
    for (name, value) in &settings.args {
        options.extend([option.to_owned(), literal(&format!("{prefix}{name}={value}"))]);
    }
    options
}

/// One table for each registry, as TOML demands. BuildKit asks mirrors in their order, and the registry itself at last.
fn buildkitd_config(config: &Config) -> String {
    let mut registries: BTreeMap<&str, String> = BTreeMap::new();
    for host in &config.plain_http_registries {
        registries.insert(host, "  http = true\n".to_owned());
    }
    for (registry, mirrors) in &config.registry_mirrors {
        *registries.entry(registry).or_default() += &format!("  mirrors = {mirrors:?}\n");
    }
    registries.into_iter().map(|(registry, settings)| format!("[registry.{registry:?}]\n{settings}")).collect()
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
mod tests {
    use super::*;

    fn config() -> Config {
        Config::parse(
            "{steps: {image: r/m:1}, plainHTTPRegistries: ['10.88.0.1:5000'], registryMirrors: {docker.io: ['10.88.0.1:5000', cache.example/hub]}, engines: {buildkit: {image: r/b:1, nodeSelector: {disk: fast}}, kaniko: {image: r/k:1}, nix: {image: r/n:1}}}",
        )
        .unwrap()
    }

    fn node(yaml: &str) -> Node {
        serde_saphyr::from_str(yaml).unwrap()
    }

    const ABLE: &str =
        "{metadata: {name: able, labels: {disk: fast}}, status: {runtimeHandlers: [{name: '', features: {userNamespaces: true}}]}}";

    #[test]
    fn auto_looks_at_the_nodes_the_pod_may_run_on() {
        let chosen = |nodes: &[Node]| choose(Variant::Dockerfile, None, &config(), nodes).0;
        assert_eq!(chosen(&[node(ABLE)]), Engine::Buildkit);
        assert_eq!(chosen(&[]), Engine::Kaniko);
        assert_eq!(chosen(&[node(&ABLE.replace("true", "false"))]), Engine::Kaniko);
        assert_eq!(chosen(&[node(&ABLE.replace("fast", "slow"))]), Engine::Kaniko, "the engine's selector excludes it");
        let tainted = ABLE.replacen("{metadata", "{spec: {taints: [{key: a, value: b, effect: NoSchedule}]}, metadata", 1);
        assert_eq!(chosen(&[node(&tainted)]), Engine::Kaniko);
        let tolerant: BuildSettings = serde_saphyr::from_str("{tolerations: [{key: a, operator: Exists}]}").unwrap();
        assert_eq!(choose(Variant::Dockerfile, Some(&tolerant), &config(), &[node(&tainted)]).0, Engine::Buildkit);
    }

    #[test]
    fn what_the_user_says_is_never_script_or_expansion() {
        let settings: BuildSettings = serde_saphyr::from_str("{target: run, args: {A: 'x; $(HOME) `id`'}}").unwrap();
        let step = step(Engine::Buildkit, "containers/cv", Some(&settings), &config()).unwrap();
        assert_eq!(step.container.command.as_ref().unwrap()[2], literal(BUILDKIT));
        assert_eq!(step.container.args.unwrap(), ["--opt", "target=run", "--opt", "build-arg:A=x; $$(HOME) `id`"]);
        assert!(step.user_namespace);
    }

    #[test]
    fn mirrors_and_plain_http_reach_each_engine() {
        let step = |engine, config: &Config| step(engine, "containers/cv", None, config).unwrap().container;
        let toml = |config: &Config| {
            let environment = step(Engine::Buildkit, config).env.unwrap();
            environment.into_iter().find(|e| e.name == "BUILDKITD_CONFIG").unwrap().value.unwrap()
        };
        let plain = "[registry.\"10.88.0.1:5000\"]\n  http = true\n";
        let mirrors = "  mirrors = [\"10.88.0.1:5000\", \"cache.example/hub\"]\n";
        assert_eq!(toml(&config()), format!("{plain}[registry.\"docker.io\"]\n{mirrors}"));
        let mut both = config();
        both.registry_mirrors = BTreeMap::from([("10.88.0.1:5000".to_owned(), both.registry_mirrors["docker.io"].clone())]);
        assert_eq!(toml(&both), format!("{plain}{mirrors}"), "a table that stands there twice is no TOML");
        let args = step(Engine::Kaniko, &config()).args.unwrap();
        let told: Vec<_> = args.iter().filter(|arg| arg.contains("registry")).collect();
        let mapped = ["--registry-map=index.docker.io=10.88.0.1:5000", "--registry-map=index.docker.io=cache.example/hub"];
        assert_eq!(told, ["--insecure-registry=10.88.0.1:5000", mapped[0], mapped[1]]);
    }

    #[test]
    fn kaniko_has_no_privileges() {
        insta::assert_yaml_snapshot!(step(Engine::Kaniko, "containers/cv", None, &config()).unwrap().container);
    }
}
