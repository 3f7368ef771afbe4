//! A branch image of the very inputs that main has becomes main's without a build, where the repository allows it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use kube::api::ListParams;
use mainstay_crds::{ContainerImage, ImageBuild};
use mainstay_e2e::world::dockerfile;
use serde_json::json;
use support::{is_ready, ready, world};

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_squashed_branch_gives_its_image_to_main() {
    let world = world("promote").await.unwrap();
    let forge = world.lab.forge();
    forge.create_branch(&world.name, "feature", "main").await.unwrap();
    let commit = world.commit("feature", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    let (orphan, digest) = world.publish("cv", "1.0", &commit).await.unwrap();
    let number = forge.open_pull_request(&world.name, "feature", "Add cv").await.unwrap();
    forge.merge_pull_request(&world.name, number, "squash").await.unwrap();
    world.source(json!({"promoteIdentical": "Retag"})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();
    let variant = &image.status.as_ref().unwrap().variants[0];
    let tag = variant.tag.clone().unwrap();
    assert_ne!(tag, orphan);
    assert_eq!(variant.digest.as_ref(), Some(&digest), "{:?}", ready(&image));
    assert_eq!(variant.wanted.as_ref().map(|wanted| (&wanted.tag, &wanted.digest)), Some((&tag, &digest)));
    assert!(world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap().items.is_empty(), "nothing is built");
    let repository = world.repository("cv");
    let registry = world.lab.registry();
    assert_eq!(registry.manifest(&repository, &tag).await.unwrap().unwrap().digest, digest);
    // The registry of the lab keeps what is attached under a tag of its own.
    let attached = registry.manifest(&repository, &digest.replace(':', "-")).await.unwrap().unwrap();
    let artifact = &attached.content["manifests"][0];
    assert_eq!(artifact["artifactType"], "application/vnd.mainstay.promotion.v1+json");
    assert_eq!(artifact["annotations"]["mainstay.dev/promoted-to"].as_str(), variant.commit.as_deref());

    // The branch is deleted, and the image stays main's: what was attached says so.
    forge.delete_branch(&world.name, "feature").await.unwrap();
    world.annotate::<ContainerImage>("cv", mainstay_crds::names::RECONCILE_AT, "again").await.unwrap();
    let again = |i: &ContainerImage| i.status.as_ref().is_some_and(|s| s.last_handled_reconcile_at.as_deref() == Some("again"));
    let image: ContainerImage = world.until("cv", "has looked again", again).await.unwrap();
    assert_eq!(ready(&image).1, "UpToDate");
}
