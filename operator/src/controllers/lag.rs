//! Caches that have not yet seen what woke us.
//!
//! Each controller keeps the cache of its own kind and is woken by a watch of its own on others: of two watches on one kind either may be first.
//! A reconcile that looks into a cache which is behind would decide from the past, and nothing would wake it again. The same holds for a status
//! that we wrote and do not see yet: what was written would be written over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::clients::cluster::Namespaced;

/// How long a cache is waited for. One never gets there: an object that was deleted is in no cache.
const LONGEST: Duration = Duration::from_millis(300);

/// How often a cache is looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The objects of a kind that a watch has shown and the cache has not.
#[derive(Debug)]
pub struct Lag<K: Namespaced + 'static> {
    cache: Store<K>,
    behind: Mutex<HashMap<ObjectRef<K>, (u64, Instant)>>,
}

impl<K: Namespaced + 'static> Lag<K> {
    /// The lag of a cache.
    pub fn of(cache: Store<K>) -> Self {
        Self { cache, behind: Mutex::default() }
    }

    /// A watch has shown an object.
    pub fn saw(&self, object: &K) {
        let (reference, Some(version)) = (ObjectRef::from_obj(object), version(object)) else { return };
        if !self.has(&reference, version) {
            self.behind.lock().unwrap_or_else(PoisonError::into_inner).insert(reference, (version, Instant::now()));
        }
    }

    /// Waits until the cache has what was shown before now.
    pub async fn over(&self) {
        self.over_for(|_| true).await;
    }

    /// Waits for one object only: where thousands are written, nobody waits for those of others.
    pub async fn over_of(&self, object: &K) {
        let own = ObjectRef::from_obj(object);
        self.over_for(|reference| *reference == own).await;
    }

    async fn over_for(&self, wanted: impl Fn(&ObjectRef<K>) -> bool) {
        let missing = |reference: &ObjectRef<K>, version: u64, since: Instant| !self.has(reference, version) && since.elapsed() < LONGEST;
        let mut awaited: HashMap<ObjectRef<K>, (u64, Instant)> = {
            let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
            behind.retain(|reference, (version, since)| missing(reference, *version, *since));
            behind.iter().filter(|(reference, _)| wanted(reference)).map(|(reference, since)| (reference.clone(), *since)).collect()
        };
        while !awaited.is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
            awaited.retain(|reference, (version, since)| missing(reference, *version, *since));
        }
    }

    /// An object as the cache has it; `None` where it is gone.
    pub fn newest(&self, object: &K) -> Option<Arc<K>> {
        self.cache.get(&ObjectRef::from_obj(object))
    }

    fn has(&self, reference: &ObjectRef<K>, wanted: u64) -> bool {
        self.cache.get(reference).and_then(|there| version(there.as_ref())).is_some_and(|there| there >= wanted)
    }
}

/// Resource versions of one kind have an order (Kubernetes 1.35). One that is no number is not waited for.
fn version<K: Namespaced>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector, watcher};
    use mainstay_crds::ImageBuild;

    use super::*;

    fn build(version: u64) -> ImageBuild {
        let text = "{apiVersion: a, kind: b, metadata: {name: x, namespace: ops, resourceVersion: 'N'}, spec: {image: cv, ref: main}}";
        serde_saphyr::from_str(&text.replace('N', &version.to_string())).unwrap()
    }

    #[tokio::test]
    async fn a_cache_is_waited_for_until_it_has_what_was_shown() {
        let (cache, mut writer) = reflector::store::<ImageBuild>();
        let lag = Lag::of(cache);
        lag.over().await;
        writer.apply_watcher_event(&watcher::Event::Apply(build(5)));
        lag.saw(&build(5));
        lag.saw(&build(4));
        assert!(lag.behind.lock().unwrap().is_empty(), "it is there");
        lag.saw(&build(7));
        let waiting = lag.over();
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        writer.apply_watcher_event(&watcher::Event::Apply(build(8)));
        waiting.await;
    }

    #[tokio::test]
    async fn what_was_deleted_is_not_waited_for_for_ever() {
        let (cache, _writer) = reflector::store::<ImageBuild>();
        let lag = Lag::of(cache);
        lag.saw(&build(7));
        tokio::time::timeout(LONGEST * 10, lag.over()).await.unwrap();
    }
}
