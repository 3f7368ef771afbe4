//! The chart's admission policy with a real API server: what it refuses and where, with ten thousand digests, and without its parameter.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use mainstay_crds::{AllowedImages, ContainerImage};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;
use support::{because, world};

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn only_images_from_main_are_let_in() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/mainstay/tests/admission.sh");
    let said = support::lab().await.unwrap().run("bash", &[script]).await.unwrap();
    assert!(said.contains("admission: all passed"), "{said}");
}

/// Whether the policy lets a pod with this image into the story's namespace. Nothing is run.
async fn lets_in(world: &World, image: &str) -> Result<(), String> {
    let pod: Pod = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try"}, "spec": {"containers": [{"name": "a", "image": image}]},
    }))
    .unwrap();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    world.api::<Pod>().create(&params, &pod).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn the_operator_keeps_the_list_of_what_is_from_main() {
    let world = world("allowed").await.unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.lab.forge().create_branch(&world.name, "feature", "main").await.unwrap();
    let orphan = world.commit("feature", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
    let (tag, digest) = world.publish("cv", "1.0", &commit).await.unwrap();
    let (of_branch, of_branch_digest) = world.publish("cv", "1.1", &orphan).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", because("UpToDate")).await.unwrap();

    let prefix = world.lab.image(&world.name);
    let settings = [("buildNamespaces[0]", world.name.as_str()), ("admission.mode", "deny"), ("admission.prefixes[0]", prefix.as_str())];
    operator::install(&world.lab, &settings).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let label = json!({"metadata": {"labels": {"mainstay.dev/only-main": "true"}}});
    namespaces.patch(&world.name, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    let lists: Api<AllowedImages> = Api::namespaced(world.client.clone(), operator::NAMESPACE);
    let image = world.lab.image(&world.repository("cv"));
    let lines = |list: AllowedImages| list.spec.images.into_values().flat_map(|lines| lines.lines().map(str::to_owned).collect::<Vec<_>>());
    let mut found = Vec::new();
    for _ in 0..240 {
        found = lists.get_opt("mainstay-images").await.unwrap().into_iter().flat_map(lines).collect();
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    found.sort();
    assert_eq!(found, [format!("{image}:{tag}"), digest.clone()]);
    // The API server learns of policy and list a moment after they are written.
    for _ in 0..120 {
        if lets_in(&world, &format!("{image}:{of_branch}")).await.is_err() && lets_in(&world, &format!("{image}:{tag}")).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let verdicts = [
        lets_in(&world, &format!("{image}:{tag}")).await,
        lets_in(&world, &format!("{image}:{tag}@{digest}")).await,
        lets_in(&world, &format!("{image}:{of_branch}")).await,
        lets_in(&world, &format!("{image}@{of_branch_digest}")).await,
        lets_in(&world, "elsewhere.example/x:1").await,
    ];
    // As it was, for the stories that follow.
    operator::install(&world.lab, &[]).await.unwrap();
    assert_eq!(verdicts.each_ref().map(Result::is_ok), [true, true, false, false, true], "{verdicts:?}");
    assert!(verdicts[2].as_ref().unwrap_err().contains("not known to be from main"), "{verdicts:?}");
}
