//! What goes wrong is said in the object that a person looks at, with the field and what to do; the others are unharmed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use mainstay_crds::{ContainerImage, ImageBuild, SourceRepository};
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;
use support::{is_ready, ready, world};

/// A world with a repository that has these Dockerfiles.
async fn with(story: &str, containers: &[(&str, &str)]) -> World {
    let world = world(story).await.unwrap();
    let files: Vec<(String, String)> =
        containers.iter().map(|(name, text)| (format!("containers/{name}/Dockerfile"), (*text).to_owned())).collect();
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &files).await.unwrap();
    world.source(json!({})).await.unwrap();
    world
}

async fn fails(world: &World, name: &str, reason: &str, words: &[&str]) -> ContainerImage {
    // The same reason may stand for a short wait before it is a failure.
    let failed = |image: &ContainerImage| matches!(ready(image), (status, said, _) if status == "False" && said == reason);
    let image: ContainerImage = world.until(name, &format!("fails with {reason}"), failed).await.unwrap();
    let (_, _, message) = ready(&image);
    for word in words {
        assert!(message.contains(word), "{name}: {word:?} is not in {message:?}");
    }
    image
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn bad_containers_are_named_and_the_good_one_is_built() {
    let long = "1".repeat(130);
    let world = with(
        "badinput",
        &[
            ("good", &dockerfile("1.0", "RUN true")),
            ("noarg", "FROM 10.88.0.1:5001/library/busybox:1\n"),
            ("computed", "ARG A=1\nARG CONTAINER_APP_VERSION=$A\nFROM scratch\n"),
            ("plus", &dockerfile("1.0+build", "")),
            ("long", &dockerfile(&long, "")),
        ],
    )
    .await;
    for name in ["good", "noarg", "computed", "plus", "long", "absent", "twin"] {
        let spec = if name == "twin" { json!({"path": "containers/good"}) } else { json!({}) };
        if name == "twin" {
            // An object is older by a second at least.
            world.until::<ContainerImage>("good", "is there", |_| true).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        }
        world.image(name, spec).await.unwrap();
    }
    fails(&world, "noarg", "VersionNotFound", &["ARG CONTAINER_APP_VERSION="]).await;
    fails(&world, "computed", "VersionInvalid", &["computed", "write it out"]).await;
    fails(&world, "plus", "VersionInvalid", &["'+'"]).await;
    fails(&world, "long", "VersionInvalid", &["128"]).await;
    fails(&world, "absent", "NoBuildFile", &["containers/absent", "spec.path"]).await;
    fails(&world, "twin", "DuplicateContainer", &["ContainerImage good", "spec.image"]).await;
    world.until::<ContainerImage>("good", "is ready", is_ready).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_dockerfile_that_is_none_is_quoted_with_its_line() {
    let world = with("syntax", &[("cv", &dockerfile("1.0", "RUNN true"))]).await;
    world.image("cv", json!({})).await.unwrap();
    let image = fails(&world, "cv", "BuildFailed", &["Dockerfile:3", "RUNN true"]).await;
    assert_eq!(image.status.unwrap().variants[0].last_failure.as_ref().unwrap().reason, "DockerfileInvalid");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_failing_dockerfile_is_quoted_with_its_line_and_mended_by_a_commit() {
    let noisy = "RUN printf '\\033[31mred\\033[0m https://me:hunter2@git.example/x\\n'; echo NPM_TOKEN=hunter2; exit 3";
    let world = with("broken", &[("cv", &dockerfile("1.0", noisy))]).await;
    world.image("cv", json!({})).await.unwrap();
    let image = fails(&world, "cv", "BuildFailed", &["Dockerfile:3", "exit code: 3", "rebuild-at"]).await;
    let failure = image.status.unwrap().variants[0].last_failure.clone().unwrap();
    assert_eq!(failure.reason, "BuildFailed");
    let tail = failure.log_tail.unwrap();
    assert!(tail.contains("red") && !tail.contains('\u{1b}') && !tail.contains("hunter2"), "{tail}");
    assert!(tail.len() <= 4096);
    let described = world.lab.run("kubectl", &["-n", &world.name, "describe", "cimg", "cv"]).await.unwrap();
    assert!(described.contains("ImageBuildFailed") && described.contains("exit code: 3"), "{described}");
    assert!(!described.contains("hunter2"));
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_hundred_megabytes_of_log_leave_four_kilobytes() {
    let world =
        with("loud", &[("cv", &dockerfile("1.0", "RUN yes 'all work and no play makes a dull log line' | head -c 100000000; exit 1"))])
            .await;
    world.image("cv", json!({})).await.unwrap();
    let image = fails(&world, "cv", "BuildFailed", &[]).await;
    let tail = image.status.unwrap().variants[0].last_failure.clone().unwrap().log_tail.unwrap();
    assert!(tail.len() <= 4096 && tail.contains("exit code: 1"), "{tail}");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn limits_end_a_build_and_name_the_field() {
    let world = with(
        "limits",
        &[("slow", &dockerfile("1.0", "RUN sleep 600")), ("big", &dockerfile("1.0", "RUN true")), ("lost", &dockerfile("1.0", "RUN true"))],
    )
    .await;
    world.image("slow", json!({"build": {"deadline": "8s"}})).await.unwrap();
    world.image("big", json!({"build": {"resources": {"limits": {"memory": "12Mi"}}}})).await.unwrap();
    world.image("lost", json!({"build": {"nodeSelector": {"moon": "true"}, "engine": "buildkit"}})).await.unwrap();
    fails(&world, "slow", "BuildFailed", &["step build", "8s", "spec.build.deadline"]).await;
    fails(&world, "big", "BuildFailed", &["out of memory", "12Mi", "spec.build.resources"]).await;
    let lost: ContainerImage = world
        .until("lost", "waits for a node", |i: &ContainerImage| {
            i.status.as_ref().is_some_and(|s| s.variants.iter().any(|v| v.reason == "BuildPodUnschedulable"))
        })
        .await
        .unwrap();
    let (status, reason, message) = ready(&lost);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "Building"));
    assert!(message.contains("no node fits"), "{message}");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn sources_that_cannot_be_read_say_why() {
    let world = world("sources").await.unwrap();
    let reason = |reason: &'static str| {
        move |repository: &SourceRepository| {
            repository
                .status
                .as_ref()
                .is_some_and(|s| s.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "False" && c.reason == reason))
        }
    };
    world.image("cv", json!({})).await.unwrap();
    fails(&world, "cv", "SourceNotFound", &["create one"]).await;
    world.source(json!({"branch": "nope"})).await.unwrap();
    world.until("ops", "misses its branch", reason("BranchNotFound")).await.unwrap();
    fails(&world, "cv", "SourceUnavailable", &["BranchNotFound", "spec.branch"]).await;
    world.source(json!({"url": format!("{}/nobody/nothing.git", world.lab.forge().url())})).await.unwrap();
    world.until("ops", "is not found", reason("RepositoryNotFound")).await.unwrap();
    world.source(json!({"url": "http://10.88.0.1:9/x.git"})).await.unwrap();
    world.until("ops", "is not reached", reason("RepositoryUnreachable")).await.unwrap();
    world.source(json!({"credentialsSecretRef": {"name": "nosecret"}})).await.unwrap();
    world.until("ops", "misses its Secret", reason("SecretNotFound")).await.unwrap();
    world.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nosecret"}, "stringData": {"username": "me", "password": "wrong"}})).await.unwrap();
    world.until("ops", "is refused", reason("AuthenticationFailed")).await.unwrap();
    // All is well again as soon as the inputs are.
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_registry_that_refuses_is_named_before_a_pod_is_made() {
    let world = with("refused", &[("cv", &dockerfile("1.0", "RUN true"))]).await;
    let wrong = json!({"auths": {world.lab.registry().address(): {"username": "mainstay", "password": "wrong"}}}).to_string();
    world
        .apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": wrong}}))
        .await
        .unwrap();
    world.source(json!({"registry": {"credentialsSecretRef": {"name": "wrong"}}})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    fails(&world, "cv", "RegistryUnauthorized", &["spec.registry.credentialsSecretRef", "401"]).await;
    let builds = world.api::<ImageBuild>().list(&Default::default()).await.unwrap();
    assert!(builds.items.is_empty());
    world.source(json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
}
