use super::super::columns::latest;
use super::*;
use k8s_openapi::jiff::SignedDuration;
use mainstay_crds::SupersededBuilds;

const TOUCH: &str = "3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887";
const TAG: &str = "v1.0.3-3b9e0d1";

fn image(extra: &str) -> ContainerImage {
    serde_saphyr::from_str(&format!(
        "{{apiVersion: mainstay.dev/v1alpha1, kind: ContainerImage, metadata: {{name: cv, namespace: ops, uid: u}}, spec: {{}}, {extra}}}"
    ))
    .unwrap()
}

fn resolved() -> ResolvedImage {
    ResolvedImage { source: "ops".into(), path: "containers/cv".into(), image: "r/cv".into() }
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn tagged(found: Found) -> Vec<Wanted> {
    vec![Wanted {
        variant: Variant::Dockerfile,
        version: Ok(Tagged { version: Some("1.0.3".into()), tag: Some(TAG.into()), found }),
        wanted: None,
        identical: None,
        nixpkgs: None,
    }]
}

fn decide(image: &ContainerImage, variants: Vec<Wanted>, builds: &[Arc<ImageBuild>]) -> Outcome {
    plan(&Observed { image, resolved: &resolved(), touch: TOUCH, variants, builds, now: now() })
}

/// The ImageBuild that `decide` creates, ended `ago` seconds before now.
fn ended(image: &ContainerImage, status: &str, reason: &str, transient: bool, ago: i64, earlier: &[Arc<ImageBuild>]) -> Arc<ImageBuild> {
    let outcome = decide(image, tagged(Found::Absent), earlier);
    let [Step::Create(build)] = &outcome.steps[..] else { panic!("{:?}", outcome.steps) };
    let mut build = build.as_ref().clone();
    let verdict = Verdict::new(if status == "True" { State::Good } else { State::Stuck }, Reason::parse(reason).unwrap(), "it broke");
    let at = Time(now() - SignedDuration::from_secs(ago));
    build.status = Some(ImageBuildStatus {
        commit: Some(TOUCH.into()),
        variant: Some(Variant::Dockerfile),
        tag: Some(TAG.into()),
        conditions: condition::conditions(&[], "Succeeded", &verdict, None, &at),
        completed_at: Some(at),
        transient: Some(transient),
        ..ImageBuildStatus::default()
    });
    Arc::new(build)
}

#[test]
fn a_missing_tag_makes_one_build_with_a_name_that_is_always_the_same() {
    let first = decide(&image(""), tagged(Found::Absent), &[]);
    let again = decide(&image(""), tagged(Found::Absent), &[]);
    let ([Step::Create(a)], [Step::Create(b)]) = (&first.steps[..], &again.steps[..]) else { panic!() };
    assert_eq!(a, b);
    assert_eq!((first.verdict.state, first.verdict.reason.as_str()), (State::Working, "Building"));
    assert_eq!(a.spec.commit.as_deref(), Some(TOUCH));
    assert_eq!(a.owner_references()[0].name, "cv");
}

#[test]
fn a_build_that_runs_is_not_made_again() {
    let outcome = decide(&image(""), tagged(Found::Absent), &[]);
    let [Step::Create(build)] = &outcome.steps[..] else { panic!() };
    let running = Arc::new(build.as_ref().clone());
    assert!(decide(&image(""), tagged(Found::Absent), &[running]).steps.is_empty());
}

#[test]
fn a_tag_of_our_commit_needs_nothing() {
    let found = Found::Present { digest: "sha256:ab".into(), revision: Some(TOUCH.into()) };
    let outcome = decide(&image(""), tagged(found), &[]);
    assert!(outcome.steps.is_empty());
    assert_eq!((outcome.verdict.state, outcome.verdict.reason.as_str()), (State::Good, "UpToDate"));
    assert_eq!(latest(&outcome.variants).0.as_deref(), Some(TAG));
}

#[test]
fn a_tag_of_another_commit_is_never_moved() {
    for revision in [None, Some("4".repeat(40))] {
        let found = Found::Present { digest: "sha256:ab".into(), revision };
        let outcome = decide(&image(""), tagged(found), &[]);
        assert!(outcome.steps.is_empty());
        assert_eq!((outcome.verdict.state, outcome.verdict.reason.as_str()), (State::Stuck, "TagConflict"));
        assert!(outcome.verdict.message.contains("sha256:ab"), "{}", outcome.verdict.message);
    }
}

#[test]
fn a_failure_that_stays_waits_for_an_input() {
    let failed = ended(&image(""), "False", "BuildFailed", false, 10_000, &[]);
    let outcome = decide(&image(""), tagged(Found::Absent), std::slice::from_ref(&failed));
    assert!(outcome.steps.is_empty());
    assert_eq!((outcome.verdict.state, outcome.verdict.reason.as_str()), (State::Stuck, "BuildFailed"));
    assert!(outcome.verdict.message.contains("it broke"), "{}", outcome.verdict.message);
    assert_eq!(outcome.variants[0].last_failure.as_ref().unwrap().build, failed.name_any());

    for changed in
        ["spec: {build: {target: other}}", "metadata: {name: cv, namespace: ops, uid: u, annotations: {mainstay.dev/rebuild-at: x}}"]
    {
        let text = if changed.starts_with("spec") {
            format!("{{apiVersion: a, kind: b, metadata: {{name: cv, namespace: ops, uid: u}}, {changed}}}")
        } else {
            format!("{{apiVersion: a, kind: b, {changed}, spec: {{}}}}")
        };
        let image: ContainerImage = serde_saphyr::from_str(&text).unwrap();
        let outcome = decide(&image, tagged(Found::Absent), std::slice::from_ref(&failed));
        assert!(matches!(&outcome.steps[..], [Step::Create(_)]), "{changed}");
    }
}

#[test]
fn a_failure_that_may_pass_is_tried_again_after_a_growing_pause() {
    let first = ended(&image(""), "False", "Evicted", true, 10, &[]);
    let early = decide(&image(""), tagged(Found::Absent), std::slice::from_ref(&first));
    assert!(early.steps.is_empty());
    assert_eq!(early.look_again, Some(Duration::from_secs(20)));
    assert_eq!(early.verdict.state, State::Retrying);
    assert!(early.verdict.message.contains("12:00:20 UTC"), "{}", early.verdict.message);

    let first = ended(&image(""), "False", "Evicted", true, 31, &[]);
    let second = ended(&image(""), "False", "Evicted", true, 31, std::slice::from_ref(&first));
    assert_ne!(first.name_any(), second.name_any());
    let waiting = decide(&image(""), tagged(Found::Absent), &[first, second]);
    assert!(waiting.steps.is_empty(), "the second pause is a minute");
}

#[test]
fn an_image_deleted_from_the_registry_is_built_again() {
    let pushed = ended(&image(""), "True", "Pushed", false, 40, &[]);
    let outcome = decide(&image(""), tagged(Found::Absent), &[pushed]);
    assert!(matches!(&outcome.steps[..], [Step::Create(_)]));
}

#[test]
fn suspended_means_no_new_build() {
    let image: ContainerImage =
        serde_saphyr::from_str("{apiVersion: a, kind: b, metadata: {name: cv, namespace: ops, uid: u}, spec: {suspend: true}}").unwrap();
    let outcome = decide(&image, tagged(Found::Absent), &[]);
    assert!(outcome.steps.is_empty());
    assert_eq!(outcome.verdict.reason, "Suspended");
}

#[test]
fn the_worst_variant_speaks_and_the_other_is_still_built() {
    let mut variants = tagged(Found::Absent);
    let refusal = Refusal { reason: Reason::VersionNotFound, message: "add a version".into(), transient: false };
    variants.push(Wanted { variant: Variant::Nix, version: Err(refusal), wanted: None, identical: None, nixpkgs: None });
    let outcome = decide(&image(""), variants, &[]);
    assert!(matches!(&outcome.steps[..], [Step::Create(_)]));
    assert_eq!(outcome.verdict.reason, "VersionNotFound");
    assert!(outcome.verdict.message.starts_with("nix: add a version"), "{}", outcome.verdict.message);
}

#[test]
fn a_silent_registry_takes_nothing_back() {
    let found = Found::Present { digest: "sha256:ab".into(), revision: Some(TOUCH.into()) };
    let mut image = image("");
    image.status =
        Some(mainstay_crds::ContainerImageStatus { variants: decide(&image, tagged(found), &[]).variants, ..Default::default() });
    let refusal = Refusal { reason: Reason::RegistryUnavailable, message: "503".into(), transient: true };
    let outcome = decide(&image, tagged(Found::Unknown(refusal)), &[]);
    assert_eq!(outcome.variants[0].digest.as_deref(), Some("sha256:ab"));
    assert_eq!((outcome.verdict.state, outcome.steps.len()), (State::Retrying, 0));
}

#[test]
fn old_builds_go_and_the_newest_stay() {
    let image = image("");
    let mut builds: Vec<Arc<ImageBuild>> = Vec::new();
    for n in 0..6 {
        let mut build = ended(&image, "True", "Pushed", false, 100_000, &[]).as_ref().clone();
        build.metadata.name = Some(format!("b{n}"));
        build.status.as_mut().unwrap().completed_at = Some(Time(now() + SignedDuration::from_secs(n)));
        builds.push(Arc::new(build));
    }
    let found = Found::Present { digest: "sha256:ab".into(), revision: Some(TOUCH.into()) };
    let outcome = decide(&image, tagged(found), &builds);
    let mut gone: Vec<String> =
        outcome.steps.iter().map(|s| if let Step::Delete(b) = s { b.name_any() } else { panic!("{s:?}") }).collect();
    gone.sort();
    assert_eq!(gone, ["b0", "b1", "b2"]);
}

#[test]
fn retention_counts_each_outcome_and_variant_and_leaves_what_people_made() {
    let image: ContainerImage = serde_saphyr::from_str(
        "{apiVersion: a, kind: b, metadata: {name: cv, namespace: ops, uid: u}, spec: {retention: {successful: 2, failed: 1}}}",
    )
    .unwrap();
    let mut builds: Vec<Arc<ImageBuild>> = Vec::new();
    for (name, good, variant, by_hand) in [
        ("good0", true, Variant::Dockerfile, false),
        ("good1", true, Variant::Dockerfile, false),
        ("good2", true, Variant::Dockerfile, false),
        ("bad0", false, Variant::Dockerfile, false),
        ("bad1", false, Variant::Dockerfile, false),
        ("nix0", true, Variant::Nix, false),
        ("nix1", true, Variant::Nix, false),
        ("hand0", false, Variant::Dockerfile, true),
        ("hand1", false, Variant::Dockerfile, true),
    ] {
        let (status, reason) = if good { ("True", "Pushed") } else { ("False", "BuildFailed") };
        let mut build = ended(&image, status, reason, false, 100_000 - i64::try_from(builds.len()).unwrap(), &[]).as_ref().clone();
        build.metadata.name = Some(name.to_owned());
        build.spec.variant = Some(variant);
        if by_hand {
            build.metadata.labels = None;
        }
        builds.push(Arc::new(build));
    }
    let found = Found::Present { digest: "sha256:ab".into(), revision: Some(TOUCH.into()) };
    let outcome = decide(&image, tagged(found), &builds);
    let gone: Vec<String> = outcome.steps.iter().map(|s| if let Step::Delete(b) = s { b.name_any() } else { panic!("{s:?}") }).collect();
    assert_eq!(gone, ["good0", "bad0"]);
}

#[test]
fn a_branch_image_of_the_same_inputs_becomes_mains_without_a_build() {
    let image_ = Image { digest: "sha256:ab".into(), media_type: "m".into(), size: 1, revision: Some("9".repeat(40)) };
    let identical = Identical { tag: "v1.0.3-9999999".into(), commit: "9".repeat(40), image: image_ };
    let with = || vec![Wanted { identical: Some(identical.clone()), ..tagged(Found::Absent).remove(0) }];
    let outcome = decide(&image(""), with(), &[]);
    let [Step::Promote(what, tag)] = &outcome.steps[..] else { panic!("{:?}", outcome.steps) };
    assert_eq!((what.tag.as_str(), tag.as_str()), ("v1.0.3-9999999", TAG));
    assert_eq!((outcome.verdict.state, outcome.verdict.reason.as_str()), (State::Working, "Promoting"));
    let suspended: ContainerImage =
        serde_saphyr::from_str("{apiVersion: a, kind: b, metadata: {name: cv, namespace: ops, uid: u}, spec: {suspend: true}}").unwrap();
    assert!(decide(&suspended, with(), &[]).steps.is_empty());
}

/// A build of ours for another commit than the touch, with this status.
fn outdated(status: &str) -> Arc<ImageBuild> {
    let text = "{apiVersion: a, kind: b, metadata: {name: cv-old, namespace: ops, labels: {mainstay.dev/family: f}}, \
         spec: {image: cv, commit: 4444444444444444444444444444444444444444, variant: dockerfile}, status: STATUS}";
    Arc::new(serde_saphyr::from_str(&text.replace("STATUS", status)).unwrap())
}

#[test]
fn a_build_that_main_has_left_behind_is_ended_as_the_image_wants_it() {
    let queued = outdated("{queuePosition: 3}");
    let runs = outdated("{admittedAt: '2026-11-24T11:59:00Z'}");
    let over = outdated("{completedAt: '2026-11-24T11:59:00Z'}");
    let by_hand = {
        let mut build = queued.as_ref().clone();
        build.metadata.labels = None;
        Arc::new(build)
    };
    let all = [queued.clone(), runs.clone(), over, by_hand];
    let ended = |policy: Option<SupersededBuilds>| {
        let mut object = image("");
        object.spec.superseded_builds = policy;
        let steps = decide(&object, tagged(Found::Absent), &all).steps;
        steps.into_iter().filter_map(|step| if let Step::Supersede(build) = step { Some(build) } else { None }).collect::<Vec<_>>()
    };
    assert_eq!(ended(None), *std::slice::from_ref(&queued));
    assert_eq!(ended(Some(SupersededBuilds::CancelAll)), [queued, runs]);
    assert!(ended(Some(SupersededBuilds::Finish)).is_empty());
}

#[test]
fn a_cancelled_build_is_not_made_again_and_is_no_failure_of_the_container() {
    let object = image("");
    let build = ended(&object, "False", "Cancelled", false, 10, &[]);
    let outcome = decide(&object, tagged(Found::Absent), &[build]);
    assert!(outcome.steps.is_empty());
    assert_eq!((outcome.verdict.state, outcome.verdict.reason.as_str()), (State::Stuck, "BuildCancelled"));
}

#[test]
fn a_build_that_waits_says_where_to_look() {
    let object = image("");
    let outcome = decide(&object, tagged(Found::Absent), &[]);
    let [Step::Create(build)] = &outcome.steps[..] else { panic!() };
    let mut build = build.as_ref().clone();
    build.status = Some(ImageBuildStatus { queue_position: Some(3), ..ImageBuildStatus::default() });
    let verdict = decide(&object, tagged(Found::Absent), &[Arc::new(build.clone())]).verdict;
    assert_eq!((verdict.state, verdict.reason.as_str()), (State::Working, "BuildQueued"));
    assert!(verdict.message.contains(&build.name_any()), "{}", verdict.message);
}

#[test]
fn one_touch_builds_every_variant() {
    let mut variants = tagged(Found::Absent);
    let tag = format!("{TAG}-nix");
    variants.push(Wanted {
        variant: Variant::Nix,
        version: Ok(Tagged { version: Some("1.0.3".into()), tag: Some(tag.clone()), found: Found::Absent }),
        wanted: None,
        identical: None,
        nixpkgs: Some(Nixpkgs { from: "default.nix".into(), ..Nixpkgs::default() }),
    });
    let outcome = decide(&image(""), variants, &[]);
    let made: Vec<_> = outcome
        .steps
        .iter()
        .map(|step| match step {
            Step::Create(build) => (build.spec.variant, build.spec.commit.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(made, [(Some(Variant::Dockerfile), Some(TOUCH)), (Some(Variant::Nix), Some(TOUCH))]);
    assert!(!outcome.variants[1].nixpkgs.as_ref().unwrap().pinned, "it is in the status");
}

#[test]
fn a_version_that_is_evaluated_is_built_once_and_known_by_its_commit() {
    let unknown = |found| {
        let version = Ok(Tagged { version: None, tag: None, found });
        vec![Wanted { variant: Variant::Nix, version, wanted: None, identical: None, nixpkgs: None }]
    };
    let outcome = decide(&image(""), unknown(Found::Absent), &[]);
    let [Step::Create(build)] = &outcome.steps[..] else { panic!("{:?}", outcome.steps) };
    assert!(outcome.verdict.message.contains("the nix image of 3b9e0d1"), "{}", outcome.verdict.message);
    let running = Arc::new(build.as_ref().clone());
    assert!(decide(&image(""), unknown(Found::Absent), &[running]).steps.is_empty(), "it is being built");

    // A registry that does not answer takes nothing away from what was known of this commit, and gives nothing to another.
    for (commit, known) in [(TOUCH, Some(TAG)), ("1111111", None)] {
        let was = image(&format!(
            "status: {{variants: [{{variant: nix, reason: UpToDate, commit: '{commit}', tag: {TAG}, version: '1.0.3', digest: 'sha256:ab'}}]}}"
        ));
        let silent = Refusal { reason: Reason::RegistryUnavailable, message: "no answer".into(), transient: true };
        let outcome = decide(&was, unknown(Found::Unknown(silent)), &[]);
        assert_eq!(outcome.variants[0].tag.as_deref(), known);
        assert!(outcome.steps.is_empty());
    }
}
