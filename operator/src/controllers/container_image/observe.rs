//! What a ContainerImage is about: its repository, touch, versions, tags and builds.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use mainstay_crds::{ContainerImage, ContainerImageStatus, ImageBuild, ResolvedImage, SourceRepository, Variant};

use super::plan::{Found, Refusal, Tagged, Wanted};
use crate::clients::call::CallError;
use crate::clients::git::Watch;
use crate::clients::registry::Registry;
use crate::controllers::access;
use crate::controllers::context::Context;
use crate::controllers::problem::Problem;
use crate::controllers::source::{self, clone_key};
use crate::domain::condition::find;
use crate::domain::tag;
use crate::error::{Class, Classified, chain};

/// How long to wait for another object of ours to move on.
const SOON: Duration = Duration::from_secs(2);

/// How long to wait for a SourceRepository that has a problem of its own: its next status is looked at at once anyway.
const LATER: Duration = Duration::from_secs(30);

/// What was seen.
pub(super) struct Seen {
    pub(super) resolved: ResolvedImage,
    pub(super) touch: String,
    pub(super) variants: Vec<Wanted>,
    pub(super) builds: Vec<Arc<ImageBuild>>,
}

/// Looks at everything that the plan needs. `status.resolved` is filled in as soon as it is known, so that a later problem can be understood.
pub(super) async fn observe(image: &ContainerImage, ctx: &Context, status: &mut ContainerImageStatus) -> Result<Seen, Problem> {
    let name = image.name_any();
    let repository = source::of(image, ctx)?;
    let resolved = source::resolve(image, &repository);
    status.resolved = Some(resolved.clone());
    unique(image, &resolved, ctx)?;
    let head = head(&repository)?;

    let key = clone_key(&repository);
    let mut paths = vec![resolved.path.clone()];
    paths.extend(image.spec.inputs.iter().cloned());
    let touches = ctx.calls.outside("git.touches", ctx.git.touches(&key, &head, &[Watch { paths }])).await?;
    let Some(touch) = touches.into_iter().next().flatten() else {
        let text = format!(
            "{} is not on {} (at {}): add the directory with a Dockerfile or default.nix, set spec.path, or delete this object",
            resolved.path,
            repository.status.as_ref().and_then(|s| s.resolved.as_ref()).map_or("main", |r| r.branch.as_str()),
            crate::domain::build::short(&head),
        );
        return Err(Problem::stuck("NoBuildFile", text));
    };
    let container = ctx.calls.outside("git.container", ctx.git.container(&key, &touch, &resolved.path)).await?;
    let (registry, path) = access::registry(ctx, &repository, &resolved.image).await?;
    let mut variants = Vec::new();
    for (variant, version) in container.variants {
        if image.spec.variants.as_ref().is_none_or(|wanted| wanted.contains(&variant)) {
            let version = match version {
                Ok(version) => tagged(ctx, &registry, &path, variant, version, &touch).await,
                Err(error) => Err(Refusal { reason: error.reason().to_owned(), message: chain(&error), transient: false }),
            };
            variants.push(Wanted { variant, version });
        }
    }
    let namespace = image.namespace();
    let builds = ctx.builds.state_filter(|build| build.namespace() == namespace && build.spec.image == name);
    Ok(Seen { resolved, touch, variants, builds })
}

async fn tagged(ctx: &Context, registry: &Registry, path: &str, variant: Variant, version: String, touch: &str) -> Result<Tagged, Refusal> {
    let tag = tag::format(&version, touch, variant).map_err(|error| Refusal {
        reason: error.reason().to_owned(),
        message: chain(&error),
        transient: false,
    })?;
    let found = match ctx.calls.outside("registry.image", registry.image(path, &tag)).await {
        Ok(None) => Found::Absent,
        Ok(Some(image)) => Found::Present { digest: image.digest, revision: image.revision },
        Err(error) => Found::Unknown(refusal(&error)),
    };
    Ok(Tagged { version, tag, found })
}

fn refusal(error: &CallError) -> Refusal {
    Refusal { reason: error.reason().to_owned(), message: chain(error), transient: error.class() != Class::Terminal }
}

/// Main's head as the SourceRepository last reported it.
fn head(repository: &SourceRepository) -> Result<String, Problem> {
    let status = repository.status.as_ref();
    let ready = status.and_then(|s| find(&s.conditions, "Ready"));
    match (status.and_then(|s| s.head.clone()), ready) {
        (Some(head), _) => Ok(head),
        (None, Some(ready)) if ready.status == "False" => {
            let text = format!("SourceRepository {}: {}: {}", repository.name_any(), ready.reason, ready.message);
            Err(Problem::retrying("SourceUnavailable", text).again_in(LATER))
        }
        (None, _) => {
            Err(Problem::waiting("SourceUnavailable", format!("SourceRepository {} has not fetched main yet", repository.name_any()), SOON))
        }
    }
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
            Err(Problem::stuck("DuplicateContainer", text))
        }
    }
}
