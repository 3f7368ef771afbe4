use super::*;
use crate::domain::graph::{Graph, Id, id};

/// The line of main: 1 … 5, and 9 beside it.
fn commit_id(n: u8) -> Id {
    id(&format!("{n}{n}{n}{n}{n}{n}{n}000000000000000000000000000000000")).unwrap()
}

fn graph() -> Graph {
    let mut graph = Graph::default();
    for n in 1..=5 {
        graph.learn(commit_id(n), &(1..n).last().map(commit_id).into_iter().collect::<Vec<_>>());
    }
    graph.learn(commit_id(9), &[commit_id(2)]);
    graph.set_branches(vec![("main".into(), commit_id(5)), ("feature".into(), commit_id(9))], "main");
    graph
}

fn at(n: u8) -> Option<Commit> {
    graph().find(&commit_id(n))
}

fn tag(version: &str, n: u8) -> String {
    format!("v{version}-{n}{n}{n}{n}{n}{n}{n}")
}

fn wanted(version: &str, n: u8) -> Wanted {
    let commit = hex::encode(commit_id(n));
    Wanted {
        tag: WantedTag { tag: tag(version, n), digest: "sha256:new".into(), commit },
        version: version.into(),
        commit: at(n),
        current: true,
    }
}

/// A pin from main that is behind: 2 is pinned, 4 is the touch and wanted.
fn stale() -> Pin {
    Pin {
        path: "apps/cv.yaml".into(),
        line: Some(3),
        field: "images[0].newTag".into(),
        image: "cv".into(),
        variant: Variant::Dockerfile,
        version: "1.0".into(),
        tag: tag("1.0", 2),
        digest: None,
        takes_digest: false,
        class: Class::Main,
        class_reason: "its commit is on main",
        commit: at(2),
        current: false,
        exists: Some(true),
        wanted: Some(wanted("1.1", 4)),
        waiting: "ContainerImage cv: v1.1-4444444 Building".into(),
        changed: None,
        rival: None,
    }
}

fn branch() -> Pin {
    Pin { class: Class::Branch, class_reason: "its commit is on a branch only", commit: at(9), tag: tag("1.0", 9), ..stale() }
}

fn by(ours: bool, backward: bool, touched_since: bool) -> Option<Changed> {
    let at = Time("2026-11-25T12:00:00Z".parse().unwrap());
    Some(Changed { commit: hex::encode(commit_id(5)), by: "Ada".into(), at, ours, backward, touched_since })
}

fn spec(text: &str) -> ManifestPinSpec {
    serde_saphyr::from_str(text).unwrap()
}

fn decide(text: &str, pin: Pin) -> Decision {
    plan(&spec(text), &[pin], false).remove(0)
}

fn stand(text: &str, pin: Pin) -> (Stand, Option<String>) {
    let decision = decide(text, pin);
    (decision.stand, decision.write.map(|(tag, _)| tag.tag))
}

const ANY: &str = "{paths: [a]}";

#[test]
fn a_pin_from_main_follows_the_newest_image_from_main() {
    assert_eq!(stand(ANY, stale()), (Stand::Behind, Some(tag("1.1", 4))));
}

#[test]
fn a_pin_that_is_current_stays_as_it_is() {
    let later = Pin { tag: tag("1.1", 5), commit: at(5), current: true, ..stale() };
    assert_eq!(stand(ANY, later.clone()), (Stand::UpToDate, None), "built later, of the same inputs");
    let newer = Pin { wanted: Some(wanted("1.1", 5)), tag: tag("1.1", 4), commit: at(4), current: true, ..stale() };
    assert_eq!(stand(ANY, newer), (Stand::UpToDate, None), "no churn for a newer build of the same inputs");
}

