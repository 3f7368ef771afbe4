//! SourceRepository: fetch main, list its containers, make ContainerImages where that is asked for.

mod plan;
mod webhook;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use mainstay_crds::{ContainerImage, Reason, ResolvedRepository, SourceRepository, SourceRepositoryStatus, names};

use super::access;
use super::context::{Context, now, object_key};
use super::problem::Problem;
use super::publish::{Change, publish};
use super::source::{CONTAINERS, clone_key};
use crate::clients::call::CallError;
use crate::clients::git::{Listing, Synced};
use crate::domain::build::short;
use crate::domain::condition::{State, Verdict, conditions};
use crate::domain::duration;

/// Longest time for a fetch: a first clone of a large repository takes minutes.
const FETCH_DEADLINE: Duration = Duration::from_secs(900);

/// What one look at the remote gave.
struct Seen {
    resolved: ResolvedRepository,
    head: String,
    refs: String,
    listing: Listing,
}

/// One reconcile. Problems end in the status; they are no errors of the controller.
///
/// # Errors
/// Never: the type is that of kube.
pub async fn reconcile(repository: Arc<SourceRepository>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    let repository = ctx.newest(repository).await;
    let key = object_key(repository.as_ref());
    if repository.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let seen = match repository.spec.suspend {
        Some(true) => fill(&repository, &ctx).await.map(|()| None),
        _ => observe(&repository, &ctx).await.map(Some),
    };
    let result = match seen {
        Ok(seen) => finish(&repository, &ctx, seen).await,
        Err(problem) => {
            let mut status = repository.status.clone().unwrap_or_default();
            report(&repository, &ctx, &mut status, &problem.verdict).await.and(Err(problem))
        }
    };
    Ok(ctx.next("sourcerepository", &key, result.as_ref().copied()))
}

/// What is suspended keeps its head, but not its clone over a restart: its images and pins still ask what is known.
async fn fill(repository: &SourceRepository, ctx: &Context) -> Result<(), Problem> {
    let key = clone_key(repository);
    let known = repository.status.as_ref().is_some_and(|status| status.head.is_some());
    if known && !ctx.git.is_cloned(&key).await {
        sync(repository, ctx, &key).await?;
    }
    Ok(())
}

async fn sync(repository: &SourceRepository, ctx: &Context, key: &str) -> Result<Synced, Problem> {
    let remote = access::remote(ctx, repository).await?;
    Ok(ctx.calls.within(FETCH_DEADLINE, "git.sync", async { ctx.git.sync(key, &remote).await.map_err(Into::into) }).await?)
}

async fn observe(repository: &SourceRepository, ctx: &Context) -> Result<Seen, Problem> {
    let key = clone_key(repository);
    if repository.status.as_ref().and_then(|s| s.head.as_ref()).is_none() {
        let verdict = Verdict::new(State::Working, Reason::Fetching, format!("fetching {} for the first time", repository.spec.url));
        let mut status = repository.status.clone().unwrap_or_default();
        if status.conditions.is_empty() {
            report(repository, ctx, &mut status, &verdict).await?;
        }
    }
    // Clones of objects that are gone go too; there is no finalizer that could keep an object from going.
    ctx.git.retain(ctx.repositories.state().iter().map(|repository| clone_key(repository)).chain([key.clone()]).collect()).await;
    let synced = sync(repository, ctx, &key).await?;
    let containers_path = repository.spec.containers_path.clone().unwrap_or_else(|| CONTAINERS.to_owned());
    let listing = ctx.calls.outside("git.list", ctx.git.list(&key, &synced.head, &containers_path)).await?;
    let graph = ctx.calls.within(FETCH_DEADLINE, "git.graph", async { ctx.git.graph(&key).await.map_err(Into::into) }).await?;
    let interval = duration::show(interval(repository, ctx));
    Ok(Seen {
        refs: graph.fingerprint(),
        resolved: ResolvedRepository { branch: synced.branch, containers_path, interval },
        head: synced.head,
        listing,
    })
}

async fn finish(repository: &SourceRepository, ctx: &Context, seen: Option<Seen>) -> Result<Duration, Problem> {
    let mut status = repository.status.clone().unwrap_or_default();
    let verdict = match seen {
        None => Verdict::new(State::Working, Reason::Suspended, "spec.suspend is true: new commits are not looked for"),
        Some(seen) => {
            let namespace = repository.namespace().unwrap_or_default();
            let images = ctx.images.state_filter(|image| image.namespace().as_deref() == Some(&namespace));
            for image in plan::missing_images(repository, &seen.resolved.containers_path, &seen.listing, &images) {
                discover(repository, ctx, &namespace, &image).await?;
            }
            let text = plan::message(&seen.head, &seen.resolved, &seen.listing);
            status.short_head = Some(short(&seen.head).to_owned());
            status.containers = i64::try_from(seen.listing.found.len()).ok();
            status.skipped = plan::skipped(&seen.listing);
            status.head = Some(seen.head);
            status.refs = Some(seen.refs);
            status.resolved = Some(seen.resolved);
            Verdict::new(State::Good, Reason::Fetched, text)
        }
    };
    status.last_handled_reconcile_at = repository.annotations().get(names::RECONCILE_AT).cloned();
    report(repository, ctx, &mut status, &verdict).await?;
    Ok(interval(repository, ctx))
}

async fn discover(repository: &SourceRepository, ctx: &Context, namespace: &str, image: &ContainerImage) -> Result<(), CallError> {
    if ctx.cluster.create(namespace, image).await?.is_some() {
        let text = format!("created ContainerImage {} for a directory on main", image.name_any());
        ctx.cluster.event(repository, false, Reason::ContainerDiscovered, "Discover", &text);
    }
    Ok(())
}

async fn report(
    repository: &SourceRepository,
    ctx: &Context,
    status: &mut SourceRepositoryStatus,
    verdict: &Verdict,
) -> Result<(), Problem> {
    let before = repository.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    status.observed_generation = repository.metadata.generation;
    status.conditions = conditions(&before, "Ready", verdict, repository.metadata.generation, &now());
    webhook::look(repository, ctx, status).await;
    let change = Change { old: repository.status.as_ref(), new: status, before: &before, summary: "Ready", verdict };
    Ok(publish(ctx, repository, change).await?)
}

fn interval(repository: &SourceRepository, ctx: &Context) -> Duration {
    repository.spec.interval.as_deref().and_then(duration::parse).unwrap_or(ctx.config.interval)
}
