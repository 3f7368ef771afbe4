//! Who changed a pin last: a person's rollback is a hold, and the commit that wrote a pin is shown with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use mainstay_crds::{Class, ManifestPin, PinStatus};

use super::observe::Seen;
use super::plan::{Changed, Pin};
use crate::clients::git::Change;
use crate::controllers::context::Context;
use crate::controllers::problem::Problem;
use crate::domain::graph::{self, Graph};
use crate::domain::pin::{self, Scan, Targets};
use crate::domain::{message, tag};

/// A pin is recognised in another version of its file by its image and by being the first, second, … that names it.
type Mark = (String, usize);

/// What the walk found of one pin: the commit, and the tag before.
type Found = Arc<Mutex<HashMap<(String, Mark), (Change, Option<String>)>>>;

/// Looks up the last change of each pin that is not as it should be, or whose last change the status does not tell.
pub(super) async fn look_up(object: &ManifestPin, ctx: &Context, key: &str, seen: &mut Seen) -> Result<(), Problem> {
    let told = object.status.as_ref().map(|status| status.pins.as_slice()).unwrap_or_default();
    let marks = marks(seen);
    let mut open: HashMap<String, HashSet<Mark>> = HashMap::new();
    for (pin, mark) in seen.pins.iter().zip(&marks) {
        if pin.class != Class::Main || !pin.current || !is_told(told, pin) {
            open.entry(pin.path.clone()).or_default().insert(mark.clone());
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let paths: Vec<String> = open.keys().cloned().collect();
    let found: Found = Arc::default();
    let (into, targets) = (found.clone(), seen.targets.clone());
    let step = move |path: &str, before: Option<&[u8]>, after: &[u8], change: &Change| {
        let Some(wanted) = open.get_mut(path) else { return true };
        let (after, before) = (tags(Some(after), &targets), tags(before, &targets));
        let mut found = into.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|mark| {
            let (now, then) = (after.get(mark), before.get(mark));
            if now == then {
                return true;
            }
            found.insert((path.to_owned(), mark.clone()), (change.clone(), then.cloned()));
            false
        });
        wanted.is_empty()
    };
    ctx.calls.outside("git.trace", ctx.git.trace(key, &seen.head, paths, step)).await?;
    let found = found.lock().unwrap_or_else(PoisonError::into_inner);
    for (pin, mark) in seen.pins.iter_mut().zip(marks) {
        if let Some((change, before)) = found.get(&(pin.path.clone(), mark)) {
            let image = seen.images.iter().find(|image| image.name == pin.image);
            let touched = |image: &super::images::Image| touched_since(image.touch.as_deref(), &change.commit, &seen.graph);
            pin.changed = Some(Changed {
                commit: change.commit.clone(),
                by: change.author_name.clone(),
                at: Time(Timestamp::from_second(change.time_seconds).unwrap_or_default()),
                ours: message::is_ours(&change.message),
                backward: image.is_some_and(|image| is_backward(pin, before.as_deref(), &image.graph)),
                // The touch and the change have an order only where they are on one line.
                touched_since: image.is_some_and(|image| image.key == key && touched(image)),
            });
        }
    }
    Ok(())
}

fn is_told(told: &[PinStatus], pin: &Pin) -> bool {
    told.iter().any(|old| old.changed_in.is_some() && old.path == pin.path && old.field == pin.field && old.tag == pin.tag)
}

fn marks(seen: &Seen) -> Vec<Mark> {
    let mut count: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mark = |(pin, (_, place)): (&Pin, &(usize, pin::Place))| (pin.path.clone(), place.image.clone());
    let named: Vec<_> = seen.pins.iter().zip(&seen.places).map(mark).collect();
    named
        .iter()
        .map(|(path, image)| {
            let nth = count.entry((path, image)).or_default();
            *nth += 1;
            (image.clone(), *nth)
        })
        .collect()
}

/// The tags in one version of a file.
fn tags(text: Option<&[u8]>, targets: &Targets) -> HashMap<Mark, String> {
    // A version that could not be read had no pins that anybody could have meant.
    let Scan { places, .. } = text.and_then(|text| pin::scan(text, targets).ok()).unwrap_or_default();
    let mut count: HashMap<String, usize> = HashMap::new();
    places
        .into_iter()
        .filter_map(|place| {
            let tag = place.tag.filter(|tag| tag::parse(tag).is_some())?;
            let nth = count.entry(place.image.clone()).or_default();
            *nth += 1;
            Some(((place.image, *nth), tag))
        })
        .collect()
}

/// Whether the tag before was from main and newer than the one now.
fn is_backward(pin: &Pin, before: Option<&str>, graph: &Graph) -> bool {
    let before = before.and_then(|tag| crate::domain::class::classify(tag, graph)).and_then(|known| known.commit);
    match (before, pin.commit) {
        (Some(before), Some(now)) => before.on_main && now.on_main && before.order() > now.order(),
        _ => false,
    }
}

/// Whether the container was touched after a commit on main, or by it.
fn touched_since(touch: Option<&str>, change: &str, graph: &Graph) -> bool {
    match (touch.and_then(graph::id), graph::id(change)) {
        (Some(touch), Some(change)) => graph.descends(&touch, &change),
        _ => false,
    }
}
