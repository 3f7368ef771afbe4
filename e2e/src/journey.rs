//! The whole way of a change, as its owner sees it: a pull request, its image from a branch, a squash merge that makes that image an orphan,
//! the image from main, the commit of Mainstay, the pod. `make demo` shows it, a story proves it.

use kube::api::ListParams;
use mainstay_crds::{Class, ContainerImage, ImageBuild, ManifestPin};
use serde_json::json;

use crate::lab::{Context, Error, Result};
use crate::world::World;

/// A container of the repository, and the manifest that names its image.
#[derive(Debug, Clone)]
pub struct Change {
    /// Name of the ContainerImage.
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

    let arrived = |pin: &ManifestPin| {
        let Some(status) = &pin.status else { return false };
        status.pins.iter().any(|one| {
            let deployed = one.application.as_deref().is_some_and(|text| text.contains("Synced"));
            one.image == change.container
                && one.class == Class::Main
                && one.tag != old
                && deployed
                && one.running.as_deref().and_then(|text| text.split_once('/')).is_some_and(|(same, all)| same == all)
        })
    };
    let pin: ManifestPin = world.until(&change.pin, "has its newest image from main running", arrived).await?;
    let status = pin.status.unwrap_or_default();
    let one =
        status.pins.into_iter().find(|one| one.image == change.container).ok_or_else(|| Error::new("look at the pin", "it is gone"))?;
    let commit = one.changed_in.unwrap_or_default();
    let all = forge.commits(&world.name, "main").await?;
    let message = all.into_iter().find(|one| one.sha == commit).map(|one| one.message).unwrap_or_default();
    say(&format!("{} [main] is built, commit {} pins it, Argo CD says {}", one.tag, short(&commit), one.application.unwrap_or_default()));
    let pods = world.api::<k8s_openapi::api::core::v1::Pod>().list(&ListParams::default()).await.context("list the pods")?;
    let runs = pods
        .iter()
        .flat_map(|pod| pod.spec.iter())
        .flat_map(|spec| &spec.containers)
        .any(|container| container.image.as_deref().is_some_and(|image| image.ends_with(&format!(":{}", one.tag))));
    if !runs {
        return Err(Error::new("look for the pod", format!("no pod runs {}", one.tag)));
    }
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
