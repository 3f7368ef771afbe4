//! Whatever ends in the middle, nothing is lost and nothing is done twice.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, SourceRepository, names};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;
use support::{ended, is_ready, short, succeeded, within, world};

/// A world in which a build of `cv` is at its build step.
async fn building(story: &str) -> (World, String, String) {
    let world = world(story).await.unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN sleep 8")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let image: ContainerImage = world
        .until("cv", "is building", |i: &ContainerImage| {
            i.status.as_ref().is_some_and(|s| s.variants.iter().any(|v| v.reason == "Building" && v.build.is_some()))
        })
        .await
        .unwrap();
    let build = image.status.unwrap().variants[0].build.clone().unwrap();
    world.until::<ImageBuild>(&build, "is at step 2", |b| succeeded(b).1 == "Building").await.unwrap();
    (world, commit, build)
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_restart_of_the_operator_in_the_middle_of_a_build() {
    let (world, _, name) = building("restart").await;
    let before: ImageBuild = world.until(&name, "runs", |_| true).await.unwrap();
    operator::kill(&world.lab).await.unwrap();
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();
    assert_eq!(image.status.unwrap().variants[0].build.as_deref(), Some(name.as_str()));
    let after: ImageBuild = world.until(&name, "has ended", ended).await.unwrap();
    assert_eq!(after.status.unwrap().job.unwrap().uid, before.status.unwrap().job.unwrap().uid);
    assert_eq!(world.api::<Job>().list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert_eq!(world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_job_deleted_by_hand_is_made_again_once() {
    let (world, _, name) = building("jobgone").await;
    world.api::<Job>().delete(&name, &DeleteParams::background()).await.unwrap();
    world
        .until::<ImageBuild>(&name, "has a new job", |b| b.status.as_ref().and_then(|s| s.job.as_ref()).is_some_and(|j| j.recreated == 1))
        .await
        .unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_pod_deleted_by_hand_is_tried_again() {
    let (world, _, name) = building("podgone").await;
    let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap();
    world.api::<Pod>().delete(&pods.items[0].name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
    let failed: ImageBuild = world.until(&name, "has ended", ended).await.unwrap();
    assert_eq!(failed.status.as_ref().unwrap().transient, Some(true), "{:?}", succeeded(&failed));
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn an_image_deleted_in_the_middle_takes_everything_with_it() {
    let (world, _, _) = building("cimggone").await;
    world.api::<ContainerImage>().delete("cv", &DeleteParams::background()).await.unwrap();
    let nothing_is_left = async || {
        let builds = world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap().items.len();
        let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap().items.len();
        builds + pods == 0
    };
    within(Duration::from_secs(60), "builds and pods are gone", nothing_is_left).await;
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn main_is_rewritten_in_the_middle_of_a_build() {
    let (world, old, _) = building("rewritten").await;
    // Another line of history under the same name: what was there is gone from main.
    world.lab.forge().delete_repo(&world.name).await.unwrap();
    world.lab.forge().create_repo(&world.name, true).await.unwrap();
    let new = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("2.0", "RUN true")))]).await.unwrap();
    assert_ne!(old, new);
    let tag = format!("v2.0-{}", short(&new));
    world
        .until::<ContainerImage>("cv", "follows the new main", |i| {
            is_ready(i) && i.status.as_ref().unwrap().latest.as_deref() == Some(&tag)
        })
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn at_rest_nothing_is_written() {
    let world = world("rest").await.unwrap();
    world
        .commit(
            "main",
            &[
                ("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true"))),
                ("containers/bad/Dockerfile", Some("FROM scratch\n")),
                ("apps/cv.yaml", Some(&format!("image: {}:v1.0-0000000\n", world.lab.image(&world.repository("cv"))))),
            ],
        )
        .await
        .unwrap();
    world.source(json!({"discovery": "Create"})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    world.until::<ContainerImage>("bad", "is stuck", support::because("VersionNotFound")).await.unwrap();
    world.pin("all", json!({"paths": ["apps"], "violations": "Repair"})).await.unwrap();
    world.until::<ManifestPin>("all", "has pinned it", |p: &ManifestPin| support::pinned(p).1 == "UpToDate").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let head = world.lab.forge().commits(&world.name, "main").await.unwrap();
    let Some(audit) = world.lab.audit() else { return };
    let since = Timestamp::now();
    // Three resyncs of 30 s, as e2e/lab/values.yaml sets them; the repository is fetched every 2 s.
    tokio::time::sleep(Duration::from_secs(95)).await;
    let ours =
        |request: &&mainstay_e2e::lab::audit::Request| request.object_ref.as_ref().is_some_and(|object| object.namespace == world.name);
    let writes = audit.writes_by(operator::ACCOUNT, since).unwrap();
    let writes: Vec<_> = writes.iter().filter(ours).collect();
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(world.lab.forge().commits(&world.name, "main").await.unwrap(), head, "nor to Git");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn what_is_suspended_goes_on_to_answer_after_a_restart_and_what_is_gone_is_counted_no_more() {
    let world = world("suspended").await.unwrap();
    let files =
        [("containers/cv/Dockerfile", Some(&*dockerfile("1.0", "RUN true"))), ("containers/bad/Dockerfile", Some("FROM scratch\n"))];
    let commit = world.commit("main", &files).await.unwrap();
    world.source(json!({"suspend": false})).await.unwrap();
    for name in ["cv", "bad"] {
        world.image(name, json!({})).await.unwrap();
    }
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    world.until::<ContainerImage>("bad", "is stuck", support::because("VersionNotFound")).await.unwrap();
    world.source(json!({"suspend": true})).await.unwrap();
    let suspended = |source: &SourceRepository| {
        let conditions = source.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        conditions.iter().any(|condition| condition.reason == "Suspended")
    };
    world.until::<SourceRepository>("ops", "is suspended", suspended).await.unwrap();
    world.commit("main", &[("containers/cv/extra", Some("x"))]).await.unwrap();
    operator::kill(&world.lab).await.unwrap();
    world.annotate::<ContainerImage>("cv", names::RECONCILE_AT, "now").await.unwrap();
    let looked = |image: &ContainerImage| image.status.as_ref().is_some_and(|s| s.last_handled_reconcile_at.as_deref() == Some("now"));
    let image: ContainerImage = world.until("cv", "was looked at", looked).await.unwrap();
    assert_eq!(image.status.unwrap().variants[0].commit.as_ref(), Some(&commit), "main stays what it was");

    let told = async || {
        let metrics = operator::metrics(&world.lab).await.unwrap_or_default();
        let of = |line: &&str| line.starts_with("mainstay_stuck") && line.contains(&format!("\"{}\"", world.name));
        metrics.lines().filter(of).map(str::to_owned).collect::<Vec<_>>()
    };
    within(Duration::from_secs(60), "one is stuck", async || told().await.len() == 1).await;
    assert!(told().await[0].contains("\"bad\""), "{:?}", told().await);
    world.api::<ContainerImage>().delete("bad", &DeleteParams::default()).await.unwrap();
    within(Duration::from_secs(60), "none is", async || told().await.is_empty()).await;
}
