//! What to do for a ContainerImage, decided from what was observed. Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use mainstay_crds::{
    ContainerImage, ImageBuild, ImageBuildStatus, LastFailure, Nixpkgs, Reason, ResolvedImage, Trigger, Variant, VariantStatus, WantedTag,
    names,
};

use super::{child, retire};
use crate::clients::registry::Image;
use crate::domain::backoff;
use crate::domain::build::{Key, is_running, short};
use crate::domain::condition::{self, State, Verdict};
use crate::domain::tag;

/// How soon a tag that was given is looked for.
const PROMOTED: Duration = Duration::from_secs(1);

/// Everything that was observed.
pub(super) struct Observed<'a> {
    pub(super) image: &'a ContainerImage,
    pub(super) resolved: &'a ResolvedImage,
    /// The touch, 40 hex digits.
    pub(super) touch: &'a str,
    pub(super) variants: Vec<Wanted>,
    /// All ImageBuilds of this image.
    pub(super) builds: &'a [Arc<ImageBuild>],
    pub(super) now: Timestamp,
}

/// One variant at the touch.
pub(super) struct Wanted {
    pub(super) variant: Variant,
    pub(super) version: Result<Tagged, Refusal>,
    /// The tag that pins should name, where the registry confirmed one.
    pub(super) wanted: Option<WantedTag>,
    /// A branch image with main's inputs that may become main's.
    pub(super) identical: Option<Identical>,
    /// The nixpkgs that the nix variant is built with.
    pub(super) nixpkgs: Option<Nixpkgs>,
}

/// An image from a branch that was built from the inputs that main has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identical {
    pub(super) tag: String,
    pub(super) commit: String,
    pub(super) image: Image,
}

/// Version and tag at the touch, and what the registry says of the tag.
pub(super) struct Tagged {
    /// `None` where it is evaluated by nix and nothing was built of the touch yet.
    pub(super) version: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) found: Found,
}

/// What the registry says of a tag.
pub(super) enum Found {
    /// It is not there.
    Absent,
    /// It is there, made from this commit where it says so.
    Present { digest: String, revision: Option<String> },
    /// Not known.
    Unknown(Refusal),
}

impl Found {
    /// Whether it is an image of this commit.
    pub(super) fn is_of(&self, commit: &str) -> bool {
        matches!(self, Found::Present { revision: Some(revision), .. } if revision == commit)
    }
}

/// Why something cannot be had.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) transient: bool,
}

/// A thing to do.
#[derive(Debug)]
pub(super) enum Step {
    /// Make this ImageBuild.
    Create(Box<ImageBuild>),
    /// Give main's tag to an image from a branch.
    Promote(Box<Identical>, String),
    /// End this one: main went on.
    Supersede(Arc<ImageBuild>),
    /// Remove this one: enough newer ones are kept.
    Delete(Arc<ImageBuild>),
}

/// What comes out.
pub(super) struct Outcome {
    pub(super) steps: Vec<Step>,
    pub(super) variants: Vec<VariantStatus>,
    pub(super) verdict: Verdict,
    /// When to look again even if nothing happens.
    pub(super) look_again: Option<Duration>,
}

