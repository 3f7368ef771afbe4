//! What a ContainerImage is about: its repository, touch, versions, tags and builds.

use std::sync::Arc;

use kube::ResourceExt;
use mainstay_crds::{
    Class as TagClass, ContainerImage, ContainerImageStatus, ImageBuild, Nixpkgs, Reason, ResolvedImage, SourceRepository, TagSummary,
    Variant, Violation, WantedTag, names,
};

use super::plan::{Found, Refusal, Tagged, Wanted};
use super::promote;
use crate::clients::call::CallError;
use crate::clients::git::{Container, Watch};
use crate::clients::registry::Registry;
use crate::controllers::access;
use crate::controllers::context::Context;
use crate::controllers::pods;
use crate::controllers::problem::Problem;
use crate::controllers::source::{self, clone_key};
use crate::controllers::tags::Listed;
use crate::domain::class::{self, ClassifiedTag};
use crate::domain::graph::{self, Graph};
use crate::domain::nixpkgs;
use crate::domain::tag;
use crate::domain::version::{Version, VersionError};
use crate::error::{Class, Classified, chain};

/// What was seen.
pub(super) struct Seen {
    pub(super) repository: Arc<SourceRepository>,
    pub(super) resolved: ResolvedImage,
    pub(super) touch: String,
    pub(super) variants: Vec<Wanted>,
    pub(super) builds: Vec<Arc<ImageBuild>>,
    /// The tags by class; `None` where the registry does not say.
    pub(super) tags: Option<TagSummary>,
    /// Pods and pins that name an image which is not from main, or is gone.
    pub(super) violations: Vec<Violation>,
}

/// Looks at everything that the plan needs. `status.resolved` is filled in as soon as it is known, so that a later problem can be understood.
pub(super) async fn observe(image: &ContainerImage, ctx: &Context, status: &mut ContainerImageStatus) -> Result<Seen, Problem> {
    let name = image.name_any();
    let repository = source::of(image, ctx)?;
    let resolved = source::resolve(image, &repository);
    status.resolved = Some(resolved.clone());
    unique(image, &resolved, ctx)?;
    let head = source::head(&repository)?;

    let key = clone_key(&repository);
    let mut paths = vec![resolved.path.clone()];
    paths.extend(image.spec.inputs.iter().cloned());
    let touches = ctx.calls.outside("git.touches", ctx.git.touches(&key, &head, &[Watch { paths: paths.clone() }])).await?;
    let Some(touch) = touches.into_iter().next().flatten() else {
        let text = format!(
            "{} is not on {} (at {}): add the directory with a Dockerfile or default.nix, set spec.path, or delete this object",
            resolved.path,
            repository.status.as_ref().and_then(|s| s.resolved.as_ref()).map_or("main", |r| r.branch.as_str()),
            crate::domain::build::short(&head),
        );
        return Err(Problem::stuck(Reason::NoBuildFile, text));
    };
    let container = ctx.calls.outside("git.container", ctx.git.container(&key, &touch, &resolved.path)).await?;
    let namespace = image.namespace();
    let builds = ctx.builds.state_filter(|build| build.namespace() == namespace && build.spec.image == name);
    let graph = ctx.calls.outside("git.graph", ctx.git.graph(&key)).await?;
    let (registry, path) = access::registry(ctx, &repository, &resolved.image).await?;
    let looked = Looked { ctx, registry: (&registry, &path), graph: &graph, key: &key, head: &head, touch: &touch, paths: &paths };
    let listed = ctx.tags.list(ctx, looked.registry, &resolved.image, &occasion(image, &builds), ctx.config.resync).await;
    let mut variants = Vec::new();
    let mut tags = None;
    match &listed {
        Err(error) => {
            for (variant, version) in meant(image, &container) {
                let version = version.and_then(|version| tagged(&version, &touch, variant, Found::Unknown(refusal(error))));
                variants.push(Wanted { variant, version, wanted: None, identical: None, nixpkgs: nixpkgs_of(&container, variant, ctx) });
            }
        }
        Ok(listed) => {
            let classified = class::classify_all(listed.tags.iter().map(String::as_str), &graph);
            for (variant, version) in meant(image, &container) {
                let version = match version.and_then(|version| tagged(&version, &touch, variant, Found::Absent)) {
                    Ok(tagged) => Ok(looked.tagged(listed, tagged, variant, &builds).await),
                    Err(refusal) => Err(refusal),
                };
                let wanted = looked.wanted(listed, &classified, variant).await?.or_else(|| named(&version, &touch));
                let identical = match &version {
                    Ok(Tagged { version: Some(version), found: Found::Absent, .. }) => {
                        promote::identical(&looked, &repository, listed, &classified, (variant, version)).await?
                    }
                    _ => None,
                };
                variants.push(Wanted { variant, version, wanted, identical, nixpkgs: nixpkgs_of(&container, variant, ctx) });
            }
            let mut summary = class::summary(&classified, listed.tags.len());
            digests(&mut summary, listed, status.tags.as_ref());
            tags = Some(summary);
        }
    }
    let listed = listed.as_ref().ok().map(|listed| listed.tags.as_slice());
    let mut violations = pods::violations(ctx, &resolved.image, &graph, listed);
    violations.extend(pinned(ctx, &namespace, &name));
    Ok(Seen { repository, resolved, touch, variants, builds, tags, violations })
}

