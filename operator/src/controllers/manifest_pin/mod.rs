//! ManifestPin: the places that name our images follow the newest image from main, by one commit for all of them.
//!
//! Nothing is remembered but what stands in Git and in the cluster: a run that dies after its push finds the pins as they should be.

mod cluster;
mod history;
mod images;
mod observe;
mod plan;
mod pull_request;
mod rivals;
mod running;
mod status;
mod write;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use mainstay_crds::{ManifestPin, ManifestPinStatus, PinTarget, Reason, WriteMode, names};

use self::observe::Seen;
use self::plan::{Decision, Stand};
use self::running::Running;
use super::access;
use super::context::{Context, now, object_key};
use super::problem::Problem;
use super::publish::{Change, publish};
use super::source::clone_key;
use crate::clients::git::Pushed;
use crate::domain::build::short;
use crate::domain::condition::{State, Verdict, conditions};
use crate::domain::duration;

/// Longest time for one run with other writers on the branch: after it the object is looked at anew, with a growing pause.
const RACE_DEADLINE: Duration = Duration::from_secs(60);

/// Longest pause after a lost race.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How soon pins are looked at again that a commit has left behind.
const MORE: Duration = Duration::from_millis(500);

/// How often a roll-out is looked at, and for how long after a commit.
const ROLLING_OUT: Duration = Duration::from_secs(5);
const ROLL_OUT: Duration = Duration::from_secs(600);

/// How soon to look whether two ManifestPins still mean the same place: the other one is not watched.
const CONFLICT: Duration = Duration::from_secs(15);

/// One reconcile. Problems end in the status; they are no errors of the controller.
///
/// # Errors
/// Never: the type is that of kube.
pub async fn reconcile(object: Arc<ManifestPin>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let object = ctx.newest(object).await;
    ctx.lags.images.over().await;
    let namespace = object.namespace().unwrap_or_default();
    let window = object.spec.batch_window.as_deref().and_then(duration::parse).unwrap_or(ctx.config.batch_window);
    if let Some(pause) = ctx.batch.wait(&namespace, window) {
        return Ok(Action::requeue(pause));
    }
    let key = object_key(object.as_ref());
    let mut status = object.status.clone().unwrap_or_default();
    let result = match run(&object, &ctx, &mut status).await {
        Ok((verdict, pause)) => report(&object, &ctx, &mut status, &verdict).await.map(|()| pause),
        // After a restart the clones are made again: that is no news about pins that were reported on before.
        Err(problem) if problem.is_warming_up() && object.status.is_some() => Err(problem),
        Err(problem) => report(&object, &ctx, &mut status, &problem.verdict).await.and(Err(problem)),
    };
    Ok(ctx.next("manifestpin", &key, result.as_ref().copied()))
}

async fn run(object: &Arc<ManifestPin>, ctx: &Context, status: &mut ManifestPinStatus) -> Result<(Verdict, Duration), Problem> {
    if object.spec.suspend == Some(true) {
        status.diff = None;
        measured(object, ctx, status);
        return Ok((Verdict::new(State::Working, Reason::Suspended, "spec.suspend is true: nothing is written"), ctx.config.resync));
    }
    let begun = Instant::now();
    let (mut landed, mut races) = (false, 0_u32);
    loop {
        // Each try begins from what is wanted now: a decision that was overtaken is not written.
        let reference = ObjectRef::from_obj(object.as_ref());
        let Some(object) = ctx.pins.get(&reference).filter(|object| object.spec.suspend != Some(true)) else {
            return Err(Problem::waiting(Reason::Overtaken, "the object changed during the run", Duration::from_millis(100)));
        };
        let asked = object.annotations().get(names::RESUME_AT).cloned();
        let lift = asked.is_some() && asked != status.last_handled_resume_at;
        let mut seen = observe::observe(&object, ctx).await?;
        let mut decisions = plan::plan(&object.spec, &seen.pins, lift);
        let edit = write::edit(&mut seen, &mut decisions);
        let mut verdict = plan::verdict(&seen.pins, &decisions, seen.images.len(), seen.skipped.len());
        status.diff = None;
        match (edit, object.spec.write.unwrap_or_default()) {
            // While a pin waits for its image, the request that is open may still be what is wanted.
            (None, WriteMode::PullRequest) if decisions.iter().all(|decision| plan::settled(decision.stand)) => {
                pull_request::close(&object, ctx, &seen, status).await?;
            }
            (None, _) => {}
            (Some(edit), WriteMode::DryRun) => {
                status.diff = Some(write::diff(&seen, &edit));
                if verdict.state == State::Good {
                    let text = format!("would write {}: see status.diff; set spec.write to write it", edit.summary());
                    verdict = Verdict::new(State::Good, Reason::DryRun, text);
                }
            }
            (Some(edit), WriteMode::PullRequest) => {
                let said = pull_request::keep(&object, ctx, &seen, &edit, status).await?;
                if verdict.state == State::Good {
                    verdict = said;
                }
            }
            // What came in the meantime waits for its own moment: one run makes one commit.
            (Some(edit), WriteMode::Commit) if landed => {
                verdict = Verdict::new(State::Working, Reason::Behind, format!("the next commit brings {}", edit.summary()));
            }
            (Some(edit), WriteMode::Commit) => {
                if begun.elapsed() > RACE_DEADLINE {
                    let text = format!("other writers on {} were faster {races} times: it is tried again", seen.branch);
                    return Err(Problem::retrying(Reason::PushRaced, text));
                }
                match commit(&object, ctx, &seen, &edit, status).await? {
                    Some(()) => landed = true,
                    None => {
                        races += 1;
                        tokio::time::sleep(jittered(races, object.uid().as_deref().unwrap_or_default())).await;
                        let remote = access::remote(ctx, &seen.repository).await?;
                        ctx.calls.outside("git.sync", ctx.git.sync(&clone_key(&seen.repository), &remote)).await?;
                    }
                }
                continue;
            }
        }
        if object.spec.target.unwrap_or_default() == PinTarget::Cluster {
            cluster::apply(&object, ctx, &mut seen, &mut decisions, status).await?;
            verdict = plan::verdict(&seen.pins, &decisions, seen.images.len(), seen.skipped.len());
        }
        let more = verdict.reason == Reason::Behind;
        status.last_handled_resume_at = asked;
        status.last_handled_reconcile_at = object.annotations().get(names::RECONCILE_AT).cloned();
        let (verdict, pause) = finish(&object, ctx, status, &seen, &decisions, verdict).await?;
        return Ok((verdict, if more { MORE } else { pause }));
    }
}

