//! Every container and how far it has come, from the statuses of its objects. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use mainstay::domain::condition;
use mainstay_crds::{Class, ContainerImage, ImageBuild, ManifestPin, PinStatus, Variant, VariantStatus};
use serde::Serialize;

use crate::table::{Cell, Tone, header};
use crate::words::{age, place};

/// One ContainerImage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Image {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Status of `Ready`: True, False or Unknown.
    pub(crate) ready: String,
    /// Its reason; empty where nobody has looked at it yet.
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Image repository, without a tag.
    pub(crate) repository: Option<String>,
    pub(crate) suspended: bool,
    /// Pods and pins whose image is not from main.
    pub(crate) violations: usize,
    pub(crate) variants: Vec<Line>,
}

/// One variant of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) variant: Variant,
    /// CamelCase word: UpToDate, Building, the reason of its failed build.
    pub(crate) reason: String,
    /// Version that main asks for.
    pub(crate) version: Option<String>,
    /// Tag that main asks for.
    pub(crate) tag: Option<String>,
    /// The newest tag from main that is in the registry.
    pub(crate) newest: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) built_at: Option<String>,
    pub(crate) build: Option<Build>,
    pub(crate) pins: Vec<Pinned>,
    /// Pods that run what is pinned, of all that run the image: `2/2`.
    pub(crate) running: Option<String>,
}

/// The build that made it or is making it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Build {
    pub(crate) name: String,
    /// Reason of `Succeeded`; `None` where the ImageBuild is gone or cannot be read.
    pub(crate) reason: Option<String>,
    pub(crate) queue_position: Option<i64>,
}

/// A place that names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pinned {
    pub(crate) manifest_pin: String,
    pub(crate) path: String,
    pub(crate) line: Option<i64>,
    pub(crate) tag: String,
    pub(crate) class: Class,
    pub(crate) reason: String,
    pub(crate) running: Option<String>,
    pub(crate) application: Option<String>,
}

/// What the three lists say together, by namespace and name.
pub(crate) fn images(images: &[ContainerImage], pins: &[ManifestPin], builds: &[ImageBuild]) -> Vec<Image> {
    // One pass over pins and builds: two hundred images must not each look through all of them.
    let mut places: BTreeMap<(String, &str), Vec<(&ManifestPin, &PinStatus)>> = BTreeMap::new();
    for pin in pins {
        for one in pin.status.iter().flat_map(|status| &status.pins) {
            places.entry((pin.namespace().unwrap_or_default(), &one.image)).or_default().push((pin, one));
        }
    }
    let builds: BTreeMap<(String, String), &ImageBuild> =
        builds.iter().map(|build| ((build.namespace().unwrap_or_default(), build.name_any()), build)).collect();
    let mut all: Vec<Image> = images
        .iter()
        .map(|one| {
            let (namespace, name) = (one.namespace().unwrap_or_default(), one.name_any());
            let places = places.get(&(namespace.clone(), name.as_str())).map(Vec::as_slice).unwrap_or_default();
            image(one, places, |build| builds.get(&(namespace.clone(), build.to_owned())).copied())
        })
        .collect();
    all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    all
}

fn image<'a>(object: &ContainerImage, places: &[(&ManifestPin, &PinStatus)], build: impl Fn(&str) -> Option<&'a ImageBuild>) -> Image {
    let status = object.status.clone().unwrap_or_default();
    let ready = condition::find(&status.conditions, "Ready");
    let newest = |variant: &VariantStatus| {
        let on_main = status.tags.iter().flat_map(|tags| &tags.newest).filter(|tag| tag.class == Class::Main);
        let listed = on_main.map(|tag| &tag.tag).find(|tag| variant_of(tag) == Some(variant.variant));
        variant.wanted.as_ref().map(|wanted| &wanted.tag).or(listed).or(variant.last_good_tag.as_ref()).cloned()
    };
    let mut variants: Vec<Line> = status
        .variants
        .iter()
        .map(|one| Line {
            variant: one.variant,
            reason: one.reason.clone(),
            version: one.version.clone(),
            tag: one.tag.clone(),
            newest: newest(one),
            digest: one.wanted.as_ref().map(|wanted| wanted.digest.clone()).or_else(|| one.digest.clone()),
            built_at: one.built_at.as_ref().map(|time| time.0.to_string()),
            build: one.build.as_deref().map(|name| of_build(name, build(name))),
            pins: Vec::new(),
            running: None,
        })
        .collect();
    for (pin, one) in places {
        let known = variants.iter_mut().find(|line| line.variant == one.variant);
        let pinned = pinned(pin, one);
        match known {
            Some(line) => line.pins.push(pinned),
            // Main does not make this variant any more, and a manifest names it all the same.
            None => variants.push(Line { pins: vec![pinned], ..empty(one.variant) }),
        }
    }
    for line in &mut variants {
        line.running = running(&line.pins);
    }
    Image {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        ready: ready.map_or("Unknown", |ready| &ready.status).to_owned(),
        reason: ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
        message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        repository: status.resolved.map(|resolved| resolved.image),
        suspended: object.spec.suspend == Some(true),
        violations: status.violations.len(),
        variants,
    }
}

fn empty(variant: Variant) -> Line {
    Line {
        variant,
        reason: String::new(),
        version: None,
        tag: None,
        newest: None,
        digest: None,
        built_at: None,
        build: None,
        pins: Vec::new(),
        running: None,
    }
}

