//! What is decided once for a build, before its Job exists: commit, variant, tag, engine. Then the Job follows from the status.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use mainstay_crds::{ContainerImage, ImageBuild, ImageBuildStatus, Origin, Reason, SourceRepository, Trigger, Variant, names};

use super::cause::Cause;
use super::provenance::{self, About};
use super::{engine, job};
use crate::clients::call::CallError;
use crate::clients::git::Container;
use crate::controllers::context::Context;
use crate::controllers::problem::Problem;
use crate::controllers::{access, source};
use crate::domain::build::short;
use crate::domain::version::{Version, VersionError};
use crate::domain::{nixpkgs, tag};
use crate::error::{Class, Classified, chain};

/// Most repositories that a registry is asked for each layer that is new to it.
const MAX_NEIGHBOURS: usize = 8;

/// Fills in the status. The inner error is one that stays: the build is over before it began.
pub(super) async fn freeze(
    build: &ImageBuild,
    image: &ContainerImage,
    repository: &SourceRepository,
    ctx: &Context,
    status: &mut ImageBuildStatus,
) -> Result<Result<(), Cause>, Problem> {
    let resolved = source::resolve(image, repository);
    let key = source::clone_key(repository);
    let head = repository.status.as_ref().and_then(|s| s.head.clone());
    if build.spec.reference.is_some() {
        // A branch may be younger than the last fetch.
        let remote = access::remote(ctx, repository).await?;
        ctx.calls.outside("git.sync", ctx.git.sync(&key, &remote)).await?;
    }
    let wanted = build.spec.commit.as_deref().or(build.spec.reference.as_deref()).unwrap_or_default();
    let commit = match ctx.calls.outside("git.resolve", ctx.git.resolve(&key, wanted)).await {
        Ok(commit) => commit,
        Err(error) => return terminal(error),
    };
    let container = match ctx.calls.outside("git.container", ctx.git.container(&key, &commit, &resolved.path)).await {
        Ok(container) => container,
        Err(error) => return terminal(error),
    };
    let Some((variant, version)) = pick(&container, build.spec.variant) else {
        let wanted = build.spec.variant.map_or("a Dockerfile or default.nix", Variant::file);
        let message = format!("{} has no {wanted} at {}", resolved.path, short(&commit));
        return Ok(Err(Cause { reason: Reason::NoBuildFile, message, transient: false, log_of: None }));
    };
    let version = match version {
        Ok(version) => version,
        Err(error) => return Ok(Err(stays(&error))),
    };
    let tag = match tag::of(&version, &commit, variant) {
        Ok(tag) => tag,
        Err(error) => return Ok(Err(stays(&error))),
    };
    let on_main = match &head {
        Some(head) => ctx.calls.outside("git.is_on_main", ctx.git.is_on_main(&key, head, &commit)).await?,
        None => false,
    };
    let nodes = if variant == Variant::Dockerfile { ctx.cluster.nodes().await? } else { Vec::new() };
    let (chosen, why) = engine::choose(variant, image.spec.build.as_ref(), &ctx.config, &nodes);
    let about = ctx.calls.outside("git.about", ctx.git.about(&key, &commit)).await?;
    status.committed_at = Timestamp::from_second(about.time_seconds).ok().map(Time);
    status.short_commit = Some(short(&commit).to_owned());
    status.commit = Some(commit);
    status.variant = Some(variant);
    status.version = version.written().map(str::to_owned);
    status.path = Some(resolved.path);
    status.image = Some(resolved.image);
    status.tag = tag;
    status.engine = Some(chosen);
    status.engine_reason = Some(why);
    status.nixpkgs =
        container.nixpkgs.clone().filter(|_| variant == Variant::Nix).map(|found| nixpkgs::by_engine(found, ctx.config.nix_path()));
    status.origin = Some(if on_main { Origin::Main } else { Origin::Branch });
    status.trigger = Some(build.annotations().get(names::TRIGGER).and_then(|word| Trigger::parse(word)).unwrap_or(Trigger::Manual));
    Ok(Ok(()))
}

/// The variant that was asked for, or the first there is.
fn pick(container: &Container, asked: Option<Variant>) -> Option<(Variant, Result<Version, VersionError>)> {
    let meant = container.variants.iter().filter(|(variant, _)| asked.is_none_or(|asked| asked == *variant));
    meant.min_by_key(|(variant, _)| *variant).cloned()
}

/// An error of Git that stays ends the build; one that may pass is tried again.
fn terminal(error: CallError) -> Result<Result<(), Cause>, Problem> {
    if error.class() == Class::Terminal { Ok(Err(stays(&error))) } else { Err(error.into()) }
}

fn stays(error: &dyn ClassifiedError) -> Cause {
    Cause { reason: error.word(), message: error.text(), transient: false, log_of: None }
}

