//! From a merged pull request to a running pod, with real Argo CD, and nobody touching a manifest on main.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use mainstay_crds::ManifestPin;
use mainstay_e2e::journey::{begin, travel};
use support::{pinned, world};

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_squash_merged_pull_request_becomes_the_running_pod() {
    let world = world("journey").await.unwrap();
    let change = begin(&world).await.unwrap();
    let before = world.lab.forge().read_file(&world.name, "main", &change.manifest).await.unwrap().unwrap();
    let pin: ManifestPin = world.until("all", "is up to date", |p: &ManifestPin| pinned(p).0 == "True").await.unwrap();
    let first = pin.status.unwrap().pins[0].tag.clone();

    let arrived = travel(&world, &change, |_| {}).await.unwrap();
    assert_ne!(arrived.tag, arrived.orphan);
    assert!(arrived.message.contains(&format!("{} [unknown] -> {} [main]", arrived.orphan, arrived.tag)), "{}", arrived.message);
    assert!(arrived.message.contains("Argocd-reference-commit-subject: Say it another way"), "{}", arrived.message);
    let file = world.lab.forge().read_file(&world.name, "main", &change.manifest).await.unwrap().unwrap();
    assert_eq!(file, before.replace(&first, &arrived.tag), "no other byte");
    let pin: ManifestPin = world.until("all", "is up to date", |p: &ManifestPin| pinned(p).0 == "True").await.unwrap();
    assert_eq!(pin.status.unwrap().violations, Some(0));
}
