//! ImageBuild: freeze the commit, make one Job, follow it to its end.
//!
//! Every step may be the last before a crash: the commit is in the status before the Job exists, the Job's name follows from the object, and a Job
//! of that name is taken over where owner and key are ours.

mod builder;
mod cause;
mod engine;
mod freeze;
mod job;
mod outcome;
mod provenance;
mod refusal;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use mainstay_crds::{ContainerImage, ImageBuild, ImageBuildStatus, JobReference, Reason, SourceRepository, names};

use self::cause::{Cause, Progress};
use self::outcome::Outcome;
use super::container_image::child;
use super::context::{Context, now, object_key};
use super::problem::Problem;
use super::publish::{Change, publish, write};
use super::turns::Waiting;
use super::{access, commit_statuses, looks, source};
use crate::domain::build::{self, short};
use crate::domain::condition::{State, Verdict, conditions};
use crate::domain::{duration, progress, scrub, tag};

/// How often a build that runs is looked at without a change of its Job or pod.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How often a build is looked at whose pod is not there yet: nothing tells us that it was refused.
const PENDING: Duration = Duration::from_secs(5);

/// How often a build that waits for its turn is looked at where no other build was seen to end.
const IN_LINE: Duration = Duration::from_secs(10);

/// How long to wait for a ContainerImage or a clone to appear.
const SOON: Duration = Duration::from_secs(2);

/// One reconcile. Problems end in the status; they are no errors of the controller.
///
/// # Errors
/// Never: the type is that of kube.
pub async fn reconcile(build: Arc<ImageBuild>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    let build = ctx.newest(build).await;
    if build.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let key = object_key(build.as_ref());
    let mut status = build.status.clone().unwrap_or_default();
    commit_statuses::advance(&build, &ctx, &mut status);
    if !build::is_running(&build) {
        return Ok(match write_if(&build, &ctx, &status).await {
            Ok(()) => Action::await_change(),
            Err(problem) => ctx.next("imagebuild", &key, Err(&problem)),
        });
    }
    status.last_handled_reconcile_at = build.annotations().get(names::RECONCILE_AT).cloned();
    let result = match run(&build, &ctx, &mut status).await {
        Ok(Outcome::Running(verdict)) => {
            let pause = match verdict.reason {
                Reason::Building => looks::pause(&ctx),
                Reason::PodPending | Reason::PodRefused => PENDING,
                _ => LOOK_AGAIN,
            };
            report(&build, &ctx, &mut status, &verdict).await.map(|()| pause)
        }
        Ok(Outcome::Ended(verdict)) => {
            outcome::end(&mut status, now());
            ctx.turns.ended(build.as_ref());
            let written = report(&build, &ctx, &mut status, &verdict).await;
            if written.is_ok() {
                told(&build, &ctx, &status, &verdict);
            }
            written.map(|()| LOOK_AGAIN)
        }
        Err(problem) => report(&build, &ctx, &mut status, &problem.verdict).await.and(Err(problem)),
    };
    Ok(ctx.next("imagebuild", &key, result.as_ref().copied()))
}

async fn run(build: &ImageBuild, ctx: &Context, status: &mut ImageBuildStatus) -> Result<Outcome, Problem> {
    if build.spec.cancel == Some(true) {
        return cancel(build, ctx, status).await;
    }
    if status.queue_position.is_some() {
        turn(build, ctx, status, ctx.turns.look(ctx, build, status))?;
    }
    let namespace = build.namespace().unwrap_or_default();
    let reference = ObjectRef::<ContainerImage>::new(&build.spec.image).within(&namespace);
    let Some(image) = ctx.images.get(&reference) else {
        let text = format!(
            "ContainerImage {} (spec.image) does not exist in namespace {namespace}: create it, or delete this build",
            build.spec.image
        );
        return Err(Problem::stuck(Reason::ImageNotFound, text).again_in(SOON));
    };
    if build.owner_references().is_empty()
        && let Some(owner) = child::owner(&image)
    {
        ctx.cluster.adopt(build, &owner).await?;
    }
    let repository = source::of(&image, ctx)?;
    if status.commit.is_none() {
        match freeze::freeze(build, &image, &repository, ctx, status).await? {
            Ok(()) => {
                let tag = status.tag.as_deref().unwrap_or("a tag of the version that nix will evaluate");
                let text = format!("commit {} is built as {tag}", short(status.commit.as_deref().unwrap_or_default()));
                report(build, ctx, status, &Verdict::new(State::Working, Reason::Queued, text)).await?;
            }
            Err(cause) => return Ok(outcome::failed(status, &cause)),
        }
    }
    if status.job.is_none()
        && let Some(outcome) = exists(ctx, &repository, status).await?
    {
        return Ok(outcome);
    }
    let job = match own_job(build, &image, &repository, ctx, status).await? {
        Ok(job) => job,
        Err(cause) => return Ok(outcome::failed(status, &cause)),
    };
    follow(&job, &repository, ctx, status).await
}

