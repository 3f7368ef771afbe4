//! The whole way of a change, as its owner sees it: a pull request, its image from a branch, a squash merge that makes that image an orphan,
//! the image from main, the commit of Mainstay, the pod. `make demo` shows it, a story proves it.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use mainstay_crds::{Class, ContainerImage, ImageBuild, ManifestPin, PinStatus};
use serde_json::json;

use crate::lab::{Context, Error, Result};
use crate::world::{World, dockerfile};

/// A container of the repository, and the manifest that names its image.
#[derive(Debug, Clone)]
pub struct Change {
    /// Name of the ContainerImage, and of the Deployment that runs it.
    pub container: String,
    /// A file of it, and what the pull request writes into it.
    pub file: (String, String),
    /// The manifest whose tag is moved.
    pub manifest: String,
    /// Name of the ManifestPin.
    pub pin: String,
}

/// How it ended.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The tag from the branch, which nobody may run.
    pub orphan: String,
    /// The tag from main.
    pub tag: String,
    /// The commit of Mainstay that pinned it.
    pub commit: String,
    /// Its whole message.
    pub message: String,
}

/// The tag that [`files`] pins before there is any image.
pub const NO_IMAGE: &str = "v1.0-0000000";

/// A repository with one container and the manifests of its Deployment, and what may be changed in it.
pub fn files(world: &World) -> (Change, Vec<(String, String)>) {
    let build = dockerfile("1.0", "COPY words /words\nCMD [\"sleep\", \"3600\"]");
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers: [{name: web, image: web:kustomized}]\n";
    let kustomization = format!(
        "kind: Kustomization\nresources: [deployment.yaml]\nimages:\n- name: web\n  newName: {}\n  newTag: {NO_IMAGE}\n",
        world.lab.image(&world.repository("web")),
    );
    let change = Change {
        container: "web".into(),
        file: ("containers/web/words".into(), "two\n".into()),
        manifest: "apps/web/kustomization.yaml".into(),
        pin: "all".into(),
    };
    let files = [
        ("containers/web/Dockerfile", build.as_str()),
        ("containers/web/words", "one\n"),
        ("apps/web/deployment.yaml", deployment),
        (&change.manifest, &kustomization),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    (change, files)
}

/// Gives a story that repository, its objects and an Application for the manifests, and waits until a pod runs the first image from main.
///
/// # Errors
/// Where it does not come to that.
pub async fn begin(world: &World) -> Result<Change> {
    let (change, files) = files(world);
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &files).await?;
    world.source(json!({})).await?;
    world.image(&change.container, json!({})).await?;
    world.pin(&change.pin, json!({"paths": ["apps"], "violations": "Repair"})).await?;
    let built = |pin: &ManifestPin| pin.status.as_ref().is_some_and(|status| status.pins.iter().any(|one| one.class == Class::Main));
    world.until(&change.pin, "has pinned the first image", built).await?;
    world.deploy("apps/web").await?;
    running(world, &change, NO_IMAGE).await?;
    Ok(change)
}

/// Waits until the image from main is pinned, is another than `old`, is synced and runs in every pod, and gives its pin.
///
/// # Errors
/// Where it does not come to that.
pub async fn running(world: &World, change: &Change, old: &str) -> Result<PinStatus> {
    let arrived = |one: &PinStatus| {
        let deployed = one.application.as_deref().is_some_and(|text| text.contains("Synced"));
        one.image == change.container
            && one.class == Class::Main
            && one.tag != old
            && deployed
            && one.running.as_deref().and_then(|text| text.split_once('/')).is_some_and(|(same, all)| same == all)
    };
    let has_arrived = |pin: &ManifestPin| pin.status.as_ref().is_some_and(|status| status.pins.iter().any(arrived));
    let pin: ManifestPin = world.until(&change.pin, "has its newest image from main running", has_arrived).await?;
    let pins = pin.status.unwrap_or_default().pins;
    let one = pins.into_iter().find(arrived).ok_or_else(|| Error::new("look at the pin", "it is gone"))?;
    let tag = format!(":{}", one.tag);
    let has_pods = |deployment: &Deployment| {
        let template = deployment.spec.template.spec.as_ref();
        let named =
            template.is_some_and(|pod| pod.containers.iter().any(|one| one.image.as_deref().is_some_and(|image| image.ends_with(&tag))));
        let seen = |status: &DeploymentStatus| status.observed_generation == deployment.metadata.generation;
        let all_ready = |status: &DeploymentStatus| status.ready_replicas.is_some() && status.ready_replicas == status.updated_replicas;
        named && deployment.status.as_ref().is_some_and(|status| seen(status) && all_ready(status))
    };
    world.until(&change.container, &format!("has pods of {}", one.tag), has_pods).await?;
    Ok(one)
}

/// Makes the change on a branch, builds it there by hand, pins that image in the same pull request, squash-merges it, and waits until
/// the image from main runs. `say` is told each step.
///
/// # Errors
/// Where a step does not come to its end.
pub async fn travel(world: &World, change: &Change, say: impl Fn(&str)) -> Result<Arrived> {
    let forge = world.lab.forge();
    let branch = "feature";
    forge.create_branch(&world.name, branch, "main").await?;
    let (path, text) = &change.file;
    let commit = forge.commit(&world.name, branch, "Say it another way", &[(path, Some(text))]).await?;
    say(&format!("a branch changes {path} (commit {})", short(&commit)));
    world.build("by-hand", json!({"image": change.container, "ref": branch})).await?;
    let ended = |build: &ImageBuild| build.status.as_ref().is_some_and(|status| status.completed_at.is_some());
    let build: ImageBuild = world.until("by-hand", "has ended", ended).await?;
    let orphan = build.status.and_then(|status| status.tag).unwrap_or_default();
    let before = current(world, &change.manifest, "main").await?;
    let known = world.api::<ManifestPin>().get(&change.pin).await.context("look at the ManifestPin")?;
    let old = known.status.and_then(|status| status.pins.first().map(|pin| pin.tag.clone())).unwrap_or_default();
    forge.commit(&world.name, branch, "Try it", &[(&change.manifest, Some(&before.replace(&old, &orphan)))]).await?;
    say(&format!("its image {orphan} [branch] is built by hand, and its pull request pins it"));
    let number = forge.open_pull_request(&world.name, branch, "Say it another way").await?;
    forge.merge_pull_request(&world.name, number, "squash").await?;
    forge.delete_branch(&world.name, branch).await?;
    say(&format!("pull request {number} is squash-merged and its branch deleted: main now pins an orphan"));

    let one = running(world, change, &old).await?;
    let commit = one.changed_in.unwrap_or_default();
    let all = forge.commits(&world.name, "main").await?;
    let message = all.into_iter().find(|one| one.sha == commit).map(|one| one.message).unwrap_or_default();
    say(&format!("{} [main] is built, commit {} pins it, Argo CD says {}", one.tag, short(&commit), one.application.unwrap_or_default()));
    let image: ContainerImage = world.api().get(&change.container).await.context("look at the ContainerImage")?;
    let latest = image.status.and_then(|status| status.latest).unwrap_or_default();
    say(&format!("{} pods of {} run it; kubectl get cimg says {latest}", one.running.unwrap_or_default(), change.container));
    Ok(Arrived { orphan, tag: one.tag, commit, message })
}

async fn current(world: &World, path: &str, branch: &str) -> Result<String> {
    let found = world.lab.forge().read_file(&world.name, branch, path).await?;
    found.ok_or_else(|| Error::new("read the manifest", format!("{path} is not on {branch}")))
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
