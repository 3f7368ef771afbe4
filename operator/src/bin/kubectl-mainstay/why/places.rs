//! The places that name an image: whether each is as it should be, and whether it runs.

use kube::ResourceExt;
use mainstay_crds::{ManifestPin, PinStatus, Place, WriteMode};

use super::{Link, Said, State, reason};
use crate::words::place;

/// What to do where Argo CD deploys a manifest, and where nothing does that is known.
const SYNC: &str = "sync the Application in Argo CD, and look at its health";
const APPLY: &str = "apply the manifest, or let Argo CD do it: docs/argocd.md";

/// How one place of an image stands. `wanted`: the tag that it is to name, where one is known.
pub(super) fn pinned(pin: &ManifestPin, one: &PinStatus, wanted: Option<&str>) -> Link {
    const NAME: &str = "pin";
    let name = pin.name_any();
    let at = format!("{} names {} {}", place(&one.path, one.line), one.tag, one.class);
    let message = one.message.as_deref().map_or_else(String::new, |message| format!(": {message}"));
    let text = format!("{at}, {}{message}", one.reason);
    let ready = pin.status.as_ref().and_then(|status| Said::of(&status.conditions, Place::ManifestPin));
    match (one.reason.as_str(), ready) {
        // The places are those of an earlier look: only a tag that is wanted by now is known to be right.
        (_, Some(said)) if said.status != "True" && reason::is_of_whole_pin(said.reason) && wanted != Some(one.tag.as_str()) => {
            let todo = (said.reason == "Suspended").then(|| format!("kubectl mainstay resume pin/{name}"));
            let link = said.link(NAME, todo);
            Link { text: format!("{at}; ManifestPin {name}: {}", link.text), ..link }
        }
        ("UpToDate", _) => Link::ok(NAME, at),
        ("SameVersion" | "Held", _) => Link::ok(NAME, text),
        ("NoMainImage", _) => Link::waiting(NAME, text),
        ("Behind", Some(said)) => behind(pin, &at, one, said),
        ("Behind", None) => Link::waiting(NAME, text),
        _ => Link::missing(NAME, text, "do what the message says; what each reason means: docs/reference/reasons.md"),
    }
}

/// A newer image waits to be written: for what?
fn behind(pin: &ManifestPin, at: &str, one: &PinStatus, said: Said<'_>) -> Link {
    const NAME: &str = "pin";
    let name = pin.name_any();
    let status = pin.status.as_ref();
    let text = format!("{at}, and {} is wanted", one.wanted.as_deref().unwrap_or("another digest"));
    let request = status.and_then(|status| status.pull_request.as_ref());
    match (said.reason, request) {
        ("PullRequestClosed", Some(request)) => {
            Link::missing(NAME, format!("{text}; {} was closed", request.url), "open it again and merge it, or wait for a newer image")
        }
        (reason, Some(request)) if reason.starts_with("PullRequest") => {
            Link::missing(NAME, format!("{text} ({reason})"), format!("merge {}", request.url))
        }
        _ if said.status == "False" => said.link(NAME, None),
        _ if pin.spec.write == Some(WriteMode::DryRun) => {
            let todo = format!("see kubectl mainstay pin diff {name}, then set spec.write of the ManifestPin to Commit or PullRequest");
            Link::missing(NAME, format!("{text}; ManifestPin {name} writes nothing (DryRun)"), todo)
        }
        _ => Link::waiting(NAME, format!("{text}; ManifestPin {name} is to write it")),
    }
}

/// Whether the pods run what one place names.
pub(super) fn runs(one: &PinStatus) -> Link {
    const NAME: &str = "running";
    let counts = one.running.as_deref().and_then(|text| text.split_once('/'));
    let application = one.application.as_deref().map_or_else(String::new, |text| format!("; Application {text}"));
    match counts {
        Some((same, all)) if same == all => Link::ok(NAME, format!("{same} of {all} pods run {}{application}", one.tag)),
        Some(("0", all)) => {
            let text = format!("0 of {all} pods run {}{application}", one.tag);
            match &one.application {
                Some(_) => Link { state: State::Waiting, ..Link::missing(NAME, text, format!("if it stays: {SYNC}")) },
                None => Link::missing(NAME, text, APPLY),
            }
        }
        Some((same, all)) => Link::waiting(NAME, format!("{same} of {all} pods run {}{application}", one.tag)),
        None => {
            let text = format!("no pod of this cluster runs the image that {} names{application}", place(&one.path, one.line));
            Link::missing(NAME, text, if one.application.is_some() { SYNC } else { APPLY })
        }
    }
}

/// The worst of several speaks, and says how many there are.
pub(super) fn worst(name: &'static str, links: Vec<Link>) -> Link {
    let count = links.len();
    let state = links.iter().map(|link| link.state).max();
    let alike = links.iter().filter(|link| Some(link.state) == state).count();
    let first = links.into_iter().find(|link| Some(link.state) == state);
    let mut link = first.unwrap_or_else(|| Link::waiting(name, "nothing is known"));
    if count > 1 {
        link.text.push_str(&format!(" ({alike} of {count} places so)"));
    }
    link
}
