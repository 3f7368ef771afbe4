//! ContainerImage: which tags main asks for, which of them exist, and which build to make.

pub(crate) mod child;
mod columns;
mod observe;
mod plan;
mod promote;
mod retire;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use mainstay_crds::{ContainerImage, ContainerImageStatus, Reason, names};

use self::observe::Seen;
use self::plan::{Observed, Outcome, Step};
use super::access;
use super::context::{Context, now, object_key};
use super::problem::Problem;
use super::publish::{Change, publish};
use crate::domain::build::short;
use crate::domain::condition::{Verdict, conditions};

/// Violations that a status lists.
const VIOLATIONS: usize = 20;

/// One reconcile. Problems end in the status; they are no errors of the controller.
///
/// # Errors
/// Never: the type is that of kube.
pub async fn reconcile(image: Arc<ContainerImage>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    if image.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let image = ctx.newest(image).await;
    let key = object_key(image.as_ref());
    let _look = ctx.batch.look(&image.namespace().unwrap_or_default());
    let mut status = image.status.clone().unwrap_or_default();
    let result = match run(&image, &ctx, &mut status).await {
        Ok((verdict, pause)) => report(&image, &ctx, &mut status, &verdict).await.map(|()| pause),
        // After a restart the clones are made again: that is no news about an image that was reported on before.
        Err(problem) if problem.is_warming_up() && image.status.is_some() => Err(problem),
        Err(problem) => report(&image, &ctx, &mut status, &problem.verdict).await.and(Err(problem)),
    };
    Ok(ctx.next("containerimage", &key, result.as_ref().copied()))
}

async fn run(image: &ContainerImage, ctx: &Context, status: &mut ContainerImageStatus) -> Result<(Verdict, Duration), Problem> {
    let mut seen = observe::observe(image, ctx, status).await?;
    let observed = Observed {
        image,
        resolved: &seen.resolved,
        touch: &seen.touch,
        variants: std::mem::take(&mut seen.variants),
        builds: &seen.builds,
        now: Timestamp::now(),
    };
    let Outcome { steps, variants, verdict, look_again } = plan::plan(&observed);
    for step in steps {
        apply(image, ctx, &seen, step).await?;
    }
    let (latest, built_at) = columns::latest(&variants);
    status.engines = columns::engines(&seen.builds, &variants).or_else(|| status.engines.take());
    status.latest = latest;
    status.built_at = built_at;
    status.short_head = Some(short(&seen.touch).to_owned());
    status.variants = variants;
    status.tags = seen.tags.or_else(|| status.tags.take());
    let count = i64::try_from(seen.violations.len()).unwrap_or(i64::MAX);
    ctx.metrics.image_violations(&image.namespace().unwrap_or_default(), &image.name_any(), count);
    status.violations = seen.violations.into_iter().take(VIOLATIONS).collect();
    status.last_handled_reconcile_at = image.annotations().get(names::RECONCILE_AT).cloned();
    status.last_handled_rebuild_at = image.annotations().get(names::REBUILD_AT).cloned();
    Ok((verdict, look_again.map_or(ctx.config.resync, |pause| pause.min(ctx.config.resync))))
}

async fn apply(image: &ContainerImage, ctx: &Context, seen: &Seen, step: Step) -> Result<(), Problem> {
    match step {
        Step::Promote(identical, tag) => {
            let (registry, path) = access::registry(ctx, &seen.repository, &seen.resolved.image).await?;
            promote::promote(ctx, (&registry, &path), &seen.resolved.image, &identical, (&tag, &seen.touch)).await?;
            ctx.tags.forget(&seen.resolved.image);
            let text = format!("{tag} is {} ({}), built from the same inputs", identical.tag, identical.image.digest);
            ctx.cluster.event(image, false, Reason::ImagePromoted, "Promote", &text);
        }
        Step::Supersede(build) => ctx.cluster.supersede(&build, &seen.touch).await?,
        Step::Delete(build) => ctx.cluster.delete(build.as_ref()).await?,
        Step::Create(build) => {
            let name = build.name_any();
            let namespace = image.namespace().unwrap_or_default();
            if ctx.cluster.create(&namespace, build.as_ref()).await?.is_some() {
                let commit = build.spec.commit.as_deref().map(short).unwrap_or_default();
                let text = format!("created ImageBuild {name} for commit {commit}");
                ctx.cluster.event(image, false, Reason::BuildCreated, "Build", &text);
                return Ok(());
            }
            // One of that name is there: ours from before a restart, or a stranger.
            let there: Option<mainstay_crds::ImageBuild> = ctx.cluster.get(&namespace, &name).await?;
            let same =
                |there: &mainstay_crds::ImageBuild| there.annotations().get(names::BUILD_KEY) == build.annotations().get(names::BUILD_KEY);
            if there.as_ref().is_some_and(|there| !same(there)) {
                let text = format!("ImageBuild {name} exists and is not ours: delete or rename it");
                return Err(Problem::stuck(Reason::NameConflict, text));
            }
        }
    }
    Ok(())
}

async fn report(image: &ContainerImage, ctx: &Context, status: &mut ContainerImageStatus, verdict: &Verdict) -> Result<(), Problem> {
    let before = image.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    status.observed_generation = image.metadata.generation;
    status.conditions = conditions(&before, "Ready", verdict, image.metadata.generation, &now());
    let change = Change { old: image.status.as_ref(), new: status, before: &before, summary: "Ready", verdict };
    Ok(publish(ctx, image, change).await?)
}
