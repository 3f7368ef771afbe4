//! Why a ManifestPin writes, or does not.

use kube::ResourceExt;
use mainstay::domain::build::short;
use mainstay_crds::{ManifestPin, ManifestPinStatus, PinStatus, Place, WriteMode};

use super::places::{pinned, runs, worst};
use super::{Chain, Link, Said, Seen, commit, named, reason, unseen};
use crate::words::place;

/// Its chain.
pub(crate) fn chain(pin: &ManifestPin, seen: &Seen) -> Chain {
    let (name, namespace) = (pin.name_any(), pin.namespace().unwrap_or_default());
    let status = pin.status.clone().unwrap_or_default();
    let wanted = pin.spec.source_ref.as_ref().map(|source| source.name.as_str());
    let source = seen.source(wanted.or(status.resolved.as_ref().map(|resolved| resolved.source.as_str())));
    let mut links = vec![commit(source, wanted)];
    match Said::of(&status.conditions, Place::ManifestPin) {
        None => links.push(unseen("places", &named(pin))),
        Some(said) => {
            let view = View { pin, name: &name, status: &status, said };
            if let Some(link) = view.told("commit") {
                links = vec![link];
            }
            links.extend([view.places(), view.wanted(), view.written(), view.running()]);
        }
    }
    Chain::new(format!("pin {name}"), namespace, links)
}

struct View<'a> {
    pin: &'a ManifestPin,
    name: &'a str,
    status: &'a ManifestPinStatus,
    said: Said<'a>,
}

impl View<'_> {
    /// The link as `Ready` tells it, where it is not True and speaks of this one.
    fn told(&self, name: &'static str) -> Option<Link> {
        let speaks = self.said.status != "True" && reason::of_pin(self.said.reason) == name;
        let todo = match self.said.reason {
            "Suspended" => Some(format!("kubectl mainstay resume pin/{}", self.name)),
            "PullRequestOpen" | "PullRequestEdited" => self.status.pull_request.as_ref().map(|request| format!("merge {}", request.url)),
            _ => None,
        };
        speaks.then(|| self.said.link(name, todo))
    }

    fn places(&self) -> Link {
        const NAME: &str = "places";
        if let Some(link) = self.told(NAME) {
            return link;
        }
        let skipped = match self.status.skipped.first() {
            None => String::new(),
            Some(first) => format!("; {} skipped, such as {}: {}", self.status.skipped.len(), first.path, first.reason),
        };
        let at = self.status.observed_commit.as_deref().map(short).unwrap_or("an unknown commit");
        match self.status.pins.len() {
            0 => Link::waiting(NAME, format!("no place is known yet{skipped}")),
            count => Link::ok(NAME, format!("{count} in the manifests at {at}{skipped}")),
        }
    }

    /// Pins whose image is not there yet, or is none from main.
    fn wanted(&self) -> Link {
        const NAME: &str = "wanted";
        let pins = &self.status.pins;
        let waits = |one: &&PinStatus| matches!(one.reason.as_str(), "NoMainImage" | "Violation" | "NotNewer");
        match (self.told(NAME), pins.iter().find(waits)) {
            (Some(told), Some(first)) => {
                Link { todo: told.todo.clone().map(|todo| format!("{todo}; see kubectl mainstay why {}", first.image)), ..told }
            }
            (Some(told), None) => told,
            (None, Some(first)) => {
                let text = format!("{}: {}", place(&first.path, first.line), first.message.as_deref().unwrap_or(&first.reason));
                Link::missing(NAME, text, format!("kubectl mainstay why {}", first.image))
            }
            (None, None) if pins.is_empty() => Link::waiting(NAME, "known once there are places"),
            (None, None) => Link::ok(NAME, "every image has its tag from main in the registry"),
        }
    }

    fn written(&self) -> Link {
        const NAME: &str = "written";
        if let Some(link) = self.told(NAME) {
            return link;
        }
        let open: Vec<Link> = self.status.pins.iter().filter(|one| one.reason == "Behind").map(|one| pinned(self.pin, one, None)).collect();
        let dry = self.pin.spec.write == Some(WriteMode::DryRun);
        match open.is_empty() {
            false => Link { name: NAME, ..worst(NAME, open) },
            true if self.status.pins.is_empty() => Link::waiting(NAME, "known once there are places"),
            true => {
                let last = match (&self.status.last_commit, dry) {
                    (Some(commit), _) => format!("; last commit {commit}"),
                    (None, true) => "; DryRun writes nothing".to_owned(),
                    (None, false) => String::new(),
                };
                let held = if self.said.reason == "Held" { format!("; {}", self.said.message) } else { String::new() };
                Link::ok(NAME, format!("{} as they should be{last}{held}", self.status.up_to_date.as_deref().unwrap_or("all")))
            }
        }
    }

    fn running(&self) -> Link {
        const NAME: &str = "running";
        if self.status.pins.is_empty() {
            return Link::waiting(NAME, "known once there are places");
        }
        worst(NAME, self.status.pins.iter().map(runs).collect())
    }
}

#[cfg(test)]
#[path = "pin_tests.rs"]
mod tests;