/// The tag may be there before we begin: ours is success, another's is never moved (design section 6.2).
async fn exists(ctx: &Context, repository: &SourceRepository, status: &mut ImageBuildStatus) -> Result<Option<Outcome>, Problem> {
    let (registry, path) = access::registry(ctx, repository, status.image.as_deref().unwrap_or_default()).await?;
    if let Some(tag) = &status.tag {
        let found = ctx.calls.outside("registry.image", registry.image(&path, tag)).await?;
        return Ok(found.map(|found| outcome::present(status, found.digest, found.revision)));
    }
    // The version is not known before it is built: an image of this very commit is looked for under any.
    let (Some(commit), Some(variant)) = (status.commit.clone(), status.variant) else { return Ok(None) };
    let found = ctx.calls.outside("registry.image_at", registry.image_at(&path, &commit, variant)).await?;
    Ok(found.map(|(tag, found)| {
        status.version = tag::parse(&tag).map(|parts| parts.version.to_owned());
        status.tag = Some(tag);
        outcome::present(status, found.digest, found.revision)
    }))
}

/// The Job of this build: the one that is there, or a new one. A Job that somebody deleted is made again once.
async fn own_job(
    build: &ImageBuild,
    image: &ContainerImage,
    repository: &SourceRepository,
    ctx: &Context,
    status: &mut ImageBuildStatus,
) -> Result<Result<Job, Cause>, Problem> {
    let namespace = build.namespace().unwrap_or_default();
    let uid = build.uid().unwrap_or_default();
    let name = build::job_name(&build.name_any(), &uid);
    let before = status.job.clone();
    let job = match ctx.cluster.get::<Job>(&namespace, &name).await? {
        Some(job) => job,
        None if before.as_ref().is_some_and(|job| job.recreated > 0) => {
            let message = format!(
                "Job {name} was deleted twice: it is not made again. Set {} on ContainerImage {} for a new build",
                names::REBUILD_AT,
                image.name_any()
            );
            return Ok(Err(Cause { reason: Reason::JobDeleted, message, transient: false, log_of: None }));
        }
        None => {
            let Some(wanted) = freeze::job(build, image, repository, ctx, status, &name).await? else {
                let name = status.engine.map_or("auto", |engine| engine.as_str());
                let why = status.engine_reason.as_deref().unwrap_or_default();
                let message = format!("engine {name} ({why}) has no image: set engines.{name}.image of the chart, or spec.build.engine");
                return Ok(Err(Cause { reason: Reason::EngineNotConfigured, message, transient: false, log_of: None }));
            };
            if status.admitted_at.is_none() {
                turn(build, ctx, status, ctx.turns.take(ctx, build, status))?;
                status.admitted_at = Some(now());
                // Written before the Job exists: whoever looks after a crash finds the place taken.
                let verdict = Verdict::new(State::Working, Reason::Queued, "it is its turn: the Job is being made");
                report(build, ctx, status, &verdict).await.inspect_err(|_| ctx.turns.give_back(build))?;
            }
            match ctx.cluster.create(&namespace, &wanted).await? {
                Some(created) => created,
                None => return Err(Problem::waiting(Reason::Queued, format!("Job {name} was made a moment ago"), SOON)),
            }
        }
    };
    let ours = job.owner_references().iter().any(|owner| owner.uid == uid) && job.annotations().get(names::BUILD_KEY) == Some(&uid);
    if !ours {
        let message = format!(
            "Job {name} exists and is not of this build: delete it, then set {} on ContainerImage {}",
            names::REBUILD_AT,
            image.name_any()
        );
        return Ok(Err(Cause { reason: Reason::NameConflict, message, transient: false, log_of: None }));
    }
    let job_uid = job.uid().unwrap_or_default();
    if before.as_ref().is_none_or(|known| known.uid != job_uid) {
        let recreated = before.map_or(0, |known| known.recreated + 1);
        status.job = Some(JobReference { name, uid: job_uid, recreated });
        status.started_at = status.started_at.clone().or_else(|| job.meta().creation_timestamp.clone());
    }
    Ok(Ok(job))
}

