//! Which builds may run, and which wait: as many run at once as their engine and their repository allow.
//!
//! A turn stands in the status before the Job is made, so that a restart finds every place taken. What is remembered here covers the moment
//! until a cache shows it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::channel::mpsc;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use mainstay_crds::{ContainerImage, Engine, ImageBuild, ImageBuildStatus, Origin};

use super::context::Context;
use super::source;
use crate::domain::build::UNSCHEDULABLE;
use crate::domain::condition::find;
use crate::domain::queue::{self, Entry, Turn};

/// Turns that were given, and builds that ended, by UID.
#[derive(Debug)]
pub struct Turns {
    memory: Mutex<Memory>,
    /// Tells those who wait that somebody has ended.
    freed: Mutex<mpsc::Sender<()>>,
}

#[derive(Debug, Default)]
struct Memory {
    given: HashSet<String>,
    ended: HashSet<String>,
}

/// A build has to wait.
#[derive(Debug)]
pub struct Waiting {
    /// Its place in the line for its engine, from 1.
    pub position: usize,
    /// How many are in that line.
    pub of: usize,
    /// What they wait for, for people.
    pub limit: String,
}

impl Turns {
    /// `freed` gets a signal whenever a place becomes free.
    pub fn new(freed: mpsc::Sender<()>) -> Self {
        Self { memory: Mutex::default(), freed: Mutex::new(freed) }
    }

    /// Whether a build has to wait. Nothing is taken.
    pub fn look(&self, ctx: &Context, build: &ImageBuild, status: &ImageBuildStatus) -> Option<Waiting> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        waiting(&mut memory, ctx, build, status)
    }

    /// Takes a place, or says what to wait for. It is held until [`Turns::ended`] or [`Turns::give_back`], or until the build is gone.
    pub fn take(&self, ctx: &Context, build: &ImageBuild, status: &ImageBuildStatus) -> Option<Waiting> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = waiting(&mut memory, ctx, build, status);
        if waiting.is_none() {
            memory.given.insert(build.uid().unwrap_or_default());
        }
        waiting
    }

    /// A place that was taken was not used.
    pub fn give_back(&self, build: &ImageBuild) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).given.remove(&build.uid().unwrap_or_default());
    }

    /// A build has ended: its place is free, and those who wait are told.
    pub fn ended(&self, build: &ImageBuild) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).ended.insert(build.uid().unwrap_or_default());
        // A full channel means that a signal is on its way already.
        let _ = self.freed.lock().unwrap_or_else(PoisonError::into_inner).try_send(());
    }
}

fn waiting(memory: &mut Memory, ctx: &Context, build: &ImageBuild, status: &ImageBuildStatus) -> Option<Waiting> {
    let own = build.uid().unwrap_or_default();
    let open = |build: &ImageBuild| build.status.as_ref().is_none_or(|status| status.completed_at.is_none());
    let all = ctx.builds.state_filter(open);
    // What the cache shows by itself need not be remembered.
    let known: HashSet<String> = all.iter().filter_map(|build| build.uid()).chain([own.clone()]).collect();
    memory.given.retain(|uid| known.contains(uid));
    memory.ended.retain(|uid| known.contains(uid));
    let mut entries: Vec<Entry> = all
        .iter()
        .filter(|build| build.uid().is_some_and(|uid| uid != own && !memory.ended.contains(&uid)))
        .filter_map(|build| entry(memory, ctx, build, build.status.as_ref()?))
        .collect();
    entries.extend(entry(memory, ctx, build, status));
    count(ctx, &entries);
    let cap = |engine| ctx.config.engine(engine).map_or(usize::MAX, |engine| engine.max_concurrent_builds.get());
    match queue::turn(&entries, &own, Timestamp::now(), cap) {
        Turn::Now => None,
        Turn::Wait { position, waiting, limit } => Some(Waiting { position, of: waiting, limit }),
    }
}

/// A build in the queue; `None` before its engine was chosen, and where no node takes its pod: it uses nothing, and may wait for ever. Should
/// a node come, more builds run than may for once.
fn entry(memory: &Memory, ctx: &Context, build: &ImageBuild, status: &ImageBuildStatus) -> Option<Entry> {
    let namespace = build.namespace().unwrap_or_default();
    let image = ctx.images.get(&ObjectRef::<ContainerImage>::new(&build.spec.image).within(&namespace));
    let repository = image.and_then(|image| source::of(&image, ctx).ok());
    let id = build.uid()?;
    if find(&status.conditions, "Succeeded").is_some_and(|said| said.reason == UNSCHEDULABLE) {
        return None;
    }
    Some(Entry {
        engine: status.engine?,
        repository: format!("{namespace}/{}", repository.as_ref().map(|repository| repository.name_any()).unwrap_or_default()),
        repository_cap: repository.and_then(|repository| usize::try_from(repository.spec.max_concurrent_builds?).ok()),
        origin: status.origin.unwrap_or(Origin::Branch),
        committed: status.committed_at.as_ref().map(|time| time.0),
        since: build.creation_timestamp().map_or_else(Timestamp::now, |time| time.0),
        running: status.admitted_at.is_some() || status.job.is_some() || memory.given.contains(&id),
        id,
    })
}

fn count(ctx: &Context, entries: &[Entry]) {
    let mut all: BTreeMap<&str, (i64, i64)> =
        [Engine::Buildkit, Engine::Kaniko, Engine::Nix].into_iter().map(|engine| (engine.as_str(), (0, 0))).collect();
    for entry in entries {
        let (running, waiting) = all.entry(entry.engine.as_str()).or_default();
        *(if entry.running { running } else { waiting }) += 1;
    }
    for (engine, (running, waiting)) in all {
        ctx.metrics.queue(engine, running, waiting);
    }
}
