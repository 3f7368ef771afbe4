//! Each engine's pods are let in by the pod security level that its page names, and by none below: judged by the API server itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, PodSpec};
use kube::api::{Api, Patch, PatchParams, PostParams};
use mainstay_crds::{ContainerImage, ImageBuild};
use mainstay_e2e::operator::{NAMESPACE, RELEASE};
use mainstay_e2e::world::{DEFAULT_NIX, World, dockerfile};
use serde_json::json;
use support::{is_ready, succeeded, within, world};

/// From the strictest on.
const LEVELS: [&str; 3] = ["restricted", "baseline", "privileged"];

/// Labels the namespace, and waits until the API server judges by it: it learns of labels a moment later.
async fn enforce(world: &World, level: Option<&str>) {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let patch = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
    namespaces.patch(&world.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    // Any level but the last refuses it by name.
    let probe: Pod = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"hostNetwork": true, "containers": [{"name": "probe", "image": "probe"}]},
    }))
    .unwrap();
    let wanted = level.filter(|level| *level != "privileged");
    let as_wanted = async || {
        let said = dry_run(world, &probe).await.err();
        match wanted {
            Some(level) => said.is_some_and(|said| said.contains(&format!("PodSecurity \"{level}:"))),
            None => said.is_none(),
        }
    };
    within(Duration::from_secs(10), &format!("the API server judges by level {level:?}"), as_wanted).await;
}

async fn dry_run(world: &World, pod: &Pod) -> Result<(), String> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    world.api::<Pod>().create(&params, pod).await.map(drop).map_err(|error| error.to_string())
}

/// The strictest level that lets a pod in, and what the one before said.
async fn strictest(world: &World, spec: &PodSpec) -> (&'static str, String) {
    let pod = Pod {
        metadata: kube::api::ObjectMeta { name: Some("judged".into()), ..Default::default() },
        spec: Some(PodSpec { service_account_name: None, service_account: None, ..spec.clone() }),
        status: None,
    };
    let mut refusal = String::new();
    for level in LEVELS {
        enforce(world, Some(level)).await;
        match dry_run(world, &pod).await {
            Ok(()) => return (level, refusal),
            Err(said) => refusal = said,
        }
        assert!(refusal.contains("violates PodSecurity"), "{refusal}");
    }
    panic!("no level lets it in: {refusal}");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn each_engine_needs_the_level_that_its_page_names() {
    let world = world("podsecurity").await.unwrap();
    let text = dockerfile("1.0", "RUN true");
    world
        .commit(
            "main",
            &[
                ("containers/buildkit/Dockerfile", Some(&text)),
                ("containers/kaniko/Dockerfile", Some(&text)),
                ("containers/nix/default.nix", Some(DEFAULT_NIX)),
            ],
        )
        .await
        .unwrap();
    world.source(json!({})).await.unwrap();
    for (name, wanted) in [("buildkit", "privileged"), ("kaniko", "baseline"), ("nix", "baseline")] {
        let spec = if name == "nix" { json!({}) } else { json!({"build": {"engine": name}}) };
        world.image(name, spec).await.unwrap();
        let has_build = |image: &ContainerImage| image.status.as_ref().is_some_and(|s| s.variants.iter().any(|v| v.build.is_some()));
        let image: ContainerImage = world.until(name, "has a build", has_build).await.unwrap();
        let build = image.status.unwrap().variants[0].build.clone().unwrap();
        let made: ImageBuild =
            world.until(&build, "has a Job", |b: &ImageBuild| b.status.as_ref().is_some_and(|s| s.pod.is_some())).await.unwrap();
        let job: Job = world.api().get(&made.status.unwrap().job.unwrap().name).await.unwrap();
        let spec = job.spec.unwrap().template.spec.unwrap();
        assert_eq!(spec.automount_service_account_token, Some(false));
        let (level, refusal) = strictest(&world, &spec).await;
        assert_eq!(level, wanted, "{name}: {refusal}");
        enforce(&world, None).await;
    }
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), NAMESPACE);
    let operator = deployments.get(RELEASE).await.unwrap();
    assert_eq!(strictest(&world, &operator.spec.template.spec.unwrap()).await.0, "restricted");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_namespace_that_refuses_an_engine_says_so_and_the_build_goes_on_when_it_does_not() {
    let world = world("podrefused").await.unwrap();
    enforce(&world, Some("baseline")).await;
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({"build": {"engine": "buildkit"}})).await.unwrap();
    let refused = |image: &ContainerImage| support::ready(image).2.contains("violates PodSecurity");
    let image: ContainerImage = world.until("cv", "says that its pod is refused", refused).await.unwrap();
    let build: ImageBuild = world.api().get(image.status.unwrap().variants[0].build.as_ref().unwrap()).await.unwrap();
    let (status, reason, message) = succeeded(&build);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "PodRefused"), "{message}");
    assert!(message.contains("label the namespace") && message.contains("spec.build.engine"), "{message}");
    enforce(&world, None).await;
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn an_engine_whose_image_is_missing_names_the_value_to_set() {
    let world = world("noengine").await.unwrap();
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({"build": {"engine": "kaniko"}})).await.unwrap();
    let says = |image: &ContainerImage| support::ready(image).2.contains("engines.<engine>.image");
    let image: ContainerImage = world.until("cv", "says which image is missing", says).await.unwrap();
    let build: ImageBuild = world.api().get(image.status.unwrap().variants[0].build.as_ref().unwrap()).await.unwrap();
    let (_, reason, message) = succeeded(&build);
    assert!(reason == "ImagePullFailed" && message.contains("mainstay/kaniko:none"), "{reason}: {message}");
}
