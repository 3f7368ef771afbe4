//! How a build ends, as written to its status. Pure.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_crds::{ImageBuildStatus, Reason};

use super::cause::Cause;
use crate::domain::condition::{State, Verdict};
use crate::domain::duration;
use crate::domain::report::Report;
use crate::domain::tag;

/// How a build stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on.
    Running(Verdict),
    /// It is over.
    Ended(Verdict),
}

/// The tag is in the registry: success where it names our commit, else a conflict that stays.
pub(super) fn present(status: &mut ImageBuildStatus, digest: String, revision: Option<String>) -> Outcome {
    let tag = status.tag.clone().unwrap_or_default();
    if revision.is_some() && revision == status.commit {
        let text = format!("tag {tag} is in the registry already, built from this commit ({digest})");
        status.digest = Some(digest);
        return Outcome::Ended(Verdict::new(State::Good, Reason::AlreadyExists, text));
    }
    let message = tag::conflict(&tag, revision.as_deref(), &digest);
    failed(status, &Cause { reason: Reason::TagConflict, message, transient: false, log_of: None })
}

/// `push` said that the tag is there.
pub(super) fn pushed(status: &mut ImageBuildStatus, report: &Report) -> Outcome {
    status.digest.clone_from(&report.digest);
    // The version became known, and with it the tag.
    if let Some(version) = &report.version {
        let commit = status.commit.as_deref().unwrap_or_default();
        status.tag = status.variant.and_then(|variant| tag::format(version, commit, variant).ok());
        status.version = Some(version.clone());
    }
    Outcome::Ended(Verdict::new(State::Good, report.reason, report.message.clone()))
}

/// There will be no image.
pub(super) fn failed(status: &mut ImageBuildStatus, cause: &Cause) -> Outcome {
    status.transient = Some(cause.transient);
    Outcome::Ended(Verdict::new(State::Stuck, cause.reason, cause.message.clone()))
}

/// Writes the time of the end.
pub(super) fn end(status: &mut ImageBuildStatus, now: Time) {
    if let Some(started) = &status.started_at {
        let took = Duration::try_from(now.0.duration_since(started.0)).unwrap_or_default();
        status.duration = Some(duration::show(took));
    }
    status.completed_at = Some(now);
    status.progress = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> ImageBuildStatus {
        ImageBuildStatus { commit: Some("a".repeat(40)), tag: Some("v1-aaaaaaa".into()), ..ImageBuildStatus::default() }
    }

    fn reason(outcome: &Outcome) -> (State, Reason) {
        match outcome {
            Outcome::Ended(verdict) => (verdict.state, verdict.reason),
            Outcome::Running(verdict) => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn our_tag_is_success_and_another_is_never_moved() {
        let mut ours = status();
        assert_eq!(reason(&present(&mut ours, "sha256:ab".into(), Some("a".repeat(40)))), (State::Good, Reason::AlreadyExists));
        assert_eq!(ours.digest.as_deref(), Some("sha256:ab"));
        for revision in [None, Some("b".repeat(40))] {
            let mut theirs = status();
            assert_eq!(reason(&present(&mut theirs, "sha256:ab".into(), revision)), (State::Stuck, Reason::TagConflict));
            assert_eq!((theirs.digest, theirs.transient), (None, Some(false)));
        }
    }

    #[test]
    fn a_version_that_was_evaluated_makes_the_tag() {
        let mut status = ImageBuildStatus { variant: Some(mainstay_crds::Variant::Nix), tag: None, ..status() };
        let said = Report {
            reason: Reason::Pushed,
            message: "m".into(),
            digest: Some("sha256:ab".into()),
            version: Some("2.10".into()),
            transient: false,
        };
        assert_eq!(reason(&pushed(&mut status, &said)), (State::Good, Reason::Pushed));
        assert_eq!((status.version.as_deref(), status.tag.as_deref()), (Some("2.10"), Some("v2.10-aaaaaaa-nix")));
    }

    #[test]
    fn the_duration_is_from_job_to_end() {
        let at = |text: &str| Time(text.parse().unwrap());
        let mut status = ImageBuildStatus { started_at: Some(at("2026-11-24T12:00:00Z")), progress: Some("1/2 RUN x".into()), ..status() };
        end(&mut status, at("2026-11-24T12:01:34Z"));
        assert_eq!((status.duration.as_deref(), status.progress), (Some("1m34s"), None));
    }
}
