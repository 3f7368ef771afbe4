//! From a merged pull request to a running pod, with real Argo CD, and nobody touching a manifest on main.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use mainstay_crds::{ContainerImage, ManifestPin};
use mainstay_e2e::journey::{Change, travel};
use mainstay_e2e::world::dockerfile;
use serde_json::json;
use support::{is_ready, pinned, world};

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_squash_merged_pull_request_becomes_the_running_pod() {
    let world = world("journey").await.unwrap();
    let image = world.lab.image(&world.repository("web"));
    let build = dockerfile("1.0", "COPY words /words\nCMD [\"sleep\", \"3600\"]");
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers: [{name: web, image: web:kustomized}]\n";
    let kustomization =
        format!("kind: Kustomization\nresources: [deployment.yaml]\nimages:\n- name: web\n  newName: {image}\n  newTag: v1.0-0000000\n");
    world
        .commit(
            "main",
            &[
                ("containers/web/Dockerfile", Some(&build)),
                ("containers/web/words", Some("one\n")),
                ("apps/web/deployment.yaml", Some(deployment)),
                ("apps/web/kustomization.yaml", Some(&kustomization)),
            ],
        )
        .await
        .unwrap();
    world.source(json!({})).await.unwrap();
    world.image("web", json!({})).await.unwrap();
    world.pin("all", json!({"paths": ["apps"], "violations": "Repair"})).await.unwrap();
    let first: ContainerImage = world.until("web", "is ready", is_ready).await.unwrap();
    let first = first.status.unwrap().latest.unwrap();
    let tag = first.clone();
    world
        .until("all", "has pinned the first", move |p: &ManifestPin| {
            p.status.as_ref().is_some_and(|s| s.pins.iter().any(|one| one.tag == tag))
        })
        .await
        .unwrap();
    world.deploy("apps/web").await.unwrap();

    let change = Change {
        container: "web".into(),
        file: ("containers/web/words".into(), "two\n".into()),
        manifest: "apps/web/kustomization.yaml".into(),
        pin: "all".into(),
    };
    let arrived = travel(&world, &change, |_| {}).await.unwrap();
    assert_ne!(arrived.tag, arrived.orphan);
    assert!(arrived.message.contains(&format!("{} [unknown] -> {} [main]", arrived.orphan, arrived.tag)), "{}", arrived.message);
    assert!(arrived.message.contains("Argocd-reference-commit-subject: Say it another way"), "{}", arrived.message);
    let file = world.lab.forge().read_file(&world.name, "main", "apps/web/kustomization.yaml").await.unwrap().unwrap();
    assert_eq!(file, kustomization.replace("v1.0-0000000", &arrived.tag), "no other byte");
    let pin: ManifestPin = world.until("all", "is up to date", |p: &ManifestPin| pinned(p).0 == "True").await.unwrap();
    assert_eq!(pin.status.unwrap().violations, Some(0));
}