/// Adds the digests that are known: of what was looked at now, and of what was once wanted. A tag is given once, so that both are for good.
fn digests(summary: &mut TagSummary, listed: &Listed, before: Option<&TagSummary>) {
    let known = |tag: &str| before?.newest.iter().find(|one| one.tag == tag)?.digest.clone();
    for one in &mut summary.newest {
        one.digest = listed.digest(&one.tag).or_else(|| known(&one.tag));
    }
}

/// What the ManifestPins of the namespace say of pins that name another image than one from main.
fn pinned(ctx: &Context, namespace: &Option<String>, name: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for object in ctx.pins.state_filter(|pin| pin.namespace() == *namespace) {
        for pin in object.status.iter().flat_map(|status| &status.pins) {
            if pin.image == name && pin.class != TagClass::Main {
                let at = pin.line.map_or_else(|| pin.path.clone(), |line| format!("{}:{line}", pin.path));
                let message = pin.message.clone().unwrap_or_default();
                found.push(Violation { at, tag: pin.tag.clone(), class: pin.class, message });
            }
        }
    }
    found.sort_by(|a, b| (&a.at, &a.tag).cmp(&(&b.at, &b.tag)));
    found.dedup();
    found
}

/// The variants that are to be built, with the version or why there is none.
fn meant<'a>(image: &'a ContainerImage, container: &'a Container) -> impl Iterator<Item = (Variant, Result<Version, Refusal>)> + 'a {
    let wanted = |variant: &Variant| image.spec.variants.as_ref().is_none_or(|all| all.contains(variant));
    let all = container.variants.iter().filter(move |(variant, _)| wanted(variant));
    all.map(move |(variant, version)| (*variant, version.clone().map_err(unusable)))
}

fn nixpkgs_of(container: &Container, variant: Variant, ctx: &Context) -> Option<Nixpkgs> {
    let found = container.nixpkgs.clone().filter(|_| variant == Variant::Nix)?;
    Some(nixpkgs::by_engine(found, ctx.config.nix_path()))
}

/// Main's own tag, where its image says so itself: seven digits may be ambiguous, and a list may lack it.
fn named(version: &Result<Tagged, Refusal>, touch: &str) -> Option<WantedTag> {
    match version {
        Ok(Tagged { tag: Some(tag), found: found @ Found::Present { digest, .. }, .. }) if found.is_of(touch) => {
            Some(WantedTag { tag: tag.clone(), digest: digest.clone(), commit: touch.to_owned() })
        }
        _ => None,
    }
}

/// A version that makes no tag, for good.
fn unusable(error: VersionError) -> Refusal {
    Refusal { reason: error.reason(), message: chain(&error), transient: false }
}

fn tagged(version: &Version, touch: &str, variant: Variant, found: Found) -> Result<Tagged, Refusal> {
    let tag = tag::of(version, touch, variant).map_err(unusable)?;
    Ok(Tagged { version: version.written().map(str::to_owned), tag, found })
}

/// What makes a new list of tags worth a request: somebody asks, or a build of the image has ended.
fn occasion(image: &ContainerImage, builds: &[Arc<ImageBuild>]) -> String {
    let asked = [names::RECONCILE_AT, names::REBUILD_AT].map(|name| image.annotations().get(name).map_or("", String::as_str));
    let ended = builds.iter().filter_map(|build| Some((build.status.as_ref()?.completed_at.clone()?, build.name_any()))).max();
    format!("{}/{}/{}", asked[0], asked[1], ended.map_or_else(String::new, |(_, name)| name))
}

/// Looks tags of one image up.
pub(super) struct Looked<'a> {
    pub(super) ctx: &'a Context,
    pub(super) registry: (&'a Registry, &'a str),
    pub(super) graph: &'a Graph,
    pub(super) key: &'a str,
    pub(super) head: &'a str,
    pub(super) touch: &'a str,
    pub(super) paths: &'a [String],
}

