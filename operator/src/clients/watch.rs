//! Watches: everything that happens to objects of a kind, in all namespaces or in those that the operator was given.
//!
//! Several namespaces are several watches, so that nobody need let the operator look into all. To those who take the events they are one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};

use super::cluster::{Cluster, Namespaced};

/// What watchers give. It is never an error here: a watch that broke begins again by itself, and kube has said why.
pub type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

impl Cluster {
    /// What happens to objects of a kind that match `config`; of `PartialObjectMeta` the metadata alone is read. `cache` is the one that these
    /// events are kept in, where there is one.
    pub fn watch<K: Namespaced + Send + Sync + 'static>(&self, config: &watcher::Config, cache: Option<&Store<K>>) -> Events<K> {
        // One that breaks waits by itself, and does not make the others wait.
        let one = |api: Api<K>| watcher(api, config.clone()).default_backoff().filter_map(async |event| event.ok());
        match self.namespaces() {
            [] => one(Api::all(self.client())).map(Ok).boxed(),
            [namespace] => one(self.api(namespace)).map(Ok).boxed(),
            all => {
                let watches = all.iter().map(|namespace| (namespace.as_str(), one(self.api(namespace)).boxed()));
                merge(watches, cache.cloned()).map(Ok).boxed()
            }
        }
    }
}

/// The events of the watches of several namespaces as those of one watch.
fn merge<'a, K: Namespaced + Send + Sync + 'static>(
    watches: impl Iterator<Item = (&'a str, BoxStream<'static, Event<K>>)>,
    cache: Option<Store<K>>,
) -> impl Stream<Item = Event<K>> + Send + 'static {
    let mut all = SelectAll::new();
    for (namespace, events) in watches {
        let namespace: Arc<str> = namespace.into();
        all.push(events.map(move |event| (namespace.clone(), event)).boxed());
    }
    let mut merged = Merged { unlisted: all.len(), cache, lists: HashMap::new(), first: HashMap::new() };
    all.flat_map(move |(namespace, event)| stream::iter(merged.take(namespace, event)))
}

/// A list that begins again replaces a cache as a whole. So the first lists are given as one, and of a later list of one namespace only what
/// it changes.
struct Merged<K: Namespaced + 'static> {
    /// Namespaces whose first list is not complete.
    unlisted: usize,
    cache: Option<Store<K>>,
    /// Per namespace, from the beginning of its first list.
    lists: HashMap<Arc<str>, List<K>>,
    /// What the first lists have, as it is by now.
    first: HashMap<ObjectRef<K>, K>,
}

/// The list of one namespace.
enum List<K> {
    /// It is being read: what of it is there, and whether it is the first.
    Reading(Vec<K>, bool),
    /// It is complete.
    Complete,
}