/// How one variant stands.
struct Standing {
    status: VariantStatus,
    verdict: Verdict,
    step: Option<Step>,
    look_again: Option<Duration>,
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Outcome {
    let standings: Vec<Standing> = observed.variants.iter().map(|wanted| variant(observed, wanted)).collect();
    let verdict = summary(observed, &standings);
    let look_again = standings.iter().filter_map(|s| s.look_again).min();
    let mut steps: Vec<Step> = Vec::new();
    let mut variants = Vec::new();
    for standing in standings {
        steps.extend(standing.step);
        variants.push(standing.status);
    }
    steps.extend(retire::superseded(observed).into_iter().map(Step::Supersede));
    steps.extend(retire::expired(observed).into_iter().map(Step::Delete));
    Outcome { steps, variants, verdict, look_again }
}

fn variant(observed: &Observed<'_>, wanted: &Wanted) -> Standing {
    let previous = previous(observed.image, wanted.variant);
    let mut status = VariantStatus {
        variant: wanted.variant,
        reason: String::new(),
        version: None,
        commit: Some(observed.touch.to_owned()),
        tag: None,
        digest: None,
        wanted: wanted.wanted.clone(),
        built_at: None,
        duration: None,
        build: None,
        last_good_tag: last_good(previous),
        last_failure: None,
        nixpkgs: wanted.nixpkgs.clone(),
    };
    let tagged = match &wanted.version {
        Ok(tagged) => tagged,
        Err(refusal) => {
            status.reason = refusal.reason.into();
            return Standing { verdict: refused(wanted.variant, refusal, &status), status, step: None, look_again: None };
        }
    };
    status.version.clone_from(&tagged.version);
    status.tag.clone_from(&tagged.tag);
    match &tagged.found {
        found @ Found::Present { digest, .. } if found.is_of(observed.touch) => {
            let build = finished(observed, &status);
            status.build = build.map(|b| b.name_any()).or_else(|| previous.and_then(|p| p.build.clone()));
            status.built_at =
                build.and_then(|b| b.status.as_ref()?.completed_at.clone()).or_else(|| same_image(previous, &status)?.built_at.clone());
            status.duration =
                build.and_then(|b| b.status.as_ref()?.duration.clone()).or_else(|| same_image(previous, &status)?.duration.clone());
            status.digest = Some(digest.clone());
            status.last_good_tag = None;
            good(status)
        }
        Found::Present { digest, revision } => {
            let message = tag::conflict(&subject(&status), revision.as_deref(), digest);
            let refusal = Refusal { reason: Reason::TagConflict, message, transient: false };
            status.reason = refusal.reason.into();
            Standing { verdict: refused(wanted.variant, &refusal, &status), status, step: None, look_again: None }
        }
        Found::Unknown(refusal) => {
            // What was known of this tag stays known: the registry is silent, the image is not gone.
            if let Some(known) = same_image(previous, &status) {
                status.version.clone_from(&known.version);
                status.tag.clone_from(&known.tag);
                status.wanted.clone_from(&known.wanted);
                status.digest.clone_from(&known.digest);
                status.built_at.clone_from(&known.built_at);
                status.duration.clone_from(&known.duration);
                status.build.clone_from(&known.build);
            }
            status.reason = refusal.reason.into();
            Standing { verdict: refused(wanted.variant, refusal, &status), status, step: None, look_again: None }
        }
        Found::Absent => match (&wanted.identical, &tagged.tag) {
            (Some(identical), Some(tag)) if observed.image.spec.suspend != Some(true) => promote(status, identical, tag),
            _ => missing(observed, wanted.variant, status),
        },
    }
}

/// The registry does not have the tag: a build runs, failed, or must be made.
fn missing(observed: &Observed<'_>, variant: Variant, mut status: VariantStatus) -> Standing {
    let rebuild = observed.image.annotations().get(names::REBUILD_AT).map(String::as_str);
    let name = observed.image.name_any();
    let key = Key {
        name: &name,
        image: &observed.resolved.image,
        path: &observed.resolved.path,
        commit: observed.touch,
        variant,
        settings: observed.image.spec.build.as_ref(),
        rebuild,
    };
    if let Some(running) = observed.builds.iter().find(|build| is_running(build) && builds_this(build, variant, observed.touch)) {
        return in_progress(status, running);
    }
    let family = key.family();
    let newest = observed.builds.iter().filter(|build| child::family(build) == Some(&family)).max_by_key(|build| child::attempt(build));
    let Some(last) = newest else {
        let trigger = if rebuild.is_some() && rebuild != handled_rebuild(observed.image) { Trigger::Rebuild } else { Trigger::Commit };
        return create(observed, &key, 0, trigger, status);
    };
    let attempt = child::attempt(last);
    let state = last.status.clone().unwrap_or_default();
    let (reason, message, transient) = failure(&state);
    status.build = Some(last.name_any());
    status.reason.clone_from(&reason);
    status.last_failure =
        Some(LastFailure { build: last.name_any(), reason: reason.clone(), message: message.clone(), log_tail: state.log_tail.clone() });
    let stays = status.last_good_tag.as_deref().map_or_else(String::new, |tag| format!(" Last good image {tag} stays."));
    if reason == Reason::Cancelled {
        let text = format!("{} was cancelled: {message}.{stays}", last.name_any());
        return Standing { status, verdict: Verdict::new(State::Stuck, Reason::BuildCancelled, text), step: None, look_again: None };
    }
    if !transient {
        let text = format!(
            "{} failed: {message}.{stays} A new commit, a change of spec.build or the annotation {} makes a new build",
            last.name_any(),
            names::REBUILD_AT
        );
        return Standing { status, verdict: Verdict::new(State::Stuck, Reason::BuildFailed, text), step: None, look_again: None };
    }
    let pause = backoff::build(attempt);
    let ended = state.completed_at.as_ref().map_or(observed.now, |time| time.0);
    let waited = Duration::try_from(observed.now.duration_since(ended)).unwrap_or_default();
    if waited >= pause {
        return create(observed, &key, attempt.saturating_add(1), Trigger::Retry, status);
    }
    let at = ended.checked_add(k8s_openapi::jiff::SignedDuration::try_from(pause).unwrap_or_default()).unwrap_or(ended);
    let text = format!("{} failed: {message}.{stays} It is tried again at {}", last.name_any(), at.strftime("%H:%M:%S UTC"));
    Standing {
        status,
        verdict: Verdict::new(State::Retrying, Reason::BuildFailed, text),
        step: None,
        look_again: Some(pause.saturating_sub(waited)),
    }
}

fn create(observed: &Observed<'_>, key: &Key<'_>, attempt: u32, trigger: Trigger, mut status: VariantStatus) -> Standing {
    let subject = subject(&status);
    if observed.image.spec.suspend == Some(true) {
        status.reason = Reason::Suspended.into();
        let text = format!("{subject} is not in the registry, and spec.suspend keeps it from being built");
        return Standing { status, verdict: Verdict::new(State::Working, Reason::Suspended, text), step: None, look_again: None };
    }
    let build = child::build(observed.image, key, attempt, trigger);
    let name = build.name_any();
    status.reason = Reason::Building.into();
    status.build = Some(name.clone());
    let verdict = Verdict::new(State::Working, Reason::Building, format!("building {subject} ({name})"));
    Standing { status, verdict, step: Some(Step::Create(Box::new(build))), look_again: None }
}

/// The registry has no tag of main, and a branch image of the same inputs.
fn promote(mut status: VariantStatus, identical: &Identical, tag: &str) -> Standing {
    status.reason = Reason::Promoting.into();
    let text = format!("{tag} becomes a further tag of {}, which was built from the same inputs", identical.tag);
    let step = Step::Promote(Box::new(identical.clone()), tag.to_owned());
    Standing { status, verdict: Verdict::new(State::Working, Reason::Promoting, text), step: Some(step), look_again: Some(PROMOTED) }
}

fn in_progress(mut status: VariantStatus, build: &ImageBuild) -> Standing {
    let said = build.status.as_ref().and_then(|s| condition::find(&s.conditions, "Succeeded"));
    let reason = said.map_or(Reason::BuildQueued.as_str(), |c| c.reason.as_str());
    let detail = said.map_or("the build has not begun", |c| c.message.as_str());
    reason.clone_into(&mut status.reason);
    status.build = Some(build.name_any());
    let subject = subject(&status);
    // Its place in the line changes with every build that ends: it stands with the build alone.
    let verdict = if build.status.as_ref().is_some_and(|status| status.queue_position.is_some()) {
        Verdict::new(
            State::Working,
            Reason::BuildQueued,
            format!("{subject} waits for its turn: kubectl get ibuild {} -o wide", build.name_any()),
        )
    } else {
        Verdict::new(State::Working, Reason::Building, format!("building {subject} ({}): {detail}", build.name_any()))
    };
    Standing { status, verdict, step: None, look_again: None }
}

fn good(mut status: VariantStatus) -> Standing {
    let text = format!("{} is in the registry", subject(&status));
    status.reason = Reason::UpToDate.into();
    Standing { status, verdict: Verdict::new(State::Good, Reason::UpToDate, text), step: None, look_again: None }
}

fn subject(status: &VariantStatus) -> String {
    tag::subject(status.tag.as_deref(), status.commit.as_deref().unwrap_or_default(), status.variant)
}

fn refused(variant: Variant, refusal: &Refusal, status: &VariantStatus) -> Verdict {
    let state = if refusal.transient { State::Retrying } else { State::Stuck };
    let stays = status.last_good_tag.as_deref().map_or_else(String::new, |tag| format!(". Last good image {tag} stays"));
    Verdict::new(state, refusal.reason, format!("{variant}: {}{stays}", refusal.message))
}

/// The worst variant speaks for the image; where all are well, they are named together.
fn summary(observed: &Observed<'_>, standings: &[Standing]) -> Verdict {
    let rank = |standing: &&Standing| match standing.verdict.state {
        State::Stuck => 3,
        State::Retrying => 2,
        State::Working => 1,
        State::Good => 0,
    };
    match standings.iter().max_by_key(rank) {
        Some(worst) if worst.verdict.state != State::Good => worst.verdict.clone(),
        Some(_) => {
            let tags: Vec<&str> = standings.iter().filter_map(|s| s.status.tag.as_deref()).collect();
            let text = format!("{} in the registry, built from {} on main", tags.join(" and "), short(observed.touch));
            Verdict::new(State::Good, Reason::UpToDate, text)
        }
        None => Verdict::new(
            State::Stuck,
            Reason::NoBuildFile,
            format!(
                "{} has no file for the variants in spec.variants: add a Dockerfile or default.nix, or change spec.variants",
                observed.resolved.path
            ),
        ),
    }
}

fn previous(image: &ContainerImage, variant: Variant) -> Option<&VariantStatus> {
    image.status.as_ref()?.variants.iter().find(|status| status.variant == variant)
}

/// What was known of the same image: one of the same tag, or of the same touch while the tag is not known.
fn same_image<'a>(previous: Option<&'a VariantStatus>, status: &VariantStatus) -> Option<&'a VariantStatus> {
    previous.filter(|known| if status.tag.is_some() { known.tag == status.tag } else { known.commit == status.commit })
}

