//! The ways in which people build images, one container of the sample repository for each, and how each shows that its image runs.
//! `make demo-all` shows all of them, a story holds those that take little.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PropagationPolicy};
use mainstay_crds::{ContainerImage, ImageBuild, Variant};
use serde_json::{Value, json};

use crate::lab::paths::Paths;
use crate::lab::{Context, Error, Lab, Result, address, machine};
use crate::world::World;

/// One way, and the container that goes it.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// The container's folder.
    pub container: &'static str,
    /// The way, in words.
    pub way: &'static str,
    /// Whether its base images hold a toolchain: these take minutes to make.
    pub toolchain: bool,
    port: u16,
    question: Question,
    /// What the answer holds, with `{version}` for the image's version without its `v`.
    answer: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Question {
    /// A path, over HTTP.
    Get(&'static str),
    /// A client that is in the image too.
    Run(&'static [&'static str]),
}

/// All six.
pub const PATTERNS: [Pattern; 6] = [
    Pattern {
        container: "transmission",
        way: "package install",
        toolchain: false,
        port: 9091,
        question: Question::Run(&["transmission-remote", "--session-info"]),
        answer: "Daemon version: {version}",
    },
    Pattern {
        container: "feeds",
        way: "Go from source",
        toolchain: true,
        port: 8080,
        question: Question::Get("/version"),
        answer: "feeds {version}",
    },
    Pattern {
        container: "jukebox",
        way: "Node + Go, web UI embedded",
        toolchain: true,
        port: 4533,
        question: Question::Get("/ping"),
        // The version of the program, and then that of the UI in it, which are built apart.
        answer: r#""version":"v{version}","ui":{"version":"v{version}""#,
    },
    Pattern {
        container: "drivelog",
        way: "Elixir release",
        toolchain: true,
        port: 4000,
        question: Question::Get("/"),
        answer: "drivelog {version}",
    },
    Pattern {
        container: "kiwix-serve",
        way: "runtime tarball",
        toolchain: false,
        port: 8080,
        question: Question::Get("/catalog/v2/root.xml"),
        answer: "OPDS Catalog Root",
    },
    Pattern {
        container: "nettest",
        way: "nix dockerTools, and a Dockerfile",
        toolchain: false,
        port: 8080,
        question: Question::Get("/cgi-bin/nettest"),
        answer: "nettest on",
    },
];

/// An image of a pattern that has been asked.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Which image of the container.
    pub variant: Variant,
    /// What built it.
    pub engine: String,
    /// How long its build took.
    pub took: String,
    /// Bytes of configuration and layers in the registry.
    pub size: u64,
    /// The line that it answered.
    pub answer: String,
}

/// Makes what builds of the lab cannot take from elsewhere: base images with toolchains where one of these patterns needs them, and an upstream.
/// A cluster of yours has Docker Hub and the real upstream.
///
/// # Errors
/// Where a base image cannot be made, or registry or forge refuses.
pub async fn prepare(lab: &Lab, patterns: &[Pattern]) -> Result<Upstream> {
    if lab.registry().address() != address::REGISTRY {
        return Ok(Upstream { kiwix_tools: None });
    }
    let (paths, checkout) = (Paths::from_env()?, machine::checkout()?);
    if patterns.iter().any(|pattern| pattern.toolchain) {
        machine::push_toolchains(&paths, &checkout, lab.registry()).await?;
    }
    let version = version_of(&checkout, "kiwix-serve")?;
    let kiwix_tools = machine::publish_kiwix_tools(&paths, &checkout, lab.forge(), &version).await?;
    Ok(Upstream { kiwix_tools: Some(kiwix_tools) })
}

/// Where containers find what upstream has released, if not at upstream.
#[derive(Debug, Clone)]
pub struct Upstream {
    kiwix_tools: Option<String>,
}

impl Upstream {
    /// The spec of a pattern's ContainerImage.
    pub fn spec(&self, pattern: &Pattern) -> Value {
        match &self.kiwix_tools {
            Some(folder) if pattern.container == "kiwix-serve" => json!({"build": {"args": {"KIWIX_TOOLS": folder}}}),
            _ => json!({}),
        }
    }
}

