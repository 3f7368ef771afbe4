//! Which builds may run, and which wait: as many run at once as their engine and their repository allow.
//!
//! A turn stands in the status before the Job is made, so that a restart finds every place taken. What is remembered here covers the moment
//! until a cache shows it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::mpsc;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use mainstay_crds::{ContainerImage, Engine, ImageBuild, ImageBuildStatus, Origin, Reason};

use super::context::Context;
use super::source;
use crate::domain::build::{has_turn, is_running};
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
    /// Builds that were given their turn a moment ago, as they were then: the cache may not even show what builds them.
    given: HashMap<String, Entry>,
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
        waiting(&mut memory, ctx, &entry(ctx, build, status)?)
    }

    /// Takes a place, or says what to wait for. It is held until [`Turns::ended`] or [`Turns::give_back`], or until the build is gone.
    pub fn take(&self, ctx: &Context, build: &ImageBuild, status: &ImageBuildStatus) -> Option<Waiting> {
        let own = entry(ctx, build, status)?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = waiting(&mut memory, ctx, &own);
        if waiting.is_none() {
            memory.given.insert(own.id.clone(), Entry { running: true, ..own });
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

fn waiting(memory: &mut Memory, ctx: &Context, own: &Entry) -> Option<Waiting> {
    let cache = ctx.builds.state_filter(is_running);
    let entries = line(memory, &cache, own, |build| entry(ctx, build, build.status.as_ref()?));
    count(ctx, &entries);
    let cap = |engine| ctx.config.engine(engine).map_or(usize::MAX, |engine| engine.max_concurrent_builds.get());
    match queue::turn(&entries, &own.id, Timestamp::now(), cap) {
        Turn::Now => None,
        Turn::Wait { position, waiting, limit } => Some(Waiting { position, of: waiting, limit }),
    }
}

/// All builds that run or wait: those that the cache shows as open, corrected by what is remembered. What it shows by itself is forgotten.
fn line(memory: &mut Memory, cache: &[Arc<ImageBuild>], own: &Entry, describe: impl Fn(&ImageBuild) -> Option<Entry>) -> Vec<Entry> {
    let shown: HashMap<String, &Arc<ImageBuild>> = cache.iter().filter_map(|build| Some((build.uid()?, build))).collect();
    let shows_turn = |build: &&Arc<ImageBuild>| build.status.as_ref().is_some_and(has_turn);
    memory.given.retain(|uid, _| *uid == own.id || shown.get(uid).is_some_and(|build| !shows_turn(build)));
    memory.ended.retain(|uid| shown.contains_key(uid));
    let mut entries: Vec<Entry> = Vec::new();
    for (uid, build) in shown {
        if uid != own.id && !memory.ended.contains(&uid) {
            entries.extend(memory.given.get(&uid).cloned().or_else(|| describe(build)));
        }
    }
    entries.push(memory.given.get(&own.id).unwrap_or(own).clone());
    entries
}

/// A build in the queue; `None` before its engine was chosen, and where no node or admission takes its pod: it uses nothing, and may wait for ever. Should
/// a node come, more builds run than may for once.
fn entry(ctx: &Context, build: &ImageBuild, status: &ImageBuildStatus) -> Option<Entry> {
    let namespace = build.namespace().unwrap_or_default();
    let image = ctx.images.get(&ObjectRef::<ContainerImage>::new(&build.spec.image).within(&namespace));
    let repository = image.and_then(|image| source::of(&image, ctx).ok());
    let waits = |reason: &str| [Reason::BuildPodUnschedulable, Reason::PodRefused].iter().any(|one| *one == reason);
    if find(&status.conditions, "Succeeded").is_some_and(|said| waits(&said.reason)) {
        return None;
    }
    Some(Entry {
        id: build.uid()?,
        engine: status.engine?,
        repository: format!("{namespace}/{}", repository.as_ref().map(|repository| repository.name_any()).unwrap_or_default()),
        repository_cap: repository.and_then(|repository| usize::try_from(repository.spec.max_concurrent_builds?).ok()),
        origin: status.origin.unwrap_or(Origin::Branch),
        committed: status.committed_at.as_ref().map(|time| time.0),
        since: build.creation_timestamp().map_or_else(Timestamp::now, |time| time.0),
        running: has_turn(status),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn build(name: &str, status: &str) -> Arc<ImageBuild> {
        let text = format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, uid: {name}}}, spec: {{image: cv, ref: main}}{status}}}");
        Arc::new(serde_saphyr::from_str(&text).unwrap())
    }

    fn described(build: &ImageBuild) -> Option<Entry> {
        let status = build.status.as_ref()?;
        Some(Entry {
            id: build.uid()?,
            engine: status.engine?,
            repository: "ops/ops".to_owned(),
            repository_cap: None,
            origin: Origin::Main,
            committed: None,
            since: Timestamp::UNIX_EPOCH,
            running: has_turn(status),
        })
    }

    fn running(memory: &mut Memory, cache: &[Arc<ImageBuild>], own: &Entry) -> Vec<String> {
        let mut all: Vec<String> =
            line(memory, cache, own, described).into_iter().filter(|entry| entry.running).map(|entry| entry.id).collect();
        all.sort();
        all
    }

    #[test]
    fn a_turn_counts_before_the_cache_shows_anything_of_it() {
        let own = described(&build("own", ", status: {engine: nix}")).unwrap();
        let first = described(&build("first", ", status: {engine: nix}")).unwrap();
        let mut memory = Memory::default();
        memory.given.insert("first".to_owned(), Entry { running: true, ..first });
        let nothing = [build("first", ""), build("own", "")];
        assert_eq!(running(&mut memory, &nothing, &own), ["first"]);
        let shown = [build("first", ", status: {engine: nix, admittedAt: '2026-11-26T03:00:00Z'}"), build("own", "")];
        assert_eq!(running(&mut memory, &shown, &own), ["first"]);
        assert!(memory.given.is_empty(), "the cache shows it");
    }

    #[test]
    fn one_that_has_ended_is_free_before_the_cache_shows_it() {
        let own = described(&build("own", ", status: {engine: nix}")).unwrap();
        let mut memory = Memory::default();
        let cache = [build("first", ", status: {engine: nix, admittedAt: '2026-11-26T03:00:00Z'}")];
        assert_eq!(running(&mut memory, &cache, &own), ["first"]);
        memory.ended.insert("first".to_owned());
        assert!(running(&mut memory, &cache, &own).is_empty());
        assert!(running(&mut memory, &[], &own).is_empty() && memory.ended.is_empty(), "it is forgotten when it is gone");
    }
}