fn last_good(previous: Option<&VariantStatus>) -> Option<String> {
    let previous = previous?;
    if previous.digest.is_some() { previous.tag.clone() } else { previous.last_good_tag.clone() }
}

fn handled_rebuild(image: &ContainerImage) -> Option<&str> {
    image.status.as_ref()?.last_handled_rebuild_at.as_deref()
}

/// Reason, message and whether it may pass, of an ended build whose tag is not in the registry.
fn failure(state: &ImageBuildStatus) -> (String, String, bool) {
    let said = condition::find(&state.conditions, "Succeeded");
    match said {
        Some(condition) if condition.status == "False" => {
            (condition.reason.clone(), condition.message.trim_end_matches('.').to_owned(), state.transient.unwrap_or(false))
        }
        _ => (Reason::TagMissing.into(), "the tag was pushed and is no longer in the registry".to_owned(), true),
    }
}

fn builds_this(build: &ImageBuild, variant: Variant, commit: &str) -> bool {
    let status = build.status.as_ref();
    let at = status.and_then(|s| s.commit.as_deref()).or(build.spec.commit.as_deref());
    let of = status.and_then(|s| s.variant).or(build.spec.variant);
    at == Some(commit) && of == Some(variant)
}

fn finished<'a>(observed: &'a Observed<'_>, of: &VariantStatus) -> Option<&'a Arc<ImageBuild>> {
    observed
        .builds
        .iter()
        .filter(|build| pushed(build) && build.status.as_ref().is_some_and(|s| s.variant == Some(of.variant) && s.tag == of.tag))
        .min_by_key(|b| ended(b))
}

/// Whether it gave an image.
pub(super) fn pushed(build: &ImageBuild) -> bool {
    build.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, "Succeeded"))
}

/// When it ended.
pub(super) fn ended(build: &ImageBuild) -> Option<Time> {
    build.status.as_ref()?.completed_at.clone()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
