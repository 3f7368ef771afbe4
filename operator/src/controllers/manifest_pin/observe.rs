//! What a ManifestPin is about: the images it keeps pinned, the places that name them, and how each lies in main's graph.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt;
use mainstay_crds::{Class, ManifestPin, PinTarget, Reason, SkippedPlace, SourceRepository, Variant};

use super::images::{self, Image};
use super::plan::{Pin, Wanted};
use super::{history, rivals};
use crate::clients::git::Manifest;
use crate::controllers::context::Context;
use crate::controllers::problem::Problem;
use crate::controllers::source::{self, clone_key};
use crate::domain::class;
use crate::domain::graph::{self, Graph};
use crate::domain::pin::{self, Place, Targets};
use crate::domain::selection::Selection;
use crate::domain::tag;

/// Everything that was seen at one commit.
pub(super) struct Seen {
    pub(super) repository: Arc<SourceRepository>,
    pub(super) branch: String,
    /// Commit that the manifests were read at, 40 hex digits; empty where live workloads are pinned.
    pub(super) head: String,
    pub(super) graph: Arc<Graph>,
    pub(super) images: Vec<Image>,
    pub(super) pins: Vec<Pin>,
    /// For each pin its file and place.
    pub(super) places: Vec<(usize, Place)>,
    pub(super) files: Vec<Manifest>,
    pub(super) targets: Targets,
    pub(super) skipped: Vec<SkippedPlace>,
}

/// Looks at everything that the plan needs.
pub(super) async fn observe(object: &ManifestPin, ctx: &Context) -> Result<Seen, Problem> {
    let namespace = object.namespace().unwrap_or_default();
    let repository = source::named(&namespace, object.spec.source_ref.as_ref(), ctx)?;
    source::head(&repository)?;
    let key = clone_key(&repository);
    let graph = ctx.calls.outside("git.graph", ctx.git.graph(&key)).await?;
    let head = graph.head().map(hex::encode).unwrap_or_default();
    let branch = repository.status.as_ref().and_then(|s| s.resolved.as_ref()).map_or_else(|| "main".to_owned(), |r| r.branch.clone());
    let images = images::observe(object, ctx).await?;
    let targets: Targets = images.iter().map(|image| image.resolved.image.clone()).collect();
    let mut seen = Seen {
        repository,
        branch,
        head,
        graph,
        images,
        pins: Vec::new(),
        places: Vec::new(),
        files: Vec::new(),
        targets,
        skipped: Vec::new(),
    };
    if object.spec.target.unwrap_or_default() == PinTarget::Cluster {
        super::cluster::observe(object, ctx, &mut seen).await?;
    } else {
        manifests(object, ctx, &key, &mut seen).await?;
    }
    presence(ctx, &mut seen).await?;
    Ok(seen)
}

/// The pins of the manifests at the head of the branch.
async fn manifests(object: &ManifestPin, ctx: &Context, key: &str, seen: &mut Seen) -> Result<(), Problem> {
    let selection = Selection::new(&object.spec.paths, &object.spec.exclude).map_err(|text| Problem::stuck(Reason::InvalidSpec, text))?;
    let found = ctx.calls.outside("git.blobs", ctx.git.blobs(key, &seen.head, move |path| selection.matches(path))).await?;
    for skipped in found.skipped {
        seen.skipped.push(SkippedPlace { path: skipped.path, reason: skipped.reason.into(), message: skipped.message });
    }
    for (at, file) in found.files.iter().enumerate() {
        let scan = match pin::scan(&file.bytes, &seen.targets) {
            Ok(scan) => scan,
            Err(unreadable) => {
                let message = format!("{unreadable}: the file is left alone");
                seen.skipped.push(SkippedPlace { path: file.path.clone(), reason: unreadable.reason.into(), message });
                continue;
            }
        };
        for note in scan.notes {
            let path = format!("{}:{}", file.path, note.line);
            seen.skipped.push(SkippedPlace { path, reason: note.reason.into(), message: note.message });
        }
        for place in scan.places {
            match pin_of(&file.path, &place, &seen.images) {
                Ok(Some(pin)) => {
                    seen.pins.push(pin);
                    seen.places.push((at, place));
                }
                Ok(None) => {}
                Err(skipped) => seen.skipped.push(skipped),
            }
        }
    }
    seen.files = found.files;
    beside_the_line(ctx, seen).await?;
    rivals::mark(object, ctx, seen);
    history::look_up(object, ctx, key, seen).await
}

