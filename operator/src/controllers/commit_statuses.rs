//! Tells the forge how builds stand. No build waits for it, and none fails of it.
//!
//! What the forge was told stands in the status of the ImageBuild, which its own reconcile writes. What is done here between two reconciles may be
//! lost at any time: the next one finds what is owed, and the forge is asked before anything is written.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use mainstay_crds::{CommitState, ContainerImage, ImageBuild, ImageBuildStatus, Reason, SourceRepository};
use tokio::sync::Semaphore;

use super::context::{Context, now};
use super::problem::Problem;
use super::{access, source};
use crate::clients::forge::CommitStatus;
use crate::domain::commit_status::{self, Said};

/// How many statuses of one repository are written at once.
const AT_ONCE: usize = 4;

/// Where a token comes from unless it is that of the repository.
const TOKEN_FIELD: &str = "spec.commitStatuses.tokenSecretRef of the SourceRepository";

/// What is being written, and what came of it.
#[derive(Debug)]
pub struct CommitStatuses {
    memory: Mutex<Memory>,
    /// Builds whose status was written, or could not be.
    told: mpsc::UnboundedSender<ObjectRef<ImageBuild>>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Builds with a write under way, or a pause after one that failed, by UID.
    busy: HashSet<String>,
    /// What came of writes, until the reconcile of the build takes it: the problem where it failed.
    ended: HashMap<String, (Said, Option<String>)>,
    /// By repository: a forge that refuses one refuses all.
    lanes: HashMap<String, Arc<Lane>>,
}

#[derive(Debug)]
struct Lane {
    places: Semaphore,
    trouble: Mutex<Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// Until when nothing is tried.
    rest: Option<Instant>,
    /// What people were told last.
    told: String,
}

