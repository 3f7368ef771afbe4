//! The chain from a commit to a running pod, and its first link that is missing. Pure: it says what the conditions say, in the order of cause and effect.
//!
//! Commit, touch and wanted come from Git; registry and build say whether there is an image; pin and running whether it is used.

pub(crate) mod build;
#[cfg(test)]
mod idle;
pub(crate) mod image;
pub(crate) mod pin;
mod places;
mod reason;

use kube::{Resource, ResourceExt};
use mainstay::domain::build::short;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, Place, Reason, SourceRepository};
use serde::Serialize;

use crate::failure::one_line;
use crate::table::{Paint, Tone};

/// All that is looked at.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) images: Vec<ContainerImage>,
    pub(crate) pins: Vec<ManifestPin>,
    pub(crate) builds: Vec<ImageBuild>,
    pub(crate) sources: Vec<SourceRepository>,
}

impl Seen {
    /// The SourceRepository of that name, or the only one.
    fn source(&self, name: Option<&str>) -> Option<&SourceRepository> {
        match (name, self.sources.as_slice()) {
            (Some(name), all) => all.iter().find(|source| source.name_any() == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

/// How a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It holds.
    Ok,
    /// It comes by itself.
    Waiting,
    /// Somebody has to do something.
    Missing,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    /// What was seen.
    pub(crate) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) todo: Option<String>,
}

impl Link {
    fn ok(name: &'static str, text: impl AsRef<str>) -> Self {
        Self { name, state: State::Ok, text: one_line(text.as_ref()), todo: None }
    }

    fn waiting(name: &'static str, text: impl AsRef<str>) -> Self {
        Self { name, state: State::Waiting, text: one_line(text.as_ref()), todo: None }
    }

    fn missing(name: &'static str, text: impl AsRef<str>, todo: impl AsRef<str>) -> Self {
        Self { name, state: State::Missing, text: one_line(text.as_ref()), todo: Some(one_line(todo.as_ref())) }
    }
}

/// The chain of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Chain {
    /// Such as `cv (nix)`, or `pin all`.
    pub(crate) of: String,
    pub(crate) namespace: String,
    /// The worst of its links.
    pub(crate) state: State,
    /// Name of the first link that is missing, else of the first that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<&'static str>,
    pub(crate) links: Vec<Link>,
}

impl Chain {
    fn new(of: String, namespace: String, links: Vec<Link>) -> Self {
        let state = links.iter().map(|link| link.state).max().unwrap_or(State::Waiting);
        let first = links.iter().find(|link| state != State::Ok && link.state == state).map(|link| link.name);
        Self { of, namespace, state, first, links }
    }

    /// For people: a line for each link, what to do under the first that is missing, and a last line that says it all.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut text = format!("{} in {}\n", self.of, self.namespace);
        let mut marked = false;
        for link in &self.links {
            let first = !marked && Some(link.name) == self.first && link.state == self.state;
            marked |= first;
            let (word, tone) = match link.state {
                State::Ok => ("ok", Tone::Good),
                State::Waiting => ("waiting", Tone::Waiting),
                State::Missing => ("missing", Tone::Bad),
            };
            let mark = if first { ">" } else { " " };
            text.push_str(&format!("{mark} {}  {:<8}  {}\n", paint.paint(tone, &format!("{word:<7}")), link.name, link.text));
            if let Some(todo) = link.todo.as_ref().filter(|_| first) {
                text.push_str(&format!("           {:<8}  {todo}\n", "to do:"));
            }
        }
        let first = self.first.unwrap_or_default();
        text.push_str(&match self.state {
            State::Ok => paint.paint(Tone::Good, "complete: every link holds"),
            State::Waiting => paint.paint(Tone::Waiting, &format!("on its way: it waits at {first}")),
            State::Missing => paint.paint(Tone::Bad, &format!("broken at {first}")),
        });
        text.push('\n');
        text
    }
}

/// Reason and message of a summary condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said<'a> {
    /// The kind whose condition it is.
    place: Place,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
    /// It stays until an input changes.
    stalled: bool,
}

impl<'a> Said<'a> {
    fn of(conditions: &'a [k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition], place: Place) -> Option<Self> {
        let said = condition::find(conditions, if place == Place::ImageBuild { "Succeeded" } else { "Ready" })?;
        let stalled = condition::is_true(conditions, "Stalled");
        Some(Self { place, status: &said.status, reason: &said.reason, message: &said.message, stalled })
    }

    /// What a condition that is not True makes of a link.
    fn link(self, name: &'static str, todo: Option<String>) -> Link {
        let text = format!("{}: {}", self.reason, self.message);
        match (self.status, todo) {
            (_, Some(todo)) => Link::missing(name, text, todo),
            ("False", None) => Link::missing(name, text, self.remedy()),
            _ => Link::waiting(name, text),
        }
    }

    /// What the table of reasons says to do, and whether it is tried again by itself.
    fn remedy(self) -> String {
        let uses = Reason::parse(self.reason).map(Reason::uses).unwrap_or_default();
        let of = |place: Place| uses.iter().find(|one| one.place == place && !one.remedy.is_empty());
        let text = match of(self.place).or_else(|| of(Place::Shared)) {
            // Its Markdown is for pages.
            Some(known) => known.remedy.replace(['`', '['], "").replace("](../", " (docs/"),
            None => "mend what the message names".to_owned(),
        };
        let again = match self.place {
            // One that has ended is left as it is.
            Place::ImageBuild => "",
            _ if text.starts_with("nothing") => "",
            _ if self.stalled => "; it is looked at again by itself",
            _ => "; it is tried again by itself",
        };
        format!("{text}{again}")
    }
}

/// The chain of a SourceRepository: one link.
pub(crate) fn source(source: &SourceRepository) -> Chain {
    let links = vec![commit(Some(source), None)];
    Chain::new(format!("source {}", source.name_any()), source.namespace().unwrap_or_default(), links)
}

/// The first link of every chain: whether Git is read.
pub(crate) fn commit(source: Option<&SourceRepository>, wanted: Option<&str>) -> Link {
    const NAME: &str = "commit";
    let Some(source) = source else {
        let which = wanted.map_or("the namespace has no SourceRepository, or several".to_owned(), |name| {
            format!("SourceRepository {name} does not exist")
        });
        return Link::missing(NAME, which, "create one, or name one in spec.sourceRef: docs/quickstart.md");
    };
    let name = source.name_any();
    let status = source.status.clone().unwrap_or_default();
    let head = status.head.as_deref().map(short);
    let branch = status.resolved.as_ref().map_or("main", |resolved| &resolved.branch);
    match (Said::of(&status.conditions, Place::SourceRepository), head) {
        (None, _) => unseen(NAME, &format!("SourceRepository {name}")),
        (Some(said), Some(head)) if said.status == "True" => Link::ok(NAME, format!("{branch} of {name} is at {head}")),
        (Some(said), _) => {
            let todo = (said.reason == "Suspended").then(|| format!("kubectl mainstay resume source/{name}"));
            said.link(NAME, todo)
        }
    }
}

/// An object that no operator has looked at.
fn unseen(name: &'static str, object: &str) -> Link {
    Link {
        state: State::Waiting,
        ..Link::missing(
            name,
            format!("the operator has not looked at {object} yet"),
            "if it stays: kubectl get pods -A -l app.kubernetes.io/name=mainstay",
        )
    }
}

/// Kind and name, for messages.
fn named<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), object.name_any())
}
