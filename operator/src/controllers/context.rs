//! What every reconcile is given.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::reflector::Store;
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, SourceRepository};
use tokio::sync::watch;

use super::batch::Batch;
use super::commit_statuses::CommitStatuses;
use super::hints::Hints;
use super::lag::Lag;
use super::looks::Looks;
use super::problem::Problem;
use super::secrets::Secrets;
use super::tags::Tags;
use super::turns::Turns;
use crate::clients::call::Calls;
use crate::clients::cluster::{Cluster, Namespaced};
use crate::clients::git;
use crate::clients::registry::Registry;
use crate::config::Config;
use crate::domain::backoff;
use crate::error::Class;
use crate::metrics::Metrics;

/// The world as the controllers see it. The stores are caches of the API server; nothing here is needed after a crash.
pub struct Context {
    /// Settings of the operator.
    pub config: Config,
    /// The API server.
    pub cluster: Cluster,
    /// The layer for calls to the outside.
    pub calls: Calls,
    /// The clones.
    pub git: git::Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// All SourceRepositories.
    pub repositories: Store<SourceRepository>,
    /// All ContainerImages.
    pub images: Store<ContainerImage>,
    /// All ImageBuilds.
    pub builds: Store<ImageBuild>,
    /// All ManifestPins.
    pub pins: Store<ManifestPin>,
    /// All pods, without what is of no use here.
    pub pods: Store<Pod>,
    /// Secrets that were read a moment ago.
    pub secrets: Secrets,
    /// What the caches have yet to see.
    pub lags: Lags,
    /// Registry clients by a hash of their settings and credential: one client per credential.
    pub registries: Mutex<HashMap<String, Registry>>,
    /// Whether all of these have their first content.
    pub filled: watch::Receiver<bool>,
    /// Tags by image.
    pub tags: Tags,
    /// Changes that wait to become one commit.
    pub batch: Batch,
    /// When the logs of builds were looked at.
    pub looks: Looks,
    /// Whose turn it is to build.
    pub turns: Turns,
    /// What hooks ask for.
    pub hints: Arc<Hints>,
    /// What the forge is told of builds.
    pub commit_statuses: CommitStatuses,
    /// Reconciles in a row that failed, by object.
    pub failures: Failures,
}

/// The lags of the caches that others than their own controller look into.
#[derive(Debug)]
pub struct Lags {
    /// Of the SourceRepositories.
    pub repositories: Lag<SourceRepository>,
    /// Of the ContainerImages.
    pub images: Lag<ContainerImage>,
    /// Of the ImageBuilds.
    pub builds: Lag<ImageBuild>,
    /// Of the ManifestPins.
    pub pins: Lag<ManifestPin>,
}

/// A kind of ours, of which there is a cache.
pub trait Cached: Namespaced + 'static {
    /// What that cache has yet to see.
    fn lag(lags: &Lags) -> &Lag<Self>;
}

impl Cached for SourceRepository {
    fn lag(lags: &Lags) -> &Lag<Self> {
        &lags.repositories
    }
}

impl Cached for ContainerImage {
    fn lag(lags: &Lags) -> &Lag<Self> {
        &lags.images
    }
}

impl Cached for ImageBuild {
    fn lag(lags: &Lags) -> &Lag<Self> {
        &lags.builds
    }
}

impl Cached for ManifestPin {
    fn lag(lags: &Lags) -> &Lag<Self> {
        &lags.pins
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

/// The time now, as conditions want it.
pub fn now() -> Time {
    Time(Timestamp::now())
}

/// How failures of an object are counted: a changed spec begins anew.
pub fn object_key<K: Namespaced>(object: &K) -> String {
    let meta = object.meta();
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}/{}#{}", K::kind(&()), word(&meta.namespace), word(&meta.name), meta.generation.unwrap_or_default())
}

/// Counts failures in a row per object. Lost in a crash: then the pauses begin anew.
#[derive(Debug, Default)]
pub struct Failures {
    counts: Mutex<HashMap<String, u32>>,
    random: RandomState,
}

impl Failures {
    /// An object is well: its next failure waits the first pause again.
    pub fn clear(&self, object: &str) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }

    /// When to look again at an object that has a problem.
    pub fn pause(&self, object: &str, problem: &Problem) -> Duration {
        if let Class::Waiting(pause) = problem.class {
            return pause;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(object.to_owned()).or_default();
        *count = count.saturating_add(1);
        // A hash with a random key is random enough to keep objects from retrying in step.
        let jitter = f64::from(u16::try_from(self.random.hash_one((object, *count)) & 0xffff).unwrap_or_default()) / 65536.0;
        let pause = backoff::reconcile(*count, jitter);
        match problem.class {
            Class::Transient { after: Some(asked) } => pause.max(asked),
            _ => pause,
        }
    }
}

impl Context {
    /// Waits until every cache has its first content: before it, what is missing may only not have been read.
    pub async fn caches_filled(&self) {
        // It fails where the program ends, and then nothing matters.
        let _ = self.filled.clone().wait_for(|filled| *filled).await;
    }

    /// Waits until the caches have what woke us, and gives an object as its cache has it then: with the status that we wrote last. One that is
    /// gone stays as it was. For all ContainerImages, of which there are many, only those wait that look at many.
    pub async fn newest<K: Cached>(&self, object: Arc<K>) -> Arc<K> {
        self.caches_filled().await;
        let Lags { repositories, images: _, builds, pins } = &self.lags;
        let own = K::lag(&self.lags);
        futures::join!(own.over_of(&object), repositories.over(), builds.over(), pins.over());
        own.newest(object.as_ref()).unwrap_or(object)
    }

    /// Counts how a reconcile ended and says when the next one is.
    pub fn next(&self, controller: &'static str, object: &str, result: Result<Duration, &Problem>) -> Action {
        match result {
            Ok(pause) => {
                self.failures.clear(object);
                self.metrics.reconcile(controller, "ok");
                Action::requeue(pause)
            }
            Err(problem) => {
                let outcome = match problem.class {
                    Class::Transient { .. } => "transient",
                    Class::Waiting(_) => "waiting",
                    Class::Terminal => "terminal",
                };
                self.metrics.reconcile(controller, outcome);
                if outcome != "waiting" {
                    let verdict = &problem.verdict;
                    tracing::warn!(object, reason = %verdict.reason, outcome, "{}", verdict.message);
                }
                Action::requeue(self.failures.pause(object, problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_crds::Reason;

    use super::*;

    #[test]
    fn pauses_grow_until_the_object_is_well() {
        let failures = Failures::default();
        let problem = Problem::retrying(Reason::Overdue, "x");
        let first = failures.pause("a", &problem);
        let fifth = (0..4).map(|_| failures.pause("a", &problem)).last().unwrap();
        assert!(fifth > first * 4, "{first:?} {fifth:?}");
        failures.clear("a");
        assert!(failures.pause("a", &problem) < Duration::from_secs(3));
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept() {
        let failures = Failures::default();
        let asked = Duration::from_secs(90);
        let mut problem = Problem::retrying(Reason::RegistryThrottled, "x");
        problem.class = Class::Transient { after: Some(asked) };
        assert_eq!(failures.pause("a", &problem), asked);
        assert_eq!(failures.pause("a", &Problem::waiting(Reason::Queued, "w", Duration::from_secs(2))), Duration::from_secs(2));
    }
}
