//! What every engine must do alike: one suite, told for each engine that runs in the lab. kaniko's Job is pinned by snapshots instead.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use kube::api::{ListParams, Patch, PatchParams};
use mainstay_crds::{ContainerImage, Engine, ImageBuild};
use mainstay_e2e::lab::door::Door;
use mainstay_e2e::lab::image::{self, architecture};
use mainstay_e2e::world::{World, default_nix, dockerfile};
use serde_json::{Value, json};
use support::{ended, is_ready, ready, short, succeeded, world_with};

/// A workspace that is soon full, on a file system that says so at once.
const SMALL: &[(&str, &str)] = &[("workspace.medium", "Memory"), ("workspace.sizeLimit", "48Mi")];

/// What a container does while it is built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Ends well.
    Builds,
    /// Ends with exit code 3.
    Fails,
    /// Does not end.
    Hangs,
    /// Begins with what is not there.
    Misses,
    /// Makes an image for another kind of machine.
    Foreign,
    /// Makes an image that has no room.
    Fills,
    /// Takes 300 MB of memory.
    Hoards,
}

/// An architecture that is not this machine's.
fn elsewhere() -> &'static str {
    if architecture() == "arm64" { "amd64" } else { "arm64" }
}

/// The file that does a deed under an engine, in a world of this name.
fn file(engine: Engine, deed: Deed, world: &str) -> (&'static str, String) {
    match engine {
        Engine::Nix => ("default.nix", nix(deed)),
        _ => (
            "Dockerfile",
            match deed {
                Deed::Builds => dockerfile("1.0", "RUN true"),
                Deed::Fails => dockerfile("1.0", "RUN echo it fails && exit 3"),
                Deed::Hangs => dockerfile("1.0", "RUN echo it hangs && sleep 600"),
                Deed::Misses => dockerfile("1.0", "RUN true").replace("busybox:1", "nobody:1"),
                Deed::Foreign => dockerfile("1.0", "COPY Dockerfile /").replace("library/busybox", &format!("{world}/elsewhere")),
                Deed::Hoards => dockerfile("1.0", "RUN head -c 300000000 /dev/zero | tail > /dev/null"),
                Deed::Fills => dockerfile("1.0", "RUN head -c 80000000 /dev/urandom > /big"),
            },
        ),
    }
}

/// The same by nix.
fn nix(deed: Deed) -> String {
    let plain = || default_nix("1.0", "true");
    match deed {
        Deed::Builds => plain(),
        Deed::Fails => default_nix("1.0", "echo it fails; exit 3"),
        Deed::Hangs => default_nix("1.0", "echo it hangs; sleep 600"),
        Deed::Misses => plain().replacen("builder = \"/bin/sh\"", "builder = import ./missing.nix", 1),
        Deed::Foreign => {
            plain().replacen("\"amd64\"", &format!("{:?}", elsewhere()), 1).replacen("\"arm64\"", &format!("{:?}", elsewhere()), 1)
        }
        Deed::Fills => default_nix("1.0", "head -c 80000000 /dev/urandom > layer/big"),
        Deed::Hoards => default_nix("1.0", "head -c 300000000 /dev/zero | tail > /dev/null || exit 1"),
    }
}

/// A base image for another kind of machine.
async fn publish_elsewhere(world: &World) {
    let work = tempfile::tempdir().unwrap();
    let (tree, layout) = (work.path().join("tree"), work.path().join("layout"));
    std::fs::create_dir(&tree).unwrap();
    let config = image::Config { architecture: elsewhere().to_owned(), ..image::Config::default() };
    image::write(&tree, &layout, &config).await.unwrap();
    world.lab.registry().push(&layout, &world.repository("elsewhere"), "1").await.unwrap();
}

/// A world in which each of these containers does its deed.
async fn world(engine: Engine, story: &str, containers: &[(&str, Deed, Value)]) -> World {
    let world = world_with(&format!("{}-{story}", engine.as_str()), SMALL).await.unwrap();
    publish_elsewhere(&world).await;
    let files: Vec<(String, String)> = containers
        .iter()
        .map(|(name, deed, _)| {
            let (file, text) = file(engine, *deed, &world.name);
            (format!("containers/{name}/{file}"), text)
        })
        .collect();
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &files).await.unwrap();
    world.source(json!({})).await.unwrap();
    for (name, _, settings) in containers {
        world.image(name, json!({"build": settings})).await.unwrap();
    }
    world
}

/// The build that an image names.
async fn build_of(world: &World, image: &str) -> ImageBuild {
    let named = |image: &ContainerImage| image.status.as_ref().is_some_and(|s| s.variants.iter().any(|v| v.build.is_some()));
    let image: ContainerImage = world.until(image, "has a build", named).await.unwrap();
    let name = image.status.unwrap().variants[0].build.clone().unwrap();
    world.until(&name, "is there", |_| true).await.unwrap()
}

/// Waits until an image's build has failed for a reason, with these words for a person.
async fn fails(world: &World, container: &str, reason: &str, words: &[&str]) {
    let name = build_of(world, container).await.metadata.name.unwrap();
    let build: ImageBuild = world.until(&name, "has ended", ended).await.unwrap();
    let (status, said, message) = succeeded(&build);
    assert_eq!((status.as_str(), said.as_str()), ("False", reason), "{container}: {message}");
    for word in words {
        assert!(message.contains(word), "{container}: {word:?} is not in {message:?}");
    }
    let failed = |image: &ContainerImage| ready(image).0 == "False";
    let image: ContainerImage = world.until(container, "says that it failed", failed).await.unwrap();
    let (_, _, message) = ready(&image);
    assert!(words.iter().all(|word| message.contains(word)), "{message:?} has not the words of its build");
    let status = image.status.unwrap();
    assert!(status.latest.is_none(), "a tag was made all the same");
    assert_eq!(status.variants[0].last_failure.as_ref().unwrap().reason, reason);
    let tags = world.lab.registry().tags(&world.repository(container)).await.unwrap();
    assert!(tags.is_empty(), "{tags:?}");
}