/// Pushes one commit. `None` where somebody was faster.
async fn commit(
    object: &ManifestPin,
    ctx: &Context,
    seen: &Seen,
    edit: &write::Edit,
    status: &mut ManifestPinStatus,
) -> Result<Option<()>, Problem> {
    let on = (seen.branch.clone(), Some(seen.head.clone()), vec![seen.head.clone()]);
    let request = write::request(object, ctx, seen, edit, on).await?;
    let when = request.when;
    let remote = access::remote(ctx, &seen.repository).await?;
    match write::push(ctx, seen, &remote, request).await? {
        Pushed::Lost => Ok(None),
        Pushed::Landed { commit } => {
            status.last_commit = Some(short(&commit).to_owned());
            status.pinned_at = Some(Time(Timestamp::from_second(when).unwrap_or_default()));
            let text = format!("pinned {}, commit {}", edit.summary(), short(&commit));
            ctx.cluster.event(object, false, Reason::PinCommitted, "Pin", &text);
            Ok(Some(()))
        }
    }
}

/// The pause after a lost race: growing, and different for each object and try.
fn jittered(races: u32, object: &str) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let longest = Duration::from_millis(40).saturating_mul(2_u32.saturating_pow(races)).min(LONGEST_PAUSE);
    let random = u32::try_from(RandomState::new().hash_one((object, races)) & 0xffff).unwrap_or_default();
    longest.mul_f64(f64::from(random) / 65536.0)
}

/// Only what is to become a commit is behind: in the other modes, and while it is suspended, pins wait for a person.
fn measured(object: &ManifestPin, ctx: &Context, status: &ManifestPinStatus) {
    let commits = object.spec.suspend != Some(true) && object.spec.write.unwrap_or_default() == WriteMode::Commit;
    let behind = status.behind.filter(|_| commits).unwrap_or_default();
    ctx.metrics.pins(&object.namespace().unwrap_or_default(), &object.name_any(), behind, status.violations.unwrap_or_default());
}

async fn finish(
    object: &ManifestPin,
    ctx: &Context,
    status: &mut ManifestPinStatus,
    seen: &Seen,
    decisions: &[Decision],
    verdict: Verdict,
) -> Result<(Verdict, Duration), Problem> {
    let running = Running::of(ctx, seen.images.iter().map(|image| image.resolved.image.as_str()));
    let applications = if seen.pins.is_empty() { Vec::new() } else { ctx.cluster.applications().await? };
    status::fill(status, object, seen, decisions, (&running, &applications));
    measured(object, ctx, status);
    let recent = status
        .pinned_at
        .as_ref()
        .is_some_and(|at| Duration::try_from(Timestamp::now().duration_since(at.0)).unwrap_or_default() < ROLL_OUT);
    let mut pause = ctx.config.resync;
    if recent && status::is_rolling_out(status) {
        pause = pause.min(ROLLING_OUT);
    }
    if decisions.iter().any(|decision| decision.stand == Stand::Conflict) {
        pause = pause.min(CONFLICT);
    }
    Ok((verdict, pause))
}

async fn report(object: &ManifestPin, ctx: &Context, status: &mut ManifestPinStatus, verdict: &Verdict) -> Result<(), Problem> {
    let before = object.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    status.observed_generation = object.metadata.generation;
    status.conditions = conditions(&before, "Ready", verdict, object.metadata.generation, &now());
    let change = Change { old: object.status.as_ref(), new: status, before: &before, summary: "Ready", verdict };
    Ok(publish(ctx, object, change).await?)
}