impl Looked<'_> {
    /// Adds what the registry says. A tag that is not known before the build is that of an image of the touch, whatever its version: one that is
    /// listed, or that a build has pushed since.
    async fn tagged(&self, listed: &Listed, tagged: Tagged, variant: Variant, builds: &[Arc<ImageBuild>]) -> Tagged {
        if let Some(tag) = &tagged.tag {
            return Tagged { found: self.find(listed, tag).await, ..tagged };
        }
        let pushed = builds.iter().filter_map(|build| build.status.as_ref()?.tag.as_deref());
        let all = listed.tags.iter().map(String::as_str).chain(pushed);
        for (tag, parts) in tag::at_commit(all, self.touch, variant) {
            match self.find(listed, tag).await {
                found if found.is_of(self.touch) => {
                    return Tagged { version: Some(parts.version.to_owned()), tag: Some(tag.to_owned()), found };
                }
                // Whose it is cannot be told.
                found @ Found::Unknown(_) => return Tagged { found, ..tagged },
                _ => {}
            }
        }
        tagged
    }

    /// What the registry says of main's tag.
    async fn find(&self, listed: &Listed, tag: &str) -> Found {
        match listed.image(self.ctx, self.registry, tag).await {
            Ok(None) => Found::Absent,
            Ok(Some(image)) if image.revision.as_deref().is_some_and(|revision| revision != self.touch) => {
                match promote::is_promoted(self, &image).await {
                    Ok(true) => Found::Present { digest: image.digest, revision: Some(self.touch.to_owned()) },
                    Ok(false) => Found::Present { digest: image.digest, revision: image.revision },
                    Err(error) => Found::Unknown(refusal(&error)),
                }
            }
            // An image that says nothing of its commit is believed by its tag, where that names one commit and no other.
            Ok(Some(image)) => Found::Present { digest: image.digest, revision: image.revision.or_else(|| self.named_by(tag)) },
            Err(error) => Found::Unknown(refusal(&error)),
        }
    }

    fn named_by(&self, tag: &str) -> Option<String> {
        let found = class::classify(tag, self.graph)?;
        found.commit.map(|commit| commit.hex())
    }

    /// The newest current tag from main that the registry confirms (design section 2).
    async fn wanted(&self, listed: &Listed, classified: &[ClassifiedTag<'_>], variant: Variant) -> Result<Option<WantedTag>, CallError> {
        let Some(touch) = graph::id(self.touch) else { return Ok(None) };
        for (one, commit) in class::candidates(classified, variant, &touch, self.graph) {
            let commit_hex = commit.hex();
            if !commit.on_line {
                let same = self.ctx.git.same_inputs(self.key, self.head, self.paths, vec![commit_hex.clone()]);
                if self.ctx.calls.outside("git.same_inputs", same).await? != [true] {
                    continue;
                }
            }
            let Some(image) = listed.image(self.ctx, self.registry, one.tag).await? else { continue };
            // The full commit in the image decides; a tag that lies about it is not pinned.
            if image.revision.as_ref().is_none_or(|revision| *revision == commit_hex) {
                return Ok(Some(WantedTag { tag: one.tag.to_owned(), digest: image.digest, commit: commit_hex }));
            }
        }
        Ok(None)
    }
}

fn refusal(error: &CallError) -> Refusal {
    Refusal { reason: error.reason(), message: chain(error), transient: error.class() != Class::Terminal }
}

/// Two objects for one container or one image repository would build everything twice: the older one keeps it.
fn unique(image: &ContainerImage, resolved: &ResolvedImage, ctx: &Context) -> Result<(), Problem> {
    let namespace = image.namespace();
    let age = |image: &ContainerImage| (image.metadata.creation_timestamp.clone(), image.name_any());
    let rival = ctx.images.find(|other| {
        other.namespace() == namespace
            && other.name_any() != image.name_any()
            && other.metadata.deletion_timestamp.is_none()
            && age(other) < age(image)
            && source::of(other, ctx).is_ok_and(|repository| {
                let theirs = source::resolve(other, &repository);
                let overlap = match (&image.spec.variants, &other.spec.variants) {
                    (Some(ours), Some(theirs)) => ours.iter().any(|variant| theirs.contains(variant)),
                    _ => true,
                };
                overlap && theirs.image == resolved.image
            })
    });
    match rival {
        None => Ok(()),
        Some(rival) => {
            let text = format!(
                "ContainerImage {} makes {} already: delete one of the two, or give this one another spec.image or spec.variants",
                rival.name_any(),
                resolved.image
            );
            Err(Problem::stuck(Reason::DuplicateContainer, text))
        }
    }
}