/// The version that a Dockerfile of the sample repository says.
fn version_of(checkout: &Path, container: &str) -> Result<String> {
    let file = checkout.join("e2e/ops-repo/containers").join(container).join("Dockerfile");
    let text = std::fs::read_to_string(&file).context(format!("read {}", file.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("ARG CONTAINER_APP_VERSION="));
    version.map(str::to_owned).ok_or_else(|| Error::new(format!("read {}", file.display()), "it says no version"))
}

/// Runs every image that main wants of a pattern, by its digest, and asks it.
///
/// # Errors
/// Where an image does not run, or its answer is another one.
pub async fn ask(world: &World, pattern: &Pattern) -> Result<Vec<Answered>> {
    let image = world.api::<ContainerImage>().get(pattern.container).await.context(format!("look at {}", pattern.container))?;
    let mut answered = Vec::new();
    for variant in image.status.unwrap_or_default().variants {
        let what = || format!("run {} ({})", pattern.container, variant.variant);
        let (Some(digest), Some(build), Some(version)) = (variant.digest, variant.build, variant.version) else {
            return Err(Error::new(what(), "its status names no image"));
        };
        let pod = format!("{}-{}", pattern.container, variant.variant);
        let repository = world.repository(pattern.container);
        start(world, &pod, &format!("{}@{digest}", world.lab.image(&repository)), pattern.port).await?;
        let text = question(world, &pod, pattern).await?;
        let wanted = pattern.answer.replace("{version}", version.trim_start_matches('v'));
        let Some(answer) = text.lines().find(|line| line.contains(&wanted)) else {
            return Err(Error::new(what(), format!("its answer has no {wanted:?}:\n{text}")));
        };
        let built = world.api::<ImageBuild>().get(&build).await.context(what())?.status.unwrap_or_default();
        answered.push(Answered {
            variant: variant.variant,
            engine: built.engine.map(|engine| engine.as_str().to_owned()).unwrap_or_default(),
            took: built.duration.unwrap_or_default(),
            size: size(world, &repository, &digest).await?,
            answer: answer.trim().to_owned(),
        });
    }
    Ok(answered)
}

/// Starts a pod of an image, and waits until it listens.
async fn start(world: &World, name: &str, image: &str, port: u16) -> Result<()> {
    let now =
        DeleteParams { grace_period_seconds: Some(0), propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    if world.api::<Pod>().get_opt(name).await.context(format!("look at pod {name}"))?.is_some() {
        world.api::<Pod>().delete(name, &now).await.context(format!("remove pod {name}"))?;
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [{
                "name": "it", "image": image,
                "ports": [{"containerPort": port}],
                "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                "securityContext": {"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    world.apply(&pod).await?;
    let ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    world.until(name, "listens", ready).await.map(drop)
}

/// What a pod answers. The API server carries the question, so that it also reaches pods of a cluster that is elsewhere.
async fn question(world: &World, pod: &str, pattern: &Pattern) -> Result<String> {
    match pattern.question {
        Question::Get(path) => {
            let at = format!("/api/v1/namespaces/{}/pods/{pod}:{}/proxy{path}", world.name, pattern.port);
            world.lab.run("kubectl", &["get", "--raw", &at]).await
        }
        Question::Run(client) => {
            let args: Vec<&str> = ["-n", &world.name, "exec", pod, "--"].into_iter().chain(client.iter().copied()).collect();
            world.lab.run("kubectl", &args).await
        }
    }
}

async fn size(world: &World, repository: &str, digest: &str) -> Result<u64> {
    let manifest = world.lab.registry().manifest(repository, digest).await?;
    let content = manifest.ok_or_else(|| Error::new(format!("look at {repository}"), format!("{digest} is not there")))?.content;
    let layers = content.get("layers").and_then(Value::as_array).into_iter().flatten().chain(content.get("config"));
    Ok(layers.filter_map(|part| part.get("size").and_then(Value::as_u64)).sum())
}
