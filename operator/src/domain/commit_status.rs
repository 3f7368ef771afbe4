//! What the forge is told of a build, at its commit.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_crds::{CommitState, CommitStatus, ImageBuild, ImageBuildStatus, Reason, Variant};

use super::condition::find;
use super::{tag, template};

/// Longest description: GitHub takes no more.
const MAX_DESCRIPTION: usize = 140;

/// How long after the end of a build its status is still worth writing: nobody waits for an older one, and a forge that refuses is not asked
/// for ever.
const WORTH: Duration = Duration::from_secs(3600);

/// What the forge is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Name of the status: the newest of a name is what the forge shows.
    pub context: String,
    /// Its state.
    pub state: CommitState,
    /// One short line.
    pub description: String,
}

/// What is to be said of a build; `None` before its commit is known.
pub fn said(build: &ImageBuild) -> Option<Said> {
    let status = build.status.as_ref()?;
    let (commit, variant) = (status.commit.as_deref()?, status.variant?);
    let tag = tag::subject(status.tag.as_deref(), commit, variant);
    let nix = if variant == Variant::Nix { "-nix" } else { "" };
    let (state, description) = match (&status.completed_at, find(&status.conditions, "Succeeded")) {
        (Some(_), Some(end)) if end.status == "True" => (CommitState::Success, made(status, &tag, &end.reason)),
        (Some(_), Some(end)) if end.reason == Reason::Cancelled => (CommitState::Error, format!("cancelled: {}", end.message)),
        (Some(_), Some(end)) => (CommitState::Failure, format!("{}: {}", end.reason, end.message)),
        _ => (CommitState::Pending, format!("{tag} is to be built")),
    };
    Some(Said { context: format!("mainstay/{}{nix}", build.spec.image), state, description: one_line(&description) })
}

fn made(status: &ImageBuildStatus, tag: &str, reason: &str) -> String {
    match &status.duration {
        Some(took) if Reason::AlreadyExists != *reason => format!("{tag} in {took}"),
        _ => format!("{tag} is in the registry"),
    }
}

/// What has yet to be written: nothing where the forge was told so already, where a later build speaks for the same image and commit, or where
/// it is too late.
pub fn owed<'a>(build: &ImageBuild, others: impl IntoIterator<Item = &'a ImageBuild>, now: &Time) -> Option<Said> {
    let said = said(build)?;
    let status = build.status.as_ref()?;
    let late = |end: &Time| Duration::try_from(now.0.duration_since(end.0)).is_ok_and(|passed| passed > WORTH);
    if is_written(status.commit_status.as_ref(), &said) || status.completed_at.as_ref().is_some_and(late) {
        return None;
    }
    let what = |build: &ImageBuild| (build.spec.image.clone(), build.status.as_ref().map(|status| (status.commit.clone(), status.variant)));
    let age = |build: &ImageBuild| (build.metadata.creation_timestamp.clone(), build.metadata.name.clone());
    let later = others.into_iter().any(|other| what(other) == what(build) && age(other) > age(build));
    (!later).then_some(said)
}

fn is_written(known: Option<&CommitStatus>, said: &Said) -> bool {
    known.is_some_and(|known| {
        known.state == Some(said.state) && known.description.as_ref() == Some(&said.description) && known.context == said.context
    })
}

/// What stands in the status after an attempt: what the forge shows now, and what went wrong.
pub fn record(before: Option<&CommitStatus>, said: &Said, problem: Option<String>) -> CommitStatus {
    let before = before.cloned().unwrap_or_default();
    let context = said.context.clone();
    match problem {
        None => CommitStatus { context, state: Some(said.state), description: Some(said.description.clone()), message: None },
        Some(message) => CommitStatus { context, message: Some(message), ..before },
    }
}

/// The page that a status links to.
///
/// # Errors
/// Words for a person where the template is not valid or gives no address.
pub fn target(template: &str, build: &ImageBuild) -> Result<String, String> {
    let status = build.status.clone().unwrap_or_default();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let context = minijinja::context! {
        namespace => text(&build.metadata.namespace),
        container => build.spec.image.clone(),
        variant => status.variant.map_or("", Variant::as_str),
        build => text(&build.metadata.name),
        commit => text(&status.commit),
        tag => text(&status.tag),
    };
    let given = template::render(template, context)?;
    let is_page = url::Url::parse(&given).is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    if is_page { Ok(given) } else { Err(format!("it gives {given:?}, which is no http:// or https:// address")) }
}