impl CommitStatuses {
    /// `told` gets every build that has something to take.
    pub fn new(told: mpsc::UnboundedSender<ObjectRef<ImageBuild>>) -> Self {
        Self { memory: Mutex::default(), told }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what came of the last write into the status of a build, and begins the next one where something is owed.
pub fn advance(build: &ImageBuild, ctx: &Arc<Context>, status: &mut ImageBuildStatus) {
    let uid = build.uid().unwrap_or_default();
    if let Some((said, problem)) = ctx.commit_statuses.memory().ended.remove(&uid) {
        status.commit_status = Some(commit_status::record(status.commit_status.as_ref(), &said, problem));
    }
    let namespace = build.namespace().unwrap_or_default();
    let image = ctx.images.get(&ObjectRef::<ContainerImage>::new(&build.spec.image).within(&namespace));
    let Some(repository) = image.and_then(|image| source::of(&image, ctx).ok()) else { return };
    if repository.spec.commit_statuses.is_none() {
        return;
    }
    // As it is now: with what was just taken.
    let seen = ImageBuild {
        status: Some(ImageBuildStatus { commit_status: status.commit_status.clone(), ..build.status.clone().unwrap_or_default() }),
        ..build.clone()
    };
    let others = ctx.builds.state_filter(|other| other.spec.image == build.spec.image && other.namespace().as_deref() == Some(&namespace));
    let Some(said) = commit_status::owed(&seen, others.iter().map(AsRef::as_ref), &now()) else { return };
    let lane = {
        let mut memory = ctx.commit_statuses.memory();
        if !memory.busy.insert(uid.clone()) {
            return;
        }
        let new = || Arc::new(Lane { places: Semaphore::new(AT_ONCE), trouble: Mutex::default() });
        memory.lanes.entry(repository.uid().unwrap_or_default()).or_insert_with(new).clone()
    };
    tokio::spawn(tell(ctx.clone(), repository, seen, said, lane));
}

/// One attempt, in its turn, and the pause after one that failed.
async fn tell(ctx: Arc<Context>, repository: Arc<SourceRepository>, build: ImageBuild, said: Said, lane: Arc<Lane>) {
    let key = format!("CommitStatus/{}", repository.uid().unwrap_or_default());
    let uid = build.uid().unwrap_or_default();
    let reference = ObjectRef::from_obj(&build);
    let problem = {
        let place = loop {
            let place = lane.places.acquire().await;
            match lane.resting() {
                Some(rest) => {
                    drop(place);
                    tokio::time::sleep(rest).await;
                }
                None => break place,
            }
        };
        let problem = write(&ctx, &repository, &build, &said).await.err();
        match &problem {
            None => {
                ctx.failures.clear(&key);
                lane.well();
            }
            Some(problem) => {
                if lane.trouble(ctx.failures.pause(&key, problem), &problem.verdict.message) {
                    complain(&ctx, &repository, problem);
                }
            }
        }
        drop(place);
        problem
    };
    let message = problem.as_ref().map(|problem| problem.verdict.message.clone());
    if ctx.builds.get(&reference).is_some() {
        ctx.commit_statuses.memory().ended.insert(uid.clone(), (said, message));
        let _ = ctx.commit_statuses.told.unbounded_send(reference.clone());
    }
    if let (Some(_), Some(rest)) = (problem, lane.resting()) {
        tokio::time::sleep(rest).await;
    }
    ctx.commit_statuses.memory().busy.remove(&uid);
    let _ = ctx.commit_statuses.told.unbounded_send(reference);
}

impl Lane {
    fn resting(&self) -> Option<Duration> {
        let until = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).rest?;
        Some(until.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    /// The forge took a status.
    fn well(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Trouble::default();
    }

    /// It did not. Whether that is news: many builds meet the same trouble, again and again.
    fn trouble(&self, pause: Duration, message: &str) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.rest = Instant::now().checked_add(pause);
        let news = trouble.told != message;
        message.clone_into(&mut trouble.told);
        news
    }
}

/// Writes a status, unless the forge shows it already.
async fn write(ctx: &Context, repository: &SourceRepository, build: &ImageBuild, said: &Said) -> Result<(), Problem> {
    let settings = repository.spec.commit_statuses.clone().unwrap_or_default();
    let target = settings.target_url.as_deref().map(|template| commit_status::target(template, build)).transpose();
    let target_url = target.map_err(|words| Problem::stuck(Reason::TemplateInvalid, format!("spec.commitStatuses.targetURL: {words}")))?;
    let forge = access::forge(ctx, repository, &settings.forge, TOKEN_FIELD, "write commit statuses").await?;
    let commit = build.status.as_ref().and_then(|status| status.commit.clone()).unwrap_or_default();
    let state = match said.state {
        CommitState::Pending => "pending",
        CommitState::Success => "success",
        CommitState::Failure => "failure",
        CommitState::Error => "error",
    };
    let wanted = CommitStatus { context: said.context.clone(), state: state.to_owned(), description: said.description.clone(), target_url };
    let shown = ctx.calls.outside("forge.commit_status", forge.commit_status(&commit, &said.context)).await?;
    if shown.as_ref() != Some(&wanted) {
        ctx.calls.outside("forge.set_commit_status", forge.set_commit_status(&commit, &wanted)).await?;
    }
    Ok(())
}

/// Says it once; the status of each build has it anyway.
fn complain(ctx: &Context, repository: &SourceRepository, problem: &Problem) {
    let verdict = &problem.verdict;
    tracing::warn!(
        repository = repository.name_any(),
        reason = verdict.reason.as_str(),
        "commit statuses are not written: {}",
        verdict.message
    );
    let text = format!("commit statuses are not written: {}: {}", verdict.reason, verdict.message);
    ctx.cluster.event(repository, true, Reason::CommitStatusFailed, "Tell", &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_that_refuses_is_left_in_peace_and_told_of_once() {
        let lane = Lane { places: Semaphore::new(AT_ONCE), trouble: Mutex::default() };
        assert_eq!(lane.resting(), None);
        assert!(lane.trouble(Duration::from_secs(60), "401"));
        assert!(!lane.trouble(Duration::from_secs(60), "401") && lane.trouble(Duration::from_secs(60), "503"));
        assert!(lane.resting().is_some_and(|rest| rest > Duration::from_secs(50)));
        lane.well();
        assert_eq!(lane.resting(), None);
        assert!(lane.trouble(Duration::ZERO, "503"), "it was well in between");
        assert_eq!(lane.resting(), None);
    }
}