#[test]
fn nothing_is_pinned_that_the_registry_has_not_confirmed() {
    let decision = decide(ANY, Pin { wanted: None, ..stale() });
    assert_eq!((decision.stand, &decision.write), (Stand::NoMainImage, &None));
    assert!(decision.message.unwrap().contains("v1.1-4444444 Building"));
    let overtaken = Wanted { current: false, ..wanted("1.1", 3) };
    assert_eq!(stand(ANY, Pin { wanted: Some(overtaken), ..stale() }), (Stand::NoMainImage, None), "chosen for an older main");
}

#[test]
fn a_pin_is_never_moved_backward() {
    let ahead = Pin { tag: tag("1.2", 5), commit: at(5), current: false, ..stale() };
    assert_eq!(stand(ANY, ahead), (Stand::NotNewer, None));
    let rewritten = Wanted { commit: None, ..wanted("1.1", 4) };
    assert_eq!(stand(ANY, Pin { wanted: Some(rewritten), ..stale() }), (Stand::NotNewer, None), "what is wanted is not on main any more");
}

#[test]
fn a_persons_rollback_is_a_hold_until_the_container_is_touched_again() {
    let held = Pin { changed: by(false, true, false), ..stale() };
    let decision = decide(ANY, held.clone());
    assert_eq!((decision.stand, &decision.write), (Stand::Held, &None));
    assert!(decision.message.unwrap().contains("Ada put it back to v1.0-2222222 in 5555555"));
    assert_eq!(plan(&spec(ANY), &[held], true)[0].stand, Stand::Behind, "lifted by a person");
    for (changed, why) in [
        (by(false, true, true), "touched since"),
        (by(true, true, false), "our own commit is no rollback"),
        (by(false, false, false), "moved forward, but not far enough"),
        (None, "nothing known"),
    ] {
        assert_eq!(stand(ANY, Pin { changed, ..stale() }).0, Stand::Behind, "{why}");
    }
}

#[test]
fn a_hold_in_the_spec_is_a_hold() {
    assert_eq!(stand("{paths: [a], hold: [cv]}", stale()), (Stand::Held, None));
    assert_eq!(stand("{paths: [a], hold: [web]}", stale()).0, Stand::Behind);
}

#[test]
fn a_branch_image_is_reported_and_repaired_only_where_the_spec_says_so() {
    let reported = decide(ANY, branch());
    assert_eq!((reported.stand, &reported.write, reported.violation), (Stand::Violation, &None, true));
    assert!(reported.message.unwrap().contains("v1.0-9999999 is [branch]: its commit is on a branch only"));
    assert_eq!(stand("{paths: [a], violations: Repair}", branch()), (Stand::Behind, Some(tag("1.1", 4))));
    let unknown = Pin { class: Class::Unknown, class_reason: "no branch has its commit", commit: None, ..branch() };
    assert_eq!(stand("{paths: [a], violations: Repair}", unknown.clone()).0, Stand::Behind, "a squashed branch that was deleted");
    assert_eq!(stand(ANY, unknown).0, Stand::Violation);
    let nothing = Pin { wanted: None, ..branch() };
    assert_eq!(stand("{paths: [a], violations: Repair}", nothing), (Stand::Violation, None), "there is nothing to repair it with");
}

#[test]
fn a_tag_that_is_gone_is_a_violation_and_moves_forward_only() {
    let gone = Pin { exists: Some(false), ..stale() };
    let decision = decide(ANY, gone);
    assert_eq!((decision.stand, decision.violation), (Stand::Behind, true));
    let current = Pin { exists: Some(false), current: true, tag: tag("1.1", 5), commit: at(5), ..stale() };
    let decision = decide(ANY, current);
    assert_eq!((decision.stand, &decision.write), (Stand::Violation, &None));
    assert!(decision.message.unwrap().contains("not in the registry any more"));
    assert_eq!(stand(ANY, Pin { exists: None, ..stale() }).0, Stand::Behind, "a registry that is silent proves nothing");
}