/// Says that a build waits, and for what.
fn turn(build: &ImageBuild, ctx: &Context, status: &mut ImageBuildStatus, waiting: Option<Waiting>) -> Result<(), Problem> {
    status.queue_position = waiting.as_ref().and_then(|waiting| i64::try_from(waiting.position).ok());
    let Some(Waiting { position, of, limit }) = waiting else { return Ok(()) };
    let engine = status.engine.map_or("no", |engine| engine.as_str());
    tracing::debug!(build = build.name_any(), position, "waits");
    let text = format!("waits for its turn, {position} of {of} for engine {engine}: {limit}");
    Err(Problem::waiting(Reason::Queued, text, IN_LINE.min(ctx.config.resync)))
}

/// Ends a build at somebody's wish. Its log is read before its pod goes with its Job.
async fn cancel(build: &ImageBuild, ctx: &Context, status: &mut ImageBuildStatus) -> Result<Outcome, Problem> {
    let uid = build.uid().unwrap_or_default();
    let name = build::job_name(&build.name_any(), &uid);
    let job: Option<Job> = ctx.cluster.get(&build.namespace().unwrap_or_default(), &name).await?;
    if let Some(job) = job.filter(|job| job.owner_references().iter().any(|owner| owner.uid == uid)) {
        if let Some(pod) = ctx.cluster.pod_of(&job).await? {
            status.log_tail = Some(log_tail(ctx, &pod, "build").await).filter(|tail| !tail.is_empty());
        }
        ctx.cluster.delete(&job).await?;
    }
    status.queue_position = None;
    let message = match build.annotations().get(names::SUPERSEDED_BY) {
        Some(commit) => format!("main went on: commit {} is built instead", short(commit)),
        None => format!("spec.cancel is true. Set {} on ContainerImage {} for a new build", names::REBUILD_AT, build.spec.image),
    };
    Ok(outcome::failed(status, &Cause { reason: Reason::Cancelled, message, transient: false, log_of: None }))
}

/// What keeps a build that has no pod, or whose pod has not begun, from going on.
async fn refused(job: &Job, pod: Option<&Pod>, reason: Reason, ctx: &Context) -> Result<Option<String>, Problem> {
    if reason != Reason::PodPending {
        return Ok(None);
    }
    let warning = match pod {
        None => ctx.cluster.last_warning(job).await?,
        Some(pod) => ctx.cluster.last_warning(pod).await?,
    };
    Ok(warning.as_deref().and_then(refusal::refused).map(|refused| scrub::clean(&refused)))
}