/// What a place pins. `None` where its image has another ContainerImage for that variant, which is not selected.
fn pin_of(path: &str, place: &Place, images: &[Image]) -> Result<Option<Pin>, SkippedPlace> {
    let Some(tag) = &place.tag else {
        let message = format!("{} is pinned by digest alone, which names no commit: write a tag before it", place.image);
        return Err(SkippedPlace { path: format!("{path}:{}", place.line), reason: Reason::DigestWithoutTag.into(), message });
    };
    let pin = pin(images, &place.image, tag).map(|pin| Pin {
        path: path.to_owned(),
        line: Some(place.line),
        field: place.field.clone(),
        digest: place.digest.clone(),
        takes_digest: place.takes_digest(),
        ..pin
    });
    Ok(pin)
}

/// A pin of an image by a tag, without the place where it stands.
pub(super) fn pin(images: &[Image], repository: &str, tag: &str) -> Option<Pin> {
    let parts = tag::parse(tag)?;
    let image = images.iter().find(|image| image.resolved.image == repository && image.makes(parts.variant))?;
    let (class, commit, reason) = class::classify(tag, &image.graph)
        .map_or((Class::Unknown, None, "its tag is not one of ours"), |known| (known.class, known.commit, known.reason));
    let touch = image.touch.as_deref().and_then(graph::id);
    let is_current = |commit: &graph::Commit| touch.is_some_and(|touch| class::is_current(commit, &touch, &image.graph));
    let wanted = image.wanted.get(&parts.variant).map(|wanted| {
        let commit = graph::id(&wanted.commit).and_then(|id| image.graph.find(&id)).filter(|commit| commit.on_main);
        Wanted {
            tag: wanted.clone(),
            version: tag::parse(&wanted.tag).map_or_else(String::new, |parts| parts.version.to_owned()),
            commit,
            current: commit.as_ref().is_some_and(is_current),
        }
    });
    Some(Pin {
        path: String::new(),
        line: None,
        field: String::new(),
        image: image.name.clone(),
        variant: parts.variant,
        version: parts.version.to_owned(),
        tag: tag.to_owned(),
        digest: None,
        takes_digest: false,
        class,
        class_reason: reason,
        commit,
        current: commit.as_ref().is_some_and(is_current),
        exists: None,
        wanted,
        waiting: image.waiting.get(&parts.variant).cloned().unwrap_or_else(|| no_variant(&image.name, parts.variant)),
        changed: None,
        rival: None,
    })
}

fn no_variant(image: &str, variant: Variant) -> String {
    format!("ContainerImage {image} builds no {variant} variant")
}

/// A commit beside the first-parent line may have changed the inputs on its way to main: its tree is compared.
async fn beside_the_line(ctx: &Context, seen: &mut Seen) -> Result<(), Problem> {
    for pin in &mut seen.pins {
        let Some(commit) = pin.commit.filter(|commit| pin.current && !commit.on_line) else { continue };
        let Some(image) = seen.images.iter().find(|image| image.name == pin.image) else { continue };
        let Some(touch) = &image.touch else { continue };
        let same = ctx.git.same_inputs(&image.key, touch, &image.paths, vec![commit.hex()]);
        pin.current = ctx.calls.outside("git.same_inputs", same).await? == [true];
    }
    Ok(())
}

/// Whether the registry has what is pinned. A list may lack a tag that is there, so that what is missing is asked for by itself.
async fn presence(ctx: &Context, seen: &mut Seen) -> Result<(), Problem> {
    let mut listed = HashMap::new();
    let mut answers: BTreeMap<(String, String), Option<bool>> = BTreeMap::new();
    for pin in &mut seen.pins {
        let Some(image) = seen.images.iter().find(|image| image.name == pin.image) else { continue };
        let repository = &image.resolved.image;
        let Some(tags) = listed
            .entry(repository.clone())
            .or_insert_with(|| ctx.tags.known(repository).map(|known| (known.tags.iter().cloned().collect::<HashSet<String>>(), known)))
        else {
            continue;
        };
        if tags.0.contains(&pin.tag) {
            pin.exists = Some(true);
            continue;
        }
        let key = (repository.clone(), pin.tag.clone());
        if !answers.contains_key(&key) {
            let (registry, path) = crate::controllers::access::registry(ctx, &image.repository, repository).await?;
            // A registry that is silent says nothing about the tag.
            let found = tags.1.image(ctx, (&registry, &path), &pin.tag).await;
            answers.insert(key.clone(), found.ok().map(|found| found.is_some()));
        }
        pin.exists = answers.get(&key).copied().flatten();
    }
    Ok(())
}