#[test]
fn with_the_policy_version_a_mere_rebuild_is_no_deploy() {
    let same = Pin { version: "1.1".into(), ..stale() };
    assert_eq!(stand("{paths: [a], policy: Version}", same.clone()), (Stand::SameVersion, None));
    assert_eq!(stand("{paths: [a], policy: Version}", stale()).0, Stand::Behind);
    assert_eq!(stand("{paths: [a], policy: Commit}", same).0, Stand::Behind);
}

#[test]
fn two_writers_for_one_place_are_a_conflict() {
    let decision = decide(ANY, Pin { rival: Some("ops/other".into()), ..stale() });
    assert_eq!((decision.stand, &decision.write), (Stand::Conflict, &None));
    assert!(decision.message.unwrap().contains("ops/other"));
}

#[test]
fn a_digest_follows_the_tag_it_belongs_to() {
    let digest = |text: &str, pin: Pin| decide(text, pin).write.map(|(tag, digest)| (tag.tag, digest));
    let pinned = Pin { digest: Some("sha256:old".into()), takes_digest: true, ..stale() };
    assert_eq!(digest(ANY, pinned.clone()), Some((tag("1.1", 4), true)), "an old digest would lie");
    assert_eq!(digest(ANY, stale()), Some((tag("1.1", 4), false)));
    assert_eq!(digest("{paths: [a], digest: true}", Pin { takes_digest: true, ..stale() }), Some((tag("1.1", 4), true)));
    let current = Pin { tag: tag("1.1", 4), commit: at(4), current: true, ..pinned };
    assert_eq!(digest(ANY, current.clone()), Some((tag("1.1", 4), true)), "the tag is right and its digest is not");
    assert_eq!(digest(ANY, Pin { digest: Some("sha256:new".into()), ..current.clone() }), None);
    assert_eq!(digest(ANY, Pin { wanted: Some(wanted("1.1", 5)), ..current }), None, "the digest of another tag says nothing");
}

fn said(text: &str, pins: &[Pin]) -> (State, Reason, String) {
    let verdict = verdict(pins, &plan(&spec(text), pins, false), 1, 0);
    (verdict.state, verdict.reason, verdict.message)
}

#[test]
fn the_worst_pin_speaks_for_all() {
    let good = Pin { current: true, tag: tag("1.1", 4), commit: at(4), ..stale() };
    let (state, reason, message) = said(ANY, &[good.clone(), branch()]);
    assert_eq!((state, reason.as_str()), (State::Stuck, "NotFromMain"));
    assert!(message.starts_with("apps/cv.yaml:3: v1.0-9999999 is [branch]"), "{message}");
    let (state, reason, _) = said(ANY, &[good.clone(), Pin { wanted: None, ..stale() }]);
    assert_eq!((state, reason.as_str()), (State::Working, "NoMainImage"));
    let (state, reason, _) = said(ANY, std::slice::from_ref(&good));
    assert_eq!((state, reason.as_str()), (State::Good, "UpToDate"));
    let (state, reason, message) = said(ANY, &[good.clone(), Pin { changed: by(false, true, false), ..stale() }]);
    assert_eq!((state, reason.as_str()), (State::Good, "Held"));
    assert!(message.contains("Ada"), "{message}");
    let (state, reason, message) = said(ANY, &[]);
    assert_eq!((state, reason.as_str()), (State::Stuck, "NoMatchInFiles"));
    assert!(message.contains("spec.paths"), "{message}");
}

#[test]
fn one_image_with_two_tags_is_told() {
    let good = Pin { current: true, tag: tag("1.1", 4), commit: at(4), ..stale() };
    let other = Pin { tag: tag("1.1", 5), commit: at(5), path: "apps/web.yaml".into(), ..good.clone() };
    let (_, _, message) = said(ANY, &[good, other]);
    assert!(message.contains("pinned with different tags: cv as v1.1-4444444 and v1.1-5555555"), "{message}");
}
