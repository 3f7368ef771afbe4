//! Builds wait for their turn, whatever happens to the operator meanwhile, and can be ended.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, LogParams, Patch, PatchParams};
use mainstay_crds::{ContainerImage, ImageBuild, names};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;
use support::{because, ended, is_ready, short, succeeded, within, world};

/// Images that one commit touches. `MAINSTAY_QUEUE` asks for more.
fn images() -> usize {
    std::env::var("MAINSTAY_QUEUE").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Builds of the repository that may run at once.
const CAP: usize = 2;

/// Builds whose pod has work to do. Its last step may have ended a moment before the pod.
async fn running(world: &World) -> Vec<String> {
    let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    let alive = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let done =
            status.container_statuses.is_some_and(|all| all.iter().all(|s| s.state.as_ref().is_some_and(|s| s.terminated.is_some())));
        !done && !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
    };
    pods.into_iter().filter(alive).filter_map(|pod| pod.labels().get(names::BUILD_LABEL).cloned()).collect()
}

async fn builds(world: &World) -> Vec<ImageBuild> {
    world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap().items
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn many_images_touched_at_once_are_built_two_by_two_and_each_once() {
    let world = world("queue").await.unwrap();
    let count = images();
    let files: Vec<(String, String)> = (0..count).map(|n| (format!("containers/c{n}/Dockerfile"), dockerfile("1.0", "RUN true"))).collect();
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &files).await.unwrap();
    world.source(json!({"discovery": "Create", "maxConcurrentBuilds": CAP})).await.unwrap();
    let (begun, mut most, mut kills, mut waited) = (Instant::now(), 0, 0, false);
    loop {
        let all = builds(&world).await;
        most = most.max(running(&world).await.len());
        waited |=
            all.iter().any(|b| succeeded(b).1 == "Queued" && b.status.as_ref().unwrap().queue_position.is_some_and(|place| place > 1));
        let over = all.iter().filter(|build| succeeded(build).0 == "True").count();
        if over >= count && all.iter().all(ended) {
            break;
        }
        // At its beginning, in its middle, and near its end.
        if kills < 3 && over > kills * count / 3 {
            kills += 1;
            operator::kill(&world.lab).await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(60 + 20 * u64::try_from(count).unwrap()), "{over} of {count} are built: {all:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(most <= CAP, "{most} ran at once");
    assert!(waited, "nobody was seen to wait");
    let all = builds(&world).await;
    let (good, failed): (Vec<&ImageBuild>, Vec<&ImageBuild>) = all.iter().partition(|build| succeeded(build).0 == "True");
    let told: Vec<_> = all.iter().map(|build| (build.name_any(), succeeded(build))).collect();
    let of: BTreeSet<&str> = good.iter().map(|build| build.spec.image.as_str()).collect();
    assert_eq!((good.len(), of.len()), (count, count), "one build for each image: {told:#?}");
    // The machine may fail a pod, and the image is then tried again. What the operator could have lost or done twice is no such reason.
    for build in failed {
        let reason = succeeded(build).1;
        let ours = ["PodDeleted", "JobDeleted", "NameConflict", "TagConflict", "Cancelled"].contains(&reason.as_str());
        assert!(build.status.as_ref().unwrap().transient == Some(true) && !ours, "{told:#?}");
    }
    assert_eq!(world.api::<Job>().list(&ListParams::default()).await.unwrap().items.len(), all.len(), "one Job for each build");
    for n in 0..count {
        world.until::<ContainerImage>(&format!("c{n}"), "is ready", is_ready).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_build_that_waits_is_cancelled_when_main_goes_on() {
    let world = world("supersede").await.unwrap();
    let slow = dockerfile("1.0", "RUN sleep 20");
    world.commit("main", &[("containers/slow/Dockerfile", Some(&slow))]).await.unwrap();
    world.source(json!({"maxConcurrentBuilds": 1})).await.unwrap();
    world.image("slow", json!({})).await.unwrap();
    world.until::<ContainerImage>("slow", "is building", because("Building")).await.unwrap();
    let old = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "waits", because("BuildQueued")).await.unwrap();
    let new = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();
    assert_eq!(image.status.unwrap().latest.unwrap(), format!("v1.1-{}", short(&new)));
    let all = builds(&world).await;
    let of_old = all.iter().find(|build| build.spec.commit.as_deref() == Some(&old)).unwrap();
    let (status, reason, message) = succeeded(of_old);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Cancelled"));
    assert!(message.contains(short(&new)), "{message}");
    assert!(of_old.status.as_ref().unwrap().job.is_none(), "it never began");
    world.until::<ContainerImage>("slow", "is ready: what runs is finished", is_ready).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_build_that_runs_is_cancelled_by_hand() {
    let world = world("cancel").await.unwrap();
    let hangs = dockerfile("1.0", "RUN echo it hangs && sleep 600");
    world.commit("main", &[("containers/cv/Dockerfile", Some(&hangs))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let image: ContainerImage = world.until("cv", "is building", because("Building")).await.unwrap();
    let name = image.status.unwrap().variants[0].build.clone().unwrap();
    let at_step_2 = |b: &ImageBuild| succeeded(b).1 == "Building" && b.status.as_ref().unwrap().pod.is_some();
    let build: ImageBuild = world.until(&name, "is at step 2", at_step_2).await.unwrap();
    let (pod, of_step) = (build.status.unwrap().pod.unwrap(), LogParams { container: Some("build".to_owned()), ..LogParams::default() });
    let hangs = async || {
        // No log before the step has begun.
        world.api::<Pod>().logs(&pod, &of_step).await.is_ok_and(|log| log.contains("it hangs"))
    };
    within(Duration::from_secs(60), "the step says that it hangs", hangs).await;
    let patch = Patch::Merge(json!({"spec": {"cancel": true}}));
    world.api::<ImageBuild>().patch(&name, &PatchParams::default(), &patch).await.unwrap();
    let build: ImageBuild = world.until(&name, "has ended", ended).await.unwrap();
    assert_eq!(succeeded(&build).1, "Cancelled");
    assert!(build.status.unwrap().log_tail.is_some_and(|log| log.contains("it hangs")), "the log stays");
    world.until::<ContainerImage>("cv", "says so", because("BuildCancelled")).await.unwrap();
    within(Duration::from_secs(60), "the pod has ended", async || running(&world).await.is_empty()).await;
}
