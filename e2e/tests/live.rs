//! Without GitOps: live workloads follow the newest image from main, and what Argo CD manages is left to it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use k8s_openapi::api::apps::v1::Deployment;
use mainstay_crds::{ContainerImage, ManifestPin, names};
use mainstay_e2e::world::{World, dockerfile};
use serde_json::{Value, json};
use support::{is_ready, pinned, world};

/// A Deployment of no pods: its image is looked at, not run.
fn deployment(name: &str, image: &str, annotations: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "annotations": annotations},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": image}, {"name": "other", "image": "registry.example/other:1"}]},
        }},
    })
}

fn images(deployment: &Deployment) -> Vec<String> {
    let pod = deployment.spec.clone().template.spec.unwrap();
    pod.containers.into_iter().filter_map(|container| container.image).collect()
}

async fn release(world: &World, line: &str) -> String {
    let commit =
        world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", &format!("RUN echo {line}"))))]).await.unwrap();
    let (tag, _) = world.publish("cv", "1.0", &commit).await.unwrap();
    format!("{}:{tag}", world.lab.image(&world.repository("cv")))
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn live_workloads_follow_main_unless_argo_cd_manages_them() {
    let world = world("live").await.unwrap();
    let first = release(&world, "one").await;
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({"suspend": true})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    world.apply(&deployment("free", &first, json!({}))).await.unwrap();
    world.apply(&deployment("managed", &first, json!({"argocd.argoproj.io/tracking-id": "x:apps/Deployment:y/managed"}))).await.unwrap();
    world.pin("live", json!({"target": "Cluster"})).await.unwrap();
    let pin: ManifestPin = world.until("live", "is up to date", |p: &ManifestPin| pinned(p).1 == "UpToDate").await.unwrap();
    let skipped = pin.status.unwrap().skipped;
    assert_eq!((skipped[0].path.as_str(), skipped[0].reason.as_str()), ("Deployment/managed", "ManagedByGitOps"));

    let second = release(&world, "two").await;
    world.annotate::<ContainerImage>("cv", names::RECONCILE_AT, "two").await.unwrap();
    let wanted = second.clone();
    let free: Deployment = world.until("free", "follows", move |d: &Deployment| images(d)[0] == wanted).await.unwrap();
    assert_eq!(images(&free)[1], "registry.example/other:1");
    let managers: Vec<_> = free.metadata.managed_fields.unwrap().into_iter().filter_map(|entry| entry.manager).collect();
    assert!(managers.iter().any(|manager| manager == "mainstay-pin"), "{managers:?}");
    let managed: Deployment = world.until("managed", "is there", |_| true).await.unwrap();
    assert_eq!(images(&managed)[0], first);
}