fn of_build(name: &str, object: Option<&ImageBuild>) -> Build {
    let status = object.and_then(|build| build.status.as_ref());
    Build {
        name: name.to_owned(),
        reason: status.and_then(|status| condition::find(&status.conditions, "Succeeded")).map(|said| said.reason.clone()),
        queue_position: status.and_then(|status| status.queue_position),
    }
}

fn pinned(pin: &ManifestPin, one: &PinStatus) -> Pinned {
    Pinned {
        manifest_pin: pin.name_any(),
        path: one.path.clone(),
        line: one.line,
        tag: one.tag.clone(),
        class: one.class,
        reason: one.reason.clone(),
        running: one.running.clone(),
        application: one.application.clone(),
    }
}

fn variant_of(tag: &str) -> Option<Variant> {
    mainstay::domain::tag::parse(tag).map(|parts| parts.variant)
}

/// Pods that run one of the pinned tags, of all: each tag counts once, however many manifests name it.
fn running(pins: &[Pinned]) -> Option<String> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for pin in pins {
        let parsed = pin.running.as_deref().and_then(|text| text.split_once('/'));
        if let Some((same, all)) = parsed.and_then(|(same, all)| Some((same.parse().ok()?, all.parse().ok()?))) {
            counts.insert(&pin.tag, (same, all));
        }
    }
    let all = counts.values().map(|(_, all)| *all).max()?;
    Some(format!("{}/{all}", counts.values().map(|(same, _)| *same).sum::<u64>()))
}

/// `2`, `1 Behind`, or `3: 1 Behind, 2 UpToDate`.
fn summary(pins: &[Pinned]) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    pins.iter().for_each(|pin| *reasons.entry(&pin.reason).or_default() += 1);
    let words: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    match words.as_slice() {
        [] => String::new(),
        [_] if reasons.contains_key("UpToDate") => pins.len().to_string(),
        [one] => one.clone(),
        many => format!("{}: {}", pins.len(), many.join(", ")),
    }
}

/// How one variant stands: `Ready`'s reason, the real reason behind it, and a place in the line of builds.
fn state(image: &Image, line: Option<&Line>) -> String {
    let others_fault = image.variants.iter().any(|one| !["", "UpToDate"].contains(&one.reason.as_str()));
    let mut text = match line {
        Some(line) if line.reason == "UpToDate" && others_fault => line.reason.clone(),
        Some(line) if !["", "UpToDate", &image.reason].contains(&line.reason.as_str()) => format!("{} ({})", image.reason, line.reason),
        _ if image.reason.is_empty() => "not looked at yet".to_owned(),
        _ => image.reason.clone(),
    };
    if let Some(place) = line.and_then(|line| line.build.as_ref()).and_then(|build| build.queue_position) {
        text.push_str(&format!(" #{place}"));
    }
    if image.violations > 0 {
        text.push_str(&format!(", {} not from main", image.violations));
    }
    text
}

fn tone(image: &Image, text: &str) -> Tone {
    match image.ready.as_str() {
        _ if text == "UpToDate" => Tone::Good,
        "True" if image.violations == 0 => Tone::Good,
        "Unknown" => Tone::Waiting,
        _ => Tone::Bad,
    }
}

/// The titles of the columns.
pub(crate) fn titles(wide: bool, namespaces: bool) -> Vec<Cell> {
    let mut titles = if namespaces { vec!["NAMESPACE"] } else { Vec::new() };
    titles.extend(["NAME", "VARIANT", "VERSION", "NEWEST [main]", "PINNED", "RUNNING", "STATE"]);
    if wide {
        titles.extend(["BUILT", "BUILD", "WHERE", "REPOSITORY", "MESSAGE"]);
    }
    header(&titles)
}

/// The lines of one image: one for each variant.
pub(crate) fn rows(image: &Image, wide: bool, namespaces: bool, now: Timestamp) -> Vec<Vec<Cell>> {
    let row = |line: Option<&Line>| {
        let mut row = if namespaces { vec![Cell::plain(&image.namespace)] } else { Vec::new() };
        let pins = line.map(|line| line.pins.as_slice()).unwrap_or_default();
        let behind = if pins.iter().all(|pin| pin.reason == "UpToDate") { Tone::Plain } else { Tone::Waiting };
        let running = line.and_then(|line| line.running.as_deref()).unwrap_or_default();
        let whole = running.split_once('/').is_none_or(|(same, all)| same == all);
        let state = state(image, line);
        row.extend([
            Cell::plain(&image.name),
            Cell::maybe(line.map(|line| line.variant.as_str())),
            Cell::maybe(line.and_then(|line| line.version.as_deref())),
            Cell::maybe(line.and_then(|line| line.newest.as_deref())),
            Cell::new(behind, summary(pins)),
            Cell::new(if whole { Tone::Plain } else { Tone::Waiting }, running),
            Cell::new(tone(image, &state), &state),
        ]);
        if wide {
            let built = line.and_then(|line| line.built_at.as_deref()).and_then(|at| at.parse().ok());
            let first = pins.first().map(|pin| place(&pin.path, pin.line)).unwrap_or_default();
            let more = if pins.len() > 1 { format!(" (+{})", pins.len() - 1) } else { String::new() };
            row.extend([
                Cell::plain(built.map(|at| age(at, now)).unwrap_or_default()),
                Cell::maybe(line.and_then(|line| line.build.as_ref()).map(|build| build.name.as_str())),
                Cell::plain(format!("{first}{more}")),
                Cell::maybe(image.repository.as_deref()),
                Cell::plain(&image.message),
            ]);
        }
        row
    };
    if image.variants.is_empty() { vec![row(None)] } else { image.variants.iter().map(|line| row(Some(line))).collect() }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
