//! The commit of one run: all pins that move, in one commit, with what a person and Argo CD want to know of it.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use mainstay_crds::{CommitSettings, ManifestPin, Reason};

use super::observe::Seen;
use super::plan::{Decision, Stand};
use crate::clients::call::CallError;
use crate::clients::git::{Author, Pushed, Remote, SigningKey, WriteRequest};
use crate::controllers::access;
use crate::controllers::context::Context;
use crate::controllers::problem::Problem;
use crate::controllers::source::clone_key;
use crate::domain::message::{self, Line, Origin};
use crate::domain::pin;

/// Author and committer where the ManifestPin names none.
const NAME: &str = "Mainstay";
const EMAIL: &str = "mainstay@localhost";

/// What is to be written.
pub(super) struct Edit {
    /// Files and what they shall hold.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// One line for each pin that moves.
    pub(super) lines: Vec<Line>,
    /// The newest commit that an image of this run was built from, and the clone that has it.
    newest: Option<(String, String, String)>,
}

impl Edit {
    /// What moves, in a few words.
    pub(super) fn summary(&self) -> String {
        let mut moves: Vec<String> = self.lines.iter().map(|line| format!("{} {} -> {}", line.image, line.old, line.new)).collect();
        moves.dedup();
        let more = moves.len().saturating_sub(5);
        moves.truncate(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let files = if self.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", self.files.len()) };
        format!("{}{more} in {files}", moves.join(", "))
    }
}

/// The edits of a plan; `None` where there is nothing to write. A file that cannot be edited is left alone and named, the others go on.
pub(super) fn edit(seen: &mut Seen, decisions: &mut [Decision]) -> Option<Edit> {
    let mut by_file: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, decision) in decisions.iter().enumerate() {
        if let (Some(_), Some((file, _))) = (&decision.write, seen.places.get(at)) {
            by_file.entry(*file).or_default().push(at);
        }
    }
    let (mut files, mut lines, mut newest) = (Vec::new(), Vec::new(), None);
    for (file, pins) in by_file {
        let Some(manifest) = seen.files.get(file) else { continue };
        let changes: Vec<pin::Change<'_>> = pins
            .iter()
            .filter_map(|at| {
                let (tag, digest) = decisions.get(*at)?.write.as_ref()?;
                Some(pin::Change { place: &seen.places.get(*at)?.1, tag: &tag.tag, digest: digest.then_some(tag.digest.as_str()) })
            })
            .collect();
        match pin::apply(&manifest.bytes, &changes, &seen.targets) {
            Ok(bytes) => files.push((manifest.path.clone(), bytes)),
            Err(error) => {
                seen.skipped.push(mainstay_crds::SkippedPlace {
                    path: manifest.path.clone(),
                    reason: crate::error::Classified::reason(&error).into(),
                    message: error.to_string(),
                });
                for at in pins {
                    if let Some(decision) = decisions.get_mut(at) {
                        decision.write = None;
                        decision.stand = Stand::NotEditable;
                        decision.message = Some(error.to_string());
                    }
                }
                continue;
            }
        }
        for at in pins {
            let (Some(pin), Some(Decision { write: Some((tag, _)), .. })) = (seen.pins.get(at), decisions.get(at)) else { continue };
            lines.push(Line {
                path: pin.line.map_or_else(|| pin.path.clone(), |line| format!("{}:{line}", pin.path)),
                image: pin.image.clone(),
                old: pin.tag.clone(),
                old_class: pin.class.to_string(),
                new: tag.tag.clone(),
                digest: tag.digest.clone(),
                commit: tag.commit.clone(),
            });
            let order = pin.wanted.as_ref().and_then(|wanted| wanted.commit).map(|commit| commit.order());
            if newest.as_ref().is_none_or(|(known, _)| order > *known) {
                newest = Some((order, at));
            }
        }
    }
    let newest = newest.and_then(|(_, at)| {
        let pin = seen.pins.get(at)?;
        let image = seen.images.iter().find(|image| image.name == pin.image)?;
        Some((image.key.clone(), pin.wanted.as_ref()?.tag.commit.clone(), image.repository.spec.url.clone()))
    });
    (!files.is_empty()).then_some(Edit { files, lines, newest })
}

