//! Mainstay comes, is upgraded, goes back and goes, by Helm and by plain YAML: each way ends in a running pod of a pinned image from main.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::{Api, ListParams, PostParams};
use mainstay_crds::{ContainerImage, ImageBuild};
use mainstay_e2e::journey::{NO_IMAGE, begin, running};
use mainstay_e2e::lab::{Lab, machine};
use mainstay_e2e::operator::{self, NAMESPACE, RELEASE};
use mainstay_e2e::world::{World, dockerfile};
use serde_json::{Value, json};
use support::release::{bare, build_slowly, ends_once, history, turn};
use support::{is_ready, world};
use tempfile::TempDir;

/// A field that the kinds of [`next_version`] have.
const NEW_FIELD: &str = "fromTheNextVersion";

/// The chart as a later version may be: with a field more.
async fn next_version(lab: &Lab) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let chart = machine::checkout().unwrap().join("charts/mainstay");
    lab.run("cp", &["-rL", &chart.display().to_string(), &folder.path().display().to_string()]).await.unwrap();
    let chart = folder.path().join("mainstay");
    let about = std::fs::read_to_string(chart.join("Chart.yaml")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), about.replace("\nversion: ", "\nversion: 9")).unwrap();
    let kind = chart.join("generated/containerimages.yaml");
    let mut definition: Value = serde_saphyr::from_str(&std::fs::read_to_string(&kind).unwrap()).unwrap();
    let fields = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").unwrap();
    fields[NEW_FIELD] = json!({"type": "string", "description": "New."});
    std::fs::write(&kind, definition.to_string()).unwrap();
    folder
}