/// Everything but the registry goes wrong in its way, and only where it should.
async fn ends_as_it_should(engine: Engine, exit_code: &str, missing: &str) {
    let containers = [
        ("good", Deed::Builds, json!({})),
        ("failing", Deed::Fails, json!({})),
        ("slow", Deed::Hangs, json!({"deadline": "15s"})),
        ("hungry", Deed::Hoards, json!({"resources": {"limits": {"memory": "96Mi"}}})),
        ("missing", Deed::Misses, json!({})),
        ("foreign", Deed::Foreign, json!({})),
        ("full", Deed::Fills, json!({})),
    ];
    let world = world(engine, "conformance", &containers).await;
    fails(&world, "failing", "BuildFailed", &[exit_code]).await;
    fails(&world, "slow", "DeadlineExceeded", &["step build", "15s", "spec.build.deadline"]).await;
    fails(&world, "hungry", "OOMKilled", &["out of memory", "96Mi", "spec.build.resources"]).await;
    fails(&world, "missing", "BuildFailed", &[missing]).await;
    fails(&world, "foreign", "ArchitectureMismatch", &["arm64", "amd64", &format!("linux/{}", elsewhere())]).await;
    fails(&world, "full", "WorkspaceFull", &["space left on device", "workspace.sizeLimit"]).await;
    let good: ContainerImage = world.until("good", "is ready", is_ready).await.unwrap();
    let variant = good.status.unwrap().variants[0].clone();
    let (tag, commit) = (variant.tag.unwrap(), variant.commit.unwrap());
    let labels = world.lab.registry().labels(&world.repository("good"), &tag).await.unwrap();
    assert_eq!(labels.get("org.opencontainers.image.revision"), Some(&commit));

    // What is there is not built again.
    world.build("again", json!({"image": "good", "commit": commit})).await.unwrap();
    let again: ImageBuild = world.until("again", "has ended", ended).await.unwrap();
    assert_eq!(succeeded(&again).1, "AlreadyExists");
    assert!(again.status.unwrap().job.is_none());
}

/// A build that runs ends at somebody's wish, and its place is free.
async fn is_cancelled(engine: Engine) {
    let world = world(engine, "cancel", &[("cv", Deed::Hangs, json!({}))]).await;
    let name = build_of(&world, "cv").await.metadata.name.unwrap();
    world.until::<ImageBuild>(&name, "builds", |build| succeeded(build).1 == "Building").await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"cancel": true}}));
    world.api::<ImageBuild>().patch(&name, &PatchParams::default(), &patch).await.unwrap();
    fails(&world, "cv", "Cancelled", &["spec.cancel"]).await;
}

/// A registry that goes away for a moment between build and push costs neither the image nor the build.
async fn outlives_its_registry(engine: Engine) {
    let world = world_with(&format!("{}-away", engine.as_str()), SMALL).await.unwrap();
    let door = Door::to(world.lab.registry().address()).await.unwrap();
    let (user, password) = (world.lab.registry().user(), world.lab.registry().password());
    let auths = json!({"auths": {door.address(): {"username": user, "password": password}}}).to_string();
    let kind = "kubernetes.io/dockerconfigjson";
    world
        .apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "door"}, "type": kind, "stringData": {".dockerconfigjson": auths}}))
        .await
        .unwrap();
    let (file, text) = file(engine, Deed::Builds, &world.name);
    let commit = world.commit("main", &[(&format!("containers/cv/{file}"), Some(&text))]).await.unwrap();
    let prefix = format!("{}/{}", door.address(), world.name);
    world.source(json!({"registry": {"prefix": prefix, "credentialsSecretRef": {"name": "door"}}})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let first = build_of(&world, "cv").await.metadata.name.unwrap();
    world.until::<ImageBuild>(&first, "has its Job", |build| build.status.as_ref().is_some_and(|s| s.job.is_some())).await.unwrap();
    door.close();
    world.until::<ImageBuild>(&first, "is at its last step", |build| succeeded(build).1 == "Pushing").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(succeeded(&world.until(&first, "is there", |_| true).await.unwrap()).1, "Pushing", "it waits for the registry");
    door.open();
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();
    assert!(image.status.unwrap().latest.unwrap().contains(short(&commit)));
    assert_eq!(world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap().items.len(), 1, "it was built once");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn buildkit_ends_as_it_should() {
    ends_as_it_should(Engine::Buildkit, "exit code: 3", "nobody:1: not found").await;
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn nix_ends_as_it_should() {
    ends_as_it_should(Engine::Nix, "exit code 3", "missing.nix").await;
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn buildkit_is_cancelled() {
    is_cancelled(Engine::Buildkit).await;
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn nix_is_cancelled() {
    is_cancelled(Engine::Nix).await;
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn buildkit_outlives_its_registry() {
    outlives_its_registry(Engine::Buildkit).await;
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn nix_outlives_its_registry() {
    outlives_its_registry(Engine::Nix).await;
}