/// The request for a commit with these edits: on `branch`, which is at `expected`, with these parents.
pub(super) async fn request(
    object: &ManifestPin,
    ctx: &Context,
    seen: &Seen,
    edit: &Edit,
    (branch, expected, parents): (String, Option<String>, Vec<String>),
) -> Result<WriteRequest, Problem> {
    let settings = object.spec.commit.clone().unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    let origin = match &edit.newest {
        None => None,
        Some((key, commit, repository)) => {
            let about = ctx.calls.outside("git.about", ctx.git.about(key, commit)).await?;
            let date = Timestamp::from_second(about.time_seconds).unwrap_or_default().to_string();
            Some(Origin {
                sha: commit.clone(),
                author: format!("{} <{}>", about.author_name, about.author_email),
                date,
                subject: about.message.lines().next().unwrap_or_default().to_owned(),
                repository: repository.clone(),
            })
        }
    };
    let name = object.name_any();
    let message = message::render(settings.message.as_deref(), &edit.lines, (&namespace, &name), origin.as_ref())
        .map_err(|error| Problem::stuck(Reason::TemplateInvalid, error.to_string()))?;
    Ok(WriteRequest {
        branch,
        expected,
        parents,
        base: seen.head.clone(),
        files: edit.files.clone(),
        message,
        author: Author {
            name: settings.author_name.clone().unwrap_or_else(|| NAME.to_owned()),
            email: settings.author_email.clone().unwrap_or_else(|| EMAIL.to_owned()),
        },
        when: Timestamp::now().as_second(),
        signing: signing(&namespace, ctx, &settings).await?,
    })
}

/// Makes the commit and brings it to its branch. A push and the fetch that reads it back have a deadline each.
pub(super) async fn push(ctx: &Context, seen: &Seen, remote: &Remote, request: WriteRequest) -> Result<Pushed, CallError> {
    let key = clone_key(&seen.repository);
    let push = async { Ok(ctx.git.write(&key, remote, request).await?) };
    let pushed = ctx.calls.within(ctx.config.call_deadline * 3, "git.push", push).await;
    ctx.metrics.pin_commit(match &pushed {
        Ok(Pushed::Landed { .. }) => "Landed",
        Ok(Pushed::Lost) => "Lost",
        Err(error) => crate::error::Classified::reason(error).as_str(),
    });
    pushed
}

async fn signing(namespace: &str, ctx: &Context, settings: &CommitSettings) -> Result<Option<SigningKey>, Problem> {
    let Some(reference) = &settings.signing_key_secret_ref else { return Ok(None) };
    let field = "spec.commit.signingKeySecretRef";
    let data = access::named_secret(ctx, namespace, field, &reference.name).await?;
    let text = |key: &str| data.get(key).and_then(|bytes| String::from_utf8(bytes.clone()).ok());
    let key = text("identity").or_else(|| text("ssh-privatekey")).ok_or_else(|| {
        Problem::retrying(Reason::SecretInvalid, format!("Secret {} ({field}) has no key identity or ssh-privatekey", reference.name))
    })?;
    let passphrase = text("password").map(|text| text.trim_end_matches(['\r', '\n']).to_owned().into());
    Ok(Some(SigningKey::from_openssh(&key.into(), passphrase.as_ref()).map_err(CallError::from)?))
}

/// The change as a unified diff of at most this many bytes.
const MAX_DIFF: usize = 16 << 10;

/// What would be written, for `write: DryRun`.
pub(super) fn diff(seen: &Seen, edit: &Edit) -> String {
    let mut all = String::new();
    for (path, bytes) in &edit.files {
        let old = seen.files.iter().find(|file| file.path == *path).map(|file| file.bytes.as_slice()).unwrap_or_default();
        all.push_str(&crate::clients::git::unified_diff(path, old, bytes));
    }
    if all.len() > MAX_DIFF {
        let end = (0..=MAX_DIFF).rev().find(|end| all.is_char_boundary(*end)).unwrap_or_default();
        all.truncate(end);
        all.push_str("\n… (cut: the whole does not fit a status)\n");
    }
    all
}
