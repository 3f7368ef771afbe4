//! `list --watch`: the table, and then a line for whatever changes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt, select_all};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin};

use crate::cluster::{Cluster, Kind};
use crate::failure::Failure;
use crate::list;
use crate::output::{paint, print, remark};
use crate::show::nothing;
use crate::table::{Cell, Widths};

/// How long things must be quiet before a line is written: one commit changes many objects.
const QUIET: Duration = Duration::from_millis(200);

/// The lines of one image.
type Rows = Vec<Vec<Cell>>;

/// What is there, by namespace and name.
struct Store<K> {
    all: BTreeMap<(String, String), K>,
    /// What a new listing has brought so far.
    fresh: BTreeMap<(String, String), K>,
    complete: bool,
}

/// A change of one of the kinds.
enum Change {
    Image(Event<ContainerImage>),
    Pin(Event<ManifestPin>),
    Build(Event<ImageBuild>),
}

impl<K: Kind> Store<K> {
    fn new() -> Self {
        Self { all: BTreeMap::new(), fresh: BTreeMap::new(), complete: false }
    }

    fn take(&mut self, event: Event<K>) {
        let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
        match event {
            Event::Apply(object) => drop(self.all.insert(key(&object), object)),
            Event::Delete(object) => drop(self.all.remove(&key(&object))),
            Event::Init => self.fresh.clear(),
            Event::InitApply(object) => drop(self.fresh.insert(key(&object), object)),
            Event::InitDone => {
                self.all = std::mem::take(&mut self.fresh);
                self.complete = true;
            }
        }
    }

    fn objects(&self) -> Vec<K> {
        self.all.values().cloned().collect()
    }
}

fn stream<K: Kind>(cluster: &Cluster, everywhere: bool, change: fn(Event<K>) -> Change) -> BoxStream<'static, watcher::Result<Change>> {
    watcher(cluster.scope::<K>(everywhere), watcher::Config::default()).default_backoff().map(move |event| event.map(change)).boxed()
}

/// Until somebody ends it.
pub(crate) async fn watch(cluster: &Cluster, everywhere: bool, wide: bool) -> Result<(), Failure> {
    // Asked once in the plain way: a missing right or kind is told at once, and not tried again for ever.
    tokio::try_join!(
        cluster.list::<ContainerImage>(everywhere),
        cluster.list::<ManifestPin>(everywhere),
        cluster.list::<ImageBuild>(everywhere)
    )?;
    let mut changes = select_all([
        stream(cluster, everywhere, Change::Image),
        stream(cluster, everywhere, Change::Pin),
        stream(cluster, everywhere, Change::Build),
    ]);
    let (mut images, mut pins, mut builds) = (Store::new(), Store::new(), Store::new());
    let (mut widths, mut shown): (Widths, BTreeMap<(String, String), Rows>) = (Widths::default(), BTreeMap::new());
    let (mut begun, mut dirty) = (false, false);
    loop {
        match tokio::time::timeout(QUIET, changes.next()).await {
            Ok(Some(Ok(change))) => {
                match change {
                    Change::Image(event) => images.take(event),
                    Change::Pin(event) => pins.take(event),
                    Change::Build(event) => builds.take(event),
                }
                dirty = true;
                continue;
            }
            Ok(Some(Err(error))) => {
                remark(&format!("{}; trying again", crate::failure::one_line(&error.to_string())));
                continue;
            }
            Ok(None) => return Ok(()),
            Err(_) => {}
        }
        if !dirty || !images.complete || !pins.complete || !builds.complete {
            continue;
        }
        dirty = false;
        let mut rows = if begun { Vec::new() } else { vec![list::titles(wide, everywhere)] };
        let now = Timestamp::now();
        let all = list::images(&images.objects(), &pins.objects(), &builds.objects());
        if all.is_empty() && !begun {
            remark(&nothing(cluster, everywhere));
            continue;
        }
        begun = true;
        let mut gone = std::mem::take(&mut shown);
        for image in all {
            let key = (image.namespace.clone(), image.name.clone());
            // An age that grows is no change, nor is what the table does not show.
            let timeless = list::rows(&image, wide, everywhere, Timestamp::UNIX_EPOCH);
            if gone.remove(&key).as_ref() != Some(&timeless) {
                rows.extend(list::rows(&image, wide, everywhere, now));
            }
            shown.insert(key, timeless);
        }
        print(&widths.render(&rows, paint()))?;
        gone.keys().for_each(|(namespace, name)| remark(&format!("{name} in {namespace} is gone")));
    }
}