fn one_line(text: &str) -> String {
    let line = text.split(char::is_control).next().unwrap_or_default();
    if line.chars().count() <= MAX_DESCRIPTION {
        return line.to_owned();
    }
    line.chars().take(MAX_DESCRIPTION - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887";

    fn build(name: &str, created: u32, rest: &str) -> ImageBuild {
        serde_saphyr::from_str(&format!(
            "{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: ops, creationTimestamp: '2026-11-26T06:{created:02}:00Z'}}, \
             spec: {{image: cv, commit: {COMMIT}}}, status: {{commit: {COMMIT}, variant: dockerfile, tag: v1.0-3b9e0d1{rest}}}}}"
        ))
        .unwrap()
    }

    fn ended(status: &str, reason: &str, message: &str) -> String {
        format!(
            ", completedAt: '2026-11-26T06:30:00Z', duration: 34s, conditions: [{{type: Succeeded, status: '{status}', reason: {reason}, \
             message: '{message}', lastTransitionTime: '2026-11-26T06:30:00Z'}}]"
        )
    }

    fn at(minute: u32) -> Time {
        Time(format!("2026-11-26T{:02}:{:02}:00Z", 6 + minute / 60, minute % 60).parse().unwrap())
    }

    fn words(build: &ImageBuild) -> (CommitState, String) {
        let said = said(build).unwrap();
        assert_eq!(said.context, "mainstay/cv");
        (said.state, said.description)
    }

    #[test]
    fn each_stand_of_a_build_is_one_line() {
        assert_eq!(words(&build("b", 0, "")), (CommitState::Pending, "v1.0-3b9e0d1 is to be built".into()));
        let of = |status, reason, message| words(&build("b", 0, &ended(status, reason, message)));
        assert_eq!(of("True", "Pushed", "x"), (CommitState::Success, "v1.0-3b9e0d1 in 34s".into()));
        assert_eq!(of("True", "AlreadyExists", "x"), (CommitState::Success, "v1.0-3b9e0d1 is in the registry".into()));
        assert_eq!(of("False", "Cancelled", "main went on"), (CommitState::Error, "cancelled: main went on".into()));
        let (state, text) = of("False", "BuildFailed", &"ü".repeat(500));
        assert_eq!((state, text.chars().count()), (CommitState::Failure, 140));
        assert!(text.starts_with("BuildFailed: ü") && text.ends_with('…'));
        let mut lines = build("b", 0, &ended("False", "BuildFailed", "x"));
        lines.status.as_mut().unwrap().conditions[0].message = "Dockerfile:3: exit code: 1\nlong story".into();
        assert_eq!(words(&lines).1, "BuildFailed: Dockerfile:3: exit code: 1");
    }

    #[test]
    fn a_nix_variant_has_a_status_of_its_own_and_an_unknown_commit_none() {
        let mut nix = build("b", 0, "");
        nix.status.as_mut().unwrap().variant = Some(Variant::Nix);
        assert_eq!(said(&nix).unwrap().context, "mainstay/cv-nix");
        nix.status = None;
        assert_eq!(said(&nix), None);
    }

    #[test]
    fn a_version_that_is_not_known_yet_keeps_nothing_back() {
        let mut evaluated = build("cv-1", 0, "");
        let status = evaluated.status.as_mut().unwrap();
        (status.tag, status.variant) = (None, Some(Variant::Nix));
        assert_eq!(said(&evaluated).unwrap().description, "the nix image of 3b9e0d1 is to be built");
    }

    #[test]
    fn what_was_written_is_not_owed_again_and_a_failure_still_is() {
        let mut one = build("b", 0, &ended("True", "Pushed", "x"));
        let said = owed(&one, [], &at(31)).unwrap();
        let failed = record(None, &said, Some("no answer".into()));
        assert_eq!((failed.state, failed.message.as_deref()), (None, Some("no answer")));
        one.status.as_mut().unwrap().commit_status = Some(failed.clone());
        assert_eq!(owed(&one, [], &at(31)), Some(said.clone()));
        let written = record(Some(&failed), &said, None);
        assert_eq!((written.state, written.message.as_deref()), (Some(CommitState::Success), None));
        one.status.as_mut().unwrap().commit_status = Some(written.clone());
        assert_eq!(owed(&one, [], &at(31)), None);
        // A failure of the next state leaves what the forge shows.
        let next = Said { state: CommitState::Failure, ..said };
        assert_eq!(record(Some(&written), &next, Some("x".into())).state, Some(CommitState::Success));
    }

    #[test]
    fn an_earlier_attempt_and_an_old_build_say_nothing() {
        let (first, second) = (build("b", 0, &ended("False", "BuildFailed", "x")), build("b-2", 5, ""));
        assert_eq!(owed(&first, [&first, &second], &at(31)), None, "the second attempt speaks for the commit");
        assert!(owed(&second, [&first, &second], &at(31)).is_some());
        let mut other = build("c", 5, "");
        other.spec.image = "other".into();
        assert!(owed(&first, [&first, &other], &at(31)).is_some());
        assert!(owed(&first, [], &at(89)).is_some());
        assert_eq!(owed(&first, [], &at(91)), None, "it ended more than an hour ago");
    }

    #[test]
    fn a_template_gives_a_page_or_says_why_not() {
        let one = build("cv-3b9e0d1-x", 0, "");
        let page =
            target("https://d.example/{{ namespace }}/{{ container }}/{{ variant }}/{{ build }}?c={{ commit[:7] }}&t={{ tag }}", &one);
        assert_eq!(page.as_deref(), Ok("https://d.example/ops/cv/dockerfile/cv-3b9e0d1-x?c=3b9e0d1&t=v1.0-3b9e0d1"));
        assert!(target("https://d.example/{{ image }}", &one).unwrap_err().contains("undefined"));
        assert!(target("{{ container }}", &one).unwrap_err().contains("no http"));
    }
}
