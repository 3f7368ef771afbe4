//! Argo CD in the lab: what stands in the story's repository runs in its namespace.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use mainstay_e2e::lab::{Lab, argocd};
use mainstay_e2e::world::World;
use serde_json::json;

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: app
        image: app:kustomized
        command: [sleep, "3600"]
        env: [{name: WORDS, value: SAID}]
"#;

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {a: b}\n";

fn kustomization(lab: &Lab, resources: &str) -> String {
    let image = lab.image("library/busybox");
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [{resources}]\n\
         images:\n- name: app\n  newName: {image}\n  newTag: \"1\"\n"
    )
}

/// Image and words of the pods that run and do not end.
async fn running(world: &World) -> Vec<(String, String)> {
    let pods = world.api::<Pod>().list(&ListParams::default().labels("app=app")).await.unwrap().items;
    let pods = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.filter(|pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Running"))
        .map(|pod| {
            let container = pod.spec.unwrap().containers.remove(0);
            (container.image.unwrap(), container.env.unwrap().remove(0).value.unwrap())
        })
        .collect()
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_commit_to_the_manifests_becomes_the_running_pod() {
    let world = World::new(Lab::connect().unwrap(), "argocd").await.unwrap();
    let image = world.lab.image("library/busybox:1");
    let first = world
        .commit(
            "main",
            &[
                ("apps/app/kustomization.yaml", Some(&kustomization(&world.lab, "deployment.yaml, extra.yaml"))),
                ("apps/app/deployment.yaml", Some(&DEPLOYMENT.replace("SAID", "first"))),
                ("apps/app/extra.yaml", Some(CONFIG)),
            ],
        )
        .await
        .unwrap();
    world.deploy("apps/app").await.unwrap();
    let status = world.deployed(&first).await.unwrap();
    assert_eq!(status["sourceType"], "Kustomize");
    assert_eq!(running(&world).await, [(image.clone(), "first".to_owned())]);
    world.until::<ConfigMap>("extra", "is there", |_| true).await.unwrap();

    // A push is seen by itself; what is gone from the repository goes from the cluster.
    let second = world
        .commit(
            "main",
            &[
                ("apps/app/kustomization.yaml", Some(&kustomization(&world.lab, "deployment.yaml"))),
                ("apps/app/deployment.yaml", Some(&DEPLOYMENT.replace("SAID", "second"))),
                ("apps/app/extra.yaml", None),
            ],
        )
        .await
        .unwrap();
    let status = world.deployed(&second).await.unwrap();
    assert_eq!(status["operationState"]["syncResult"]["revision"], second.as_str());
    assert_eq!(running(&world).await, [(image, "second".to_owned())]);
    assert!(world.api::<ConfigMap>().get_opt("extra").await.unwrap().is_none());

    // What somebody else changes is undone.
    let scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
    world.api::<Deployment>().patch("app", &PatchParams::default(), &scale).await.unwrap();
    let undone = |deployment: &Deployment| deployment.status.as_ref().is_some_and(|status| status.ready_replicas == Some(1));
    world.until::<Deployment>("app", "runs again", |d| d.spec.replicas == Some(1) && undone(d)).await.unwrap();

    // The story leaves nothing with Argo CD.
    world.remove().await.unwrap();
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(world.client.clone(), argocd::NAMESPACE);
    assert!(secrets.get_opt("repository-story-argocd").await.unwrap().is_none());
    let applications = world.lab.run("kubectl", &["-n", argocd::NAMESPACE, "get", "applications", "-o", "name"]).await.unwrap();
    assert!(!applications.contains("story-argocd"), "{applications}");
}
