use std::collections::BTreeSet;

use serde::Deserialize;

use super::headers::Sender;

/// What a hook asks us to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// At the branches of the repository: one of them has moved, or may have.
    Branches,
    /// At the tags of these images, named as the registry names them: without its host.
    Images(BTreeSet<String>),
    /// At nothing, for this reason.
    Nothing(&'static str),
}

/// A body that is not what its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not the JSON that this event has")]
pub struct Malformed;

/// A hook of a forge, of whatever event: the few fields that say whether it concerns us. The commits are not among them: the list may be cut.
#[derive(Deserialize)]
struct Push {
    /// A full name in a push, a bare one where a branch is made or deleted.
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    ref_type: Option<String>,
    /// GitLab's hooks of the whole instance name their event here.
    #[serde(default)]
    event_name: Option<String>,
    #[serde(default)]
    repository: Option<Repository>,
    /// As GitLab calls it.
    #[serde(default)]
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    path_with_namespace: Option<String>,
}

/// The notifications of distribution.
#[derive(Deserialize)]
struct Envelope {
    events: Vec<Notification>,
}

#[derive(Deserialize)]
struct Notification {
    action: String,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    repository: String,
    #[serde(default)]
    tag: String,
}

/// An event of zot in one piece.
#[derive(Deserialize)]
struct CloudEvent {
    #[serde(rename = "type")]
    kind: String,
    data: Image,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    name: String,
    #[serde(default)]
    reference: String,
}

/// What a body is about; `url` is that of the repository whose hook it is.
///
/// # Errors
/// Where it is not what its sender sends.
pub fn read(sender: Sender, event: &str, body: &[u8], url: &str) -> Result<Hint, Malformed> {
    match sender {
        Sender::GitHub | Sender::Gitea | Sender::Forgejo | Sender::GitLab => {
            let push: Push = parse(body)?;
            let event = if event == "System Hook" { push.event_name.as_deref().unwrap_or_default() } else { event };
            Ok(forge(event, &push, url))
        }
        Sender::Distribution => {
            let envelope: Envelope = parse(body)?;
            // A layer has no tag, and what is only read changes nothing: our own looks are events too.
            let moves = |one: &Notification| one.action == "delete" || one.action == "push" && !one.target.tag.is_empty();
            Ok(images(envelope.events.into_iter().filter(moves).map(|one| one.target.repository)))
        }
        Sender::Zot => {
            let (kind, image) = if event.is_empty() {
                let event: CloudEvent = parse(body)?;
                (event.kind, event.data)
            } else {
                (event.to_owned(), parse(body)?)
            };
            // What stands before these words can be set in zot. A reference with a colon is a digest: no tag has moved.
            let moves = kind.ends_with(".image.deleted") || kind.ends_with(".image.updated") && !image.reference.contains(':');
            Ok(images(moves.then_some(image.name)))
        }
    }
}

fn forge(event: &str, push: &Push, url: &str) -> Hint {
    if !matches!(event, "push" | "create" | "delete" | "Push Hook" | "repository_update") {
        return Hint::Nothing("no event that moves a branch");
    }
    let named = push.repository.as_ref().and_then(|one| one.full_name.as_deref());
    let named = named.or_else(|| push.project.as_ref()?.path_with_namespace.as_deref());
    if named.is_some_and(|name| !is_of(url, name)) {
        return Hint::Nothing("it is about another repository");
    }
    let tag = push.reference.as_deref().is_some_and(|name| name.starts_with("refs/tags/")) || push.ref_type.as_deref() == Some("tag");
    if tag { Hint::Nothing("it is about a tag of Git") } else { Hint::Branches }
}

fn images(names: impl IntoIterator<Item = String>) -> Hint {
    let names: BTreeSet<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() { Hint::Nothing("no event that moves a tag") } else { Hint::Images(names) }
}

/// Whether a URL, of any form, ends with this `owner/name`. The host is not compared: a forge has one name outside and another one inside.
fn is_of(url: &str, full_name: &str) -> bool {
    let url = url.trim_end_matches('/').to_ascii_lowercase();
    let path = url.strip_suffix(".git").unwrap_or(&url);
    path.strip_suffix(&full_name.to_ascii_lowercase()).is_some_and(|before| before.ends_with(['/', ':']))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|_| Malformed)
}