impl<K: Namespaced + 'static> Merged<K> {
    /// What an event of one namespace is to those who take the events of all.
    fn take(&mut self, namespace: Arc<str>, event: Event<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => {
                let first = !matches!(self.lists.get(&namespace), Some(List::Complete | List::Reading(_, false)));
                self.lists.insert(namespace, List::Reading(Vec::new(), first));
                Vec::new()
            }
            Event::InitApply(object) => {
                if let Some(List::Reading(objects, _)) = self.lists.get_mut(&namespace) {
                    objects.push(object);
                }
                Vec::new()
            }
            Event::InitDone => {
                let Some(List::Reading(objects, first)) = self.lists.insert(namespace.clone(), List::Complete) else { return Vec::new() };
                if first {
                    self.unlisted = self.unlisted.saturating_sub(1);
                }
                self.listed(&namespace, objects, first)
            }
            Event::Apply(object) if self.unlisted > 0 => {
                self.first.insert(ObjectRef::from_obj(&object), object);
                Vec::new()
            }
            Event::Delete(object) if self.unlisted > 0 => {
                self.first.remove(&ObjectRef::from_obj(&object));
                Vec::new()
            }
            change => vec![change],
        }
    }

    /// What a list that is complete is to them.
    fn listed(&mut self, namespace: &str, objects: Vec<K>, first: bool) -> Vec<Event<K>> {
        if first || self.unlisted > 0 {
            self.first.retain(|known, _| known.namespace.as_deref() != Some(namespace));
            self.first.extend(objects.into_iter().map(|object| (ObjectRef::from_obj(&object), object)));
            if self.unlisted > 0 {
                return Vec::new();
            }
            let all = std::mem::take(&mut self.first).into_values().map(Event::InitApply);
            return [Event::Init].into_iter().chain(all).chain([Event::InitDone]).collect();
        }
        let there: HashSet<ObjectRef<K>> = objects.iter().map(ObjectRef::from_obj).collect();
        let gone = |known: &K| known.namespace().as_deref() == Some(namespace) && !there.contains(&ObjectRef::from_obj(known));
        let gone = self.cache.iter().flat_map(|cache| cache.state_filter(gone)).map(|known| Event::Delete(known.as_ref().clone()));
        gone.collect::<Vec<_>>().into_iter().chain(objects.into_iter().map(Event::Apply)).collect()
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use k8s_openapi::api::core::v1::Pod;
    use kube::runtime::reflector;

    use super::*;

    fn pod(namespace: &str, name: &str) -> Pod {
        let meta = kube::api::ObjectMeta { name: Some(name.into()), namespace: Some(namespace.into()), ..Default::default() };
        Pod { metadata: meta, ..Pod::default() }
    }

    /// Two namespaces, `a` and `b`, whose events the test gives, and the cache of both.
    struct Two {
        a: mpsc::UnboundedSender<Event<Pod>>,
        b: mpsc::UnboundedSender<Event<Pod>>,
        cache: Store<Pod>,
        touched: BoxStream<'static, watcher::Result<Pod>>,
    }

    impl Two {
        fn new() -> Self {
            let ((a, of_a), (b, of_b)) = (mpsc::unbounded(), mpsc::unbounded());
            let (cache, writer) = reflector::store();
            let merged = merge([("a", of_a.boxed()), ("b", of_b.boxed())].into_iter(), Some(cache.clone()));
            Self { a, b, cache, touched: merged.map(Ok).reflect(writer).touched_objects().boxed() }
        }

        /// Everything that is told of by now.
        async fn told(&mut self) -> Vec<String> {
            let mut told = Vec::new();
            while let Ok(Some(pod)) = tokio::time::timeout(std::time::Duration::from_millis(10), self.touched.next()).await {
                told.push(pod.unwrap().name_any());
            }
            told.sort();
            told
        }

        fn cached(&self) -> Vec<String> {
            let mut all: Vec<_> = self.cache.state().iter().map(|pod| pod.name_any()).collect();
            all.sort();
            all
        }

        async fn is_filled(&self) -> bool {
            tokio::time::timeout(std::time::Duration::from_millis(10), self.cache.wait_until_ready()).await.is_ok()
        }
    }

    fn list(to: &mpsc::UnboundedSender<Event<Pod>>, objects: impl IntoIterator<Item = Pod>) {
        let objects = objects.into_iter().map(Event::InitApply);
        for event in [Event::Init].into_iter().chain(objects).chain([Event::InitDone]) {
            to.unbounded_send(event).unwrap();
        }
    }

    #[tokio::test]
    async fn a_cache_is_filled_when_every_namespace_is_listed() {
        let mut two = Two::new();
        list(&two.a, [pod("a", "one"), pod("a", "two")]);
        // What happens meanwhile counts.
        two.a.unbounded_send(Event::Delete(pod("a", "one"))).unwrap();
        two.a.unbounded_send(Event::Apply(pod("a", "three"))).unwrap();
        assert!(two.told().await.is_empty() && !two.is_filled().await, "b may have more");
        // A list that breaks and begins again is the last one only.
        two.b.unbounded_send(Event::Init).unwrap();
        two.b.unbounded_send(Event::InitApply(pod("b", "stale"))).unwrap();
        list(&two.b, [pod("b", "four")]);
        assert_eq!(two.told().await, ["four", "three", "two"]);
        assert!(two.is_filled().await);
        assert_eq!(two.cached(), ["four", "three", "two"]);
    }

    #[tokio::test]
    async fn a_list_of_one_namespace_takes_nothing_from_the_others() {
        let mut two = Two::new();
        list(&two.a, [pod("a", "one"), pod("a", "two")]);
        list(&two.b, [pod("b", "one")]);
        two.told().await;
        list(&two.a, [pod("a", "two"), pod("a", "three")]);
        assert_eq!(two.told().await, ["one", "three", "two"], "what is gone is told too");
        let all: Vec<_> = two.cache.state().iter().map(|pod| (pod.namespace().unwrap(), pod.name_any())).collect();
        assert_eq!(all.len(), 3);
        assert!(all.contains(&("b".into(), "one".into())) && !all.contains(&("a".into(), "one".into())), "{all:?}");
        two.b.unbounded_send(Event::Delete(pod("b", "one"))).unwrap();
        two.told().await;
        assert_eq!(two.cached(), ["three", "two"]);
    }

    #[tokio::test]
    async fn a_namespace_that_is_listed_twice_before_the_others_counts_once() {
        let mut two = Two::new();
        list(&two.a, [pod("a", "one")]);
        list(&two.a, [pod("a", "two")]);
        assert!(two.told().await.is_empty() && !two.is_filled().await);
        list(&two.b, []);
        assert_eq!(two.told().await, ["two"]);
    }
}