/// Whether the API server keeps the new field of an object that has it. It learns of a definition a moment after it is written.
async fn keeps_the_new_field(world: &World, wanted: bool) -> bool {
    let patch = json!({"spec": {NEW_FIELD: "x"}}).to_string();
    let at = format!("jsonpath={{.spec.{NEW_FIELD}}}");
    for _ in 0..40 {
        world.lab.run("kubectl", &["-n", &world.name, "patch", "cimg", "web", "--type=merge", "-p", &patch]).await.unwrap();
        let kept = world.lab.run("kubectl", &["-n", &world.name, "get", "cimg", "web", "-o", &at]).await.unwrap() == "x";
        if kept == wanted {
            return kept;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    !wanted
}

/// A line of the operator's configuration.
async fn interval(lab: &Lab) -> String {
    let args = ["-n", NAMESPACE, "get", "configmap", RELEASE, "-o", "jsonpath={.data.config\\.yaml}"];
    let config = lab.run("kubectl", &args).await.unwrap();
    config.lines().find(|line| line.starts_with("interval:")).unwrap().to_owned()
}

async fn rolled_out(lab: &Lab) {
    lab.run("kubectl", &["-n", NAMESPACE, "rollout", "status", "deployment/mainstay", "--timeout=2m"]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn helm_installs_upgrades_goes_back_and_leaves_the_objects() {
    let (_turn, world) = bare("byhelm").await;
    let lab = &world.lab;
    let (_, digest) = operator::publish(lab).await.unwrap();
    let settings = [("image.digest", digest.as_str())];
    operator::install(lab, &settings).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), NAMESPACE);
    let pod = deployments.get(RELEASE).await.unwrap().spec.template.spec.unwrap();
    assert!(pod.containers[0].image.as_ref().unwrap().ends_with(&format!("@{digest}")), "{:?}", pod.containers[0].image);
    let change = begin(&world).await.unwrap();
    let first = running(&world, &change, NO_IMAGE).await.unwrap();

    // Another version with other settings, while a build runs.
    assert!(!keeps_the_new_field(&world, false).await);
    let build = build_slowly(&world, "upgrade").await;
    let next = next_version(lab).await;
    let chart = next.path().join("mainstay");
    operator::install_chart(lab, &chart, &[&settings[..], &[("interval", "3s")]].concat()).await.unwrap();
    assert_eq!(interval(lab).await, "interval: 3s");
    ends_once(&world, &build).await;
    assert!(keeps_the_new_field(&world, true).await, "the kinds are upgraded too");
    let second = running(&world, &change, &first.tag).await.unwrap();

    // And back, while another runs and an object has what the older version does not know.
    let build = build_slowly(&world, "back").await;
    lab.run("helm", &["rollback", RELEASE, "--namespace", NAMESPACE, "--force-conflicts", "--wait", "--timeout", "3m"]).await.unwrap();
    assert_eq!(interval(lab).await, "interval: 2s");
    ends_once(&world, &build).await;
    assert!(!keeps_the_new_field(&world, false).await);
    running(&world, &change, &second.tag).await.unwrap();

    // Gone: what it made stays and runs. Back again: nothing is done twice.
    world.until::<ContainerImage>("web", "is ready", is_ready).await.unwrap();
    let before = history(&world).await;
    operator::uninstall(lab).await.unwrap();
    assert_eq!(history(&world).await, before);
    let still: Deployment = world.api::<Deployment>().get("web").await.unwrap();
    assert_eq!(still.status.unwrap().ready_replicas, Some(1));
    operator::install(lab, &[]).await.unwrap();
    world.annotate::<ContainerImage>("web", "mainstay.dev/reconcile-at", "after").await.unwrap();
    let seen = |image: &ContainerImage| image.status.as_ref().is_some_and(|s| s.last_handled_reconcile_at.as_deref() == Some("after"));
    world.until::<ContainerImage>("web", "is looked at again", |image| seen(image) && is_ready(image)).await.unwrap();
    assert_eq!(history(&world).await, before);
}

/// Renders the chart as those do who have no Helm in their cluster.
async fn render(lab: &Lab, into: &Path, settings: &[&str]) -> String {
    let script = machine::checkout().unwrap().join("charts/render.sh").display().to_string();
    let (tag, _) = operator::publish(lab).await.unwrap();
    let (values, image) = (operator::values().unwrap().display().to_string(), format!("image.tag={tag}"));
    let into = into.display().to_string();
    let mut args = vec![into.as_str(), "--values", &values, "--set-string", &image];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    lab.run(&script, &args).await.unwrap();
    into
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn plain_yaml_installs_upgrades_and_gives_way_to_helm() {
    let (_turn, world) = bare("byyaml").await;
    let (lab, folder) = (&world.lab, tempfile::tempdir().unwrap());
    let out = render(lab, folder.path(), &[]).await;
    lab.run("kubectl", &["apply", "--server-side", "-k", &out]).await.unwrap();
    rolled_out(lab).await;
    let change = begin(&world).await.unwrap();
    let first = running(&world, &change, NO_IMAGE).await.unwrap();

    let build = build_slowly(&world, "upgrade").await;
    render(lab, folder.path(), &["interval=3s"]).await;
    let file = format!("{out}/install.yaml");
    lab.run("kubectl", &["apply", "--server-side", "-f", &file]).await.unwrap();
    rolled_out(lab).await;
    assert_eq!(interval(lab).await, "interval: 3s");
    ends_once(&world, &build).await;
    running(&world, &change, &first.tag).await.unwrap();

    // Without the kinds everything can go, and come again.
    world.until::<ContainerImage>("web", "is ready", is_ready).await.unwrap();
    let before = history(&world).await;
    let rest = tempfile::tempdir().unwrap();
    let rest = render(lab, rest.path(), &["crds.install=false"]).await;
    lab.run("kubectl", &["delete", "--ignore-not-found", "--wait", "--timeout=2m", "-f", &format!("{rest}/install.yaml")]).await.unwrap();
    assert_eq!(support::release::objects_of_the_operator(lab).await, "");
    assert_eq!(history(&world).await, before, "the objects stay");
    lab.run("kubectl", &["apply", "--server-side", "-f", &file]).await.unwrap();
    rolled_out(lab).await;

    operator::install(lab, &[]).await.unwrap();
    assert_eq!(interval(lab).await, "interval: 2s", "it is Helm's now");
    world.annotate::<ContainerImage>("web", "mainstay.dev/reconcile-at", "after").await.unwrap();
    let seen = |image: &ContainerImage| image.status.as_ref().is_some_and(|s| s.last_handled_reconcile_at.as_deref() == Some("after"));
    world.until::<ContainerImage>("web", "is looked at again", |image| seen(image) && is_ready(image)).await.unwrap();
    assert_eq!(history(&world).await, before, "nothing is done twice");
}

/// Whether the operator may do this in a namespace; in all where none is named.
async fn may(world: &World, verb: &str, resource: &str, namespace: &str) -> bool {
    let review: SubjectAccessReview = serde_json::from_value(json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {"user": operator::ACCOUNT, "resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace}},
    }))
    .unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(world.client.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn of_three_namespaces_two_are_watched() {
    let _turn = turn().await;
    let worlds = [world("watched-a").await.unwrap(), world("watched-b").await.unwrap(), world("unwatched").await.unwrap()];
    let [a, b, other] = &worlds;
    let lab = &a.lab;
    operator::install(lab, &[("watchNamespaces[0]", &a.name), ("watchNamespaces[1]", &b.name)]).await.unwrap();
    for world in &worlds {
        world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
        world.source(json!({})).await.unwrap();
        world.image("cv", json!({})).await.unwrap();
    }
    for world in [a, b] {
        world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    }
    // Both go on being watched.
    for world in [b, a] {
        let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
        let tag = format!("v1.1-{}", support::short(&commit));
        let has_it = |image: &ContainerImage| image.status.as_ref().is_some_and(|status| status.latest.as_deref() == Some(&tag));
        world.until::<ContainerImage>("cv", "has the next", has_it).await.unwrap();
    }
    let left_alone: ContainerImage = other.api().get("cv").await.unwrap();
    assert!(left_alone.status.is_none(), "{:?}", left_alone.status);
    assert!(other.api::<ImageBuild>().list(&ListParams::default()).await.unwrap().items.is_empty());
    let rights = [
        may(a, "get", "secrets", &a.name).await,
        may(a, "get", "secrets", &b.name).await,
        may(a, "get", "secrets", &other.name).await,
        may(a, "get", "secrets", NAMESPACE).await,
        may(a, "get", "secrets", "").await,
        may(a, "list", "pods", &other.name).await,
        may(a, "list", "nodes", "").await,
    ];

    // As it was, for the stories that follow; and what waited is looked at.
    operator::install(lab, &[]).await.unwrap();
    assert_eq!(rights, [true, true, false, false, false, false, true]);
    other.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
}