/// How far the Job is.
async fn follow(job: &Job, repository: &SourceRepository, ctx: &Context, status: &mut ImageBuildStatus) -> Result<Outcome, Problem> {
    let pod = ctx.cluster.pod_of(job).await?;
    if let Some(pod) = &pod {
        status.pod = Some(pod.name_any());
        status.node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    }
    Ok(match cause::progress(job, pod.as_ref()) {
        Progress::Running { reason, message } => {
            match &pod {
                Some(pod) if reason == Reason::Building => look(ctx, pod, status).await,
                _ => status.progress = None,
            }
            Outcome::Running(match refused(job, pod.as_ref(), reason, ctx).await? {
                Some(refused) => Verdict::new(State::Working, Reason::PodRefused, refused),
                None => Verdict::new(State::Working, reason, message),
            })
        }
        Progress::Succeeded(report) => outcome::pushed(status, &report),
        Progress::SucceededSilently => match exists(ctx, repository, status).await? {
            Some(outcome) => outcome,
            None => outcome::failed(
                status,
                &Cause {
                    reason: Reason::PushFailed,
                    message: "the build ended well but its tag is not in the registry".to_owned(),
                    transient: true,
                    log_of: None,
                },
            ),
        },
        Progress::Failed(mut cause) => {
            if let (Some(pod), Some(container)) = (&pod, cause.log_of) {
                status.log_tail = Some(log_tail(ctx, pod, container).await).filter(|tail| !tail.is_empty());
                builder::explain(&mut cause, status.log_tail.as_deref().unwrap_or_default());
            }
            cause.message = scrub::clean(&cause.message);
            outcome::failed(status, &cause)
        }
    })
}

/// What the build step is at, if it is time to look. Where the log cannot be read or does not say, it stays what it was.
async fn look(ctx: &Context, pod: &Pod, status: &mut ImageBuildStatus) {
    let Some(engine) = status.engine else { return };
    if !ctx.looks.due(&pod.uid().unwrap_or_default(), looks::pause(ctx), Instant::now()) {
        return;
    }
    if let Ok(log) = ctx.cluster.log(pod, "build").await
        && let Some(step) = progress::step(engine, &log)
    {
        status.progress = Some(step);
    }
}

async fn log_tail(ctx: &Context, pod: &Pod, container: &str) -> String {
    match ctx.cluster.log(pod, container).await {
        Ok(log) => scrub::tail(&log),
        // The cause is known without it, and the node may be gone for good.
        Err(error) => format!("(the log of step {container} could not be read: {error})"),
    }
}

/// Metrics and the event on the ContainerImage, after the end is written.
fn told(build: &ImageBuild, ctx: &Context, status: &ImageBuildStatus, verdict: &Verdict) {
    let took = status.duration.as_deref().and_then(duration::parse);
    ctx.metrics.build(status.engine.map_or("none", |engine| engine.as_str()), verdict.reason, took);
    let reference = ObjectRef::<ContainerImage>::new(&build.spec.image).within(&build.namespace().unwrap_or_default());
    let Some(image) = ctx.images.get(&reference) else { return };
    let name = format!("{}:{}", image.name_any(), status.tag.as_deref().unwrap_or_default());
    match verdict.state {
        State::Good => {
            let took = status.duration.as_deref().map_or_else(String::new, |took| format!(" in {took}"));
            let text = format!("{name} {}{took}", status.digest.as_deref().unwrap_or_default());
            let reason = if verdict.reason == Reason::Pushed { Reason::ImagePushed } else { Reason::BuildSkipped };
            ctx.cluster.event(image.as_ref(), false, reason, "Build", &text);
        }
        _ if verdict.reason == Reason::Cancelled => {
            let text = format!("{}: {}", build.name_any(), verdict.message);
            ctx.cluster.event(image.as_ref(), false, Reason::BuildCancelled, "Build", &text);
        }
        _ => {
            let text = format!("{} ({}): {}", build.name_any(), verdict.reason, verdict.message);
            ctx.cluster.event(image.as_ref(), true, Reason::ImageBuildFailed, "Build", &text);
        }
    }
}

/// What is still to be said of a build that has ended.
async fn write_if(build: &ImageBuild, ctx: &Context, status: &ImageBuildStatus) -> Result<(), Problem> {
    if build.status.as_ref() == Some(status) {
        return Ok(());
    }
    Ok(write(ctx, build, status).await?)
}

async fn report(build: &ImageBuild, ctx: &Context, status: &mut ImageBuildStatus, verdict: &Verdict) -> Result<(), Problem> {
    let before = build.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    status.observed_generation = build.metadata.generation;
    status.conditions = conditions(&before, "Succeeded", verdict, build.metadata.generation, &now());
    let change = Change { old: build.status.as_ref(), new: status, before: &before, summary: "Succeeded", verdict };
    Ok(publish(ctx, build, change).await?)
}