/// An error with a reason, as an object.
trait ClassifiedError {
    fn word(&self) -> Reason;
    fn text(&self) -> String;
}

impl<E: Classified + 'static> ClassifiedError for E {
    fn word(&self) -> Reason {
        self.reason()
    }
    fn text(&self) -> String {
        chain(self)
    }
}

/// The Job for a frozen build. The Secrets that it mounts were there a moment ago: a pod that waits for one says little.
pub(super) async fn job(
    build: &ImageBuild,
    image: &ContainerImage,
    repository: &SourceRepository,
    ctx: &Context,
    status: &ImageBuildStatus,
    name: &str,
) -> Result<Option<Job>, Problem> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let target_image = text(&status.image);
    access::remote(ctx, repository).await?;
    access::registry(ctx, repository, &target_image).await?;
    let (Some(engine), Some(variant), Some(owner)) = (status.engine, status.variant, build.controller_owner_ref(&())) else {
        return Ok(None);
    };
    let registry = &repository.spec.registry;
    let signing = repository.spec.provenance.as_ref().and_then(|settings| settings.signing_key_secret_ref.as_ref());
    if let Some(reference) = signing {
        access::signing_key(ctx, repository, &reference.name).await?;
    }
    let namespace = build.namespace().unwrap_or_default();
    let said = provenance::predicate(&About {
        url: &repository.spec.url,
        status,
        settings: image.spec.build.as_ref(),
        engine_image: ctx.config.engine(engine).map_or("", |engine| &engine.image),
        build: (&namespace, &build.name_any(), &build.uid().unwrap_or_default()),
    });
    let branch = repository.status.as_ref().and_then(|s| s.resolved.as_ref()).map(|r| r.branch.clone()).unwrap_or_default();
    let (commit, path) = (text(&status.commit), text(&status.path));
    let plan = job::Plan {
        name,
        namespace: &namespace,
        owner,
        build: &build.name_any(),
        image_name: &image.name_any(),
        key: &build.uid().unwrap_or_default(),
        engine,
        variant,
        settings: image.spec.build.as_ref(),
        from_main: status.origin == Some(Origin::Main),
        source: job::Source {
            url: &repository.spec.url,
            branch: &branch,
            commit: &commit,
            path: &path,
            version: status.version.as_deref(),
            created: status.committed_at.as_ref().map(|time| time.0),
            secret: repository.spec.credentials_secret_ref.as_ref().map(|r| r.name.as_str()),
        },
        target: job::Target {
            image: &target_image,
            tag: status.tag.as_deref(),
            plain_http: registry.plain_http.unwrap_or(false),
            secret: registry.credentials_secret_ref.as_ref().map(|r| r.name.as_str()),
            neighbours: neighbours(ctx, repository, &target_image),
            ca_secret: registry.ca_secret_ref.as_ref().map(|r| r.name.as_str()),
            provenance: said.to_string(),
            signing_secret: signing.map(|r| r.name.as_str()),
        },
    };
    Ok(job::job(&plan, &ctx.config))
}

/// Repositories of other images of the same SourceRepository: what they are built on may be what this one is built on.
fn neighbours(ctx: &Context, repository: &SourceRepository, target: &str) -> Vec<String> {
    let built = |other: &ContainerImage| other.status.as_ref().is_some_and(|status| status.variants.iter().any(|v| v.wanted.is_some()));
    let same = |other: &ContainerImage| source::of(other, ctx).is_ok_and(|of| of.metadata.uid == repository.metadata.uid);
    let all = ctx.images.state_filter(|other| built(other) && same(other));
    let all = all.iter().filter_map(|other| other.status.as_ref()?.resolved.as_ref().map(|resolved| resolved.image.as_str()));
    nearest(target, all)
}

/// Paths in the target's registry, the target's own not among them.
fn nearest<'a>(target: &str, others: impl Iterator<Item = &'a str>) -> Vec<String> {
    let Some((host, own)) = target.split_once('/') else { return Vec::new() };
    let paths = others.filter_map(|other| other.split_once('/').filter(|(of, path)| *of == host && *path != own));
    let paths: BTreeSet<&str> = paths.map(|(_, path)| path).collect();
    paths.into_iter().take(MAX_NEIGHBOURS).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_others_of_the_same_registry() {
        let all = ["r:5000/team/web", "r:5000/team/cv", "other/team/api", "r:5000/team/api", "r:5000/team/web"];
        assert_eq!(nearest("r:5000/team/cv", all.into_iter()), ["team/api", "team/web"]);
        let many: Vec<String> = (0..50).map(|n| format!("r/{n}")).collect();
        assert_eq!(nearest("r/x", many.iter().map(String::as_str)).len(), MAX_NEIGHBOURS);
    }
}
