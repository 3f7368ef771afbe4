//! The forge shows at each commit how its images stand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::{Duration, Instant};

use mainstay_crds::{CommitState, ContainerImage, ImageBuild};
use mainstay_e2e::lab::forge::CommitStatus;
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;
use support::{ended, is_ready, succeeded, world};

/// Waits until the newest status of a context is this one, and gives all that were written under that name.
async fn told(world: &World, commit: &str, context: &str, state: &str) -> Vec<CommitStatus> {
    let begun = Instant::now();
    loop {
        let mut all = world.lab.forge().commit_statuses(&world.name, commit).await.unwrap();
        all.retain(|one| one.context == context);
        if all.last().is_some_and(|one| one.status == state) {
            return all;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{context} at {commit} is not {state}: {all:#?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn states(all: &[CommitStatus]) -> Vec<&str> {
    all.iter().map(|one| one.status.as_str()).collect()
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_commit_shows_its_builds_and_each_state_once() {
    let world = world("statuses").await.unwrap();
    let good = dockerfile("1.0", "RUN sleep 3");
    let bad = dockerfile("1.0", "RUN echo it does not compile; exit 3");
    let commit =
        world.commit("main", &[("containers/good/Dockerfile", Some(&good)), ("containers/bad/Dockerfile", Some(&bad))]).await.unwrap();
    world.source(json!({"commitStatuses": {"targetURL": "https://dashboard.example/{{ namespace }}/{{ container }}"}})).await.unwrap();
    world.image("good", json!({})).await.unwrap();
    world.image("bad", json!({})).await.unwrap();

    let pending = told(&world, &commit, "mainstay/good", "pending").await;
    assert_eq!(pending[0].description, format!("v1.0-{} is to be built", &commit[..7]));
    let good = told(&world, &commit, "mainstay/good", "success").await;
    assert_eq!(states(&good), ["pending", "success"]);
    assert!(good[1].description.starts_with(&format!("v1.0-{} in ", &commit[..7])), "{good:?}");
    assert_eq!(good[1].target_url, format!("https://dashboard.example/{}/good", world.name));
    let bad = told(&world, &commit, "mainstay/bad", "failure").await;
    assert_eq!(states(&bad), ["pending", "failure"]);
    assert!(bad[1].description.contains("BuildFailed") && bad[1].description.chars().count() <= 140, "{bad:?}");

    // A branch, by hand.
    let forge = world.lab.forge();
    forge.create_branch(&world.name, "feature", "main").await.unwrap();
    let on_branch = world.commit("feature", &[("containers/good/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
    world.build("by-hand", json!({"image": "good", "ref": "feature"})).await.unwrap();
    told(&world, &on_branch, "mainstay/good", "success").await;
    let build: ImageBuild = world
        .until("by-hand", "knows what was told", |build: &ImageBuild| {
            build.status.as_ref().and_then(|s| s.commit_status.as_ref()).is_some_and(|said| said.state == Some(CommitState::Success))
        })
        .await
        .unwrap();
    assert_eq!(build.status.unwrap().commit_status.unwrap().message, None);

    // Nothing is said twice, not even by an operator that has just begun.
    let before = forge.commit_statuses(&world.name, &commit).await.unwrap();
    operator::kill(&world.lab).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(forge.commit_statuses(&world.name, &commit).await.unwrap(), before);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_forge_that_refuses_holds_no_build_up_and_is_told_later() {
    let world = world("unsaid").await.unwrap();
    let secret = |token: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forge"}, "stringData": {"token": token}});
    world.apply(&secret("hunter2")).await.unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({"commitStatuses": {"tokenSecretRef": {"name": "forge"}}})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    let builds = world.api::<ImageBuild>().list(&Default::default()).await.unwrap().items;
    let name = builds[0].metadata.name.clone().unwrap();
    let said = |build: &ImageBuild| build.status.as_ref().and_then(|s| s.commit_status.clone()).unwrap_or_default();
    let refused = |build: &ImageBuild| ended(build) && said(build).message.is_some_and(|text| text.contains("write commit statuses"));
    let build = world.until(&name, "says that the forge refused", refused).await.unwrap();
    assert_eq!((succeeded(&build).0.as_str(), said(&build).state), ("True", None));
    let described = world.lab.run("kubectl", &["-n", &world.name, "describe", "srepo", "ops"]).await.unwrap();
    assert!(described.contains("CommitStatusFailed") && described.contains("spec.commitStatuses.tokenSecretRef"), "{described}");
    assert!(!described.contains("hunter2"), "{described}");
    world.apply(&secret(world.lab.forge().token())).await.unwrap();
    assert_eq!(states(&told(&world, &commit, "mainstay/cv", "success").await), ["success"], "what is over is not told any more");
}
