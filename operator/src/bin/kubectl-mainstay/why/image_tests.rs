use super::super::State::{Missing, Ok as Holds, Waiting};
use super::super::idle::idle;
use super::*;
use crate::table::Paint;
use mainstay_crds::{Reason, SourceRepository};

fn object<K: serde::de::DeserializeOwned>(name: &str, spec: &str, status: &str) -> K {
    let text = format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: n}}, spec: {spec}, status: {status}}}");
    serde_saphyr::from_str(&text).unwrap()
}

fn conditions(status: &str, reason: &str, message: &str) -> String {
    let one = |type_: &str, status: &str| {
        format!("{{type: {type_}, status: '{status}', reason: {reason}, message: '{message}', lastTransitionTime: '2026-11-24T12:00:00Z'}}")
    };
    let stalled = if status == "False" { format!(", {}", one("Stalled", "True")) } else { String::new() };
    format!("conditions: [{}{stalled}]", one("Ready", status))
}

fn source() -> SourceRepository {
    let status = format!(
        "{{{}, head: '3333333000', resolved: {{branch: main, containersPath: containers, interval: 60s}}}}",
        conditions("True", "Fetched", "m")
    );
    object("ops", "{url: 'https://g/x', registry: {prefix: r/t}}", &status)
}

/// An image with this `Ready` and these fields of its only variant.
fn image(ready: (&str, &str, &str), variant: &str) -> ContainerImage {
    let (status, reason, message) = ready;
    let status = format!(
        "{{{}, resolved: {{source: ops, path: containers/cv, image: r/t/cv}}, variants: [{{variant: dockerfile, commit: '2222222000', {variant}}}]}}",
        conditions(status, reason, message)
    );
    object("cv", "{}", &status)
}

const BUILT: &str = "reason: UpToDate, tag: v1-2222222, digest: 'sha256:ab', build: cv-2222222-x, duration: 7s, \
     wanted: {tag: v1-2222222, digest: 'sha256:ab', commit: '2222222000'}";

fn manifest_pin(ready: (&str, &str), spec: &str, pin: &str) -> ManifestPin {
    let pins = if pin.is_empty() {
        String::new()
    } else {
        format!("{{path: apps/cv.yaml, line: 5, field: image, image: cv, variant: dockerfile, tag: v1-2222222, class: main, {pin}}}")
    };
    object("all", spec, &format!("{{{}, pins: [{pins}]}}", conditions(ready.0, ready.1, "of the pin")))
}

fn seen(pins: Vec<ManifestPin>) -> Seen {
    Seen { pins, sources: vec![source()], ..Seen::default() }
}

fn only(image: &ContainerImage, seen: &Seen) -> Chain {
    let mut all = chains(image, seen);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn states(chain: &Chain) -> Vec<(&'static str, State)> {
    chain.links.iter().map(|link| (link.name, link.state)).collect()
}

fn todo(chain: &Chain) -> &str {
    let first = chain.links.iter().find(|link| Some(link.name) == chain.first).unwrap();
    first.todo.as_deref().unwrap_or_default()
}

#[test]
fn a_complete_chain() {
    let pin = manifest_pin(("True", "UpToDate"), "{}", "reason: UpToDate, running: '2/2', application: 'cv: Synced at 3333333, Healthy'");
    let chain = only(&image(("True", "UpToDate", "m"), BUILT), &seen(vec![pin]));
    assert_eq!(
        chain.render(Paint(false)),
        "cv (dockerfile) in n\n  \
           ok       commit    main of ops is at 3333333\n  \
           ok       touch     2222222 is the newest commit on main that changed containers/cv or its inputs\n  \
           ok       wanted    main asks for v1-2222222\n  \
           ok       registry  it has v1-2222222, sha256:ab\n  \
           ok       build     cv-2222222-x made it in 7s\n  \
           ok       pin       apps/cv.yaml:5 names v1-2222222 [main]\n  \
           ok       running   2 of 2 pods run v1-2222222; Application cv: Synced at 3333333, Healthy\n\
         complete: every link holds\n"
    );
    assert_eq!((chain.state, chain.first), (Holds, None));
}

#[test]
fn a_suspended_image_without_a_tag_breaks_at_its_build() {
    let pin = manifest_pin(("Unknown", "NoMainImage"), "{}", "reason: NoMainImage, message: no image yet");
    let chain = only(&image(("Unknown", "Suspended", "spec.suspend keeps it"), "reason: Suspended, tag: v2-2222222"), &seen(vec![pin]));
    assert_eq!(
        states(&chain),
        [
            ("commit", Holds),
            ("touch", Holds),
            ("wanted", Holds),
            ("registry", Waiting),
            ("build", Missing),
            ("pin", Waiting),
            ("running", Missing)
        ]
    );
    assert_eq!((chain.first, todo(&chain)), (Some("build"), "kubectl mainstay resume cv"));
    let text = chain.render(Paint(false));
    assert!(
        text.contains("\n> missing  build     Suspended: spec.suspend keeps it\n           to do:    kubectl mainstay resume cv\n"),
        "{text}"
    );
    assert!(text.ends_with("broken at build\n"), "{text}");
}

#[test]
fn a_failed_build_and_one_under_way() {
    let failed = image(
        ("False", "BuildFailed", "cv-x failed: exit code 1"),
        "reason: OOMKilled, tag: v2-2222222, lastFailure: {build: cv-x, reason: OOMKilled, message: m}",
    );
    let chain = only(&failed, &seen(Vec::new()));
    assert_eq!(chain.first, Some("build"));
    assert!(todo(&chain).contains("kubectl mainstay logs cv"), "{}", todo(&chain));
    let running = image(("Unknown", "Building", "step 2 of 3"), "reason: Building, tag: v2-2222222, build: cv-x");
    let pin = manifest_pin(("Unknown", "NoMainImage"), "{}", "reason: NoMainImage, running: '2/2'");
    let chain = only(&running, &seen(vec![pin.clone()]));
    assert_eq!((chain.state, chain.first), (Waiting, Some("registry")));
    assert!(chain.render(Paint(false)).contains("waiting  build     Building: step 2 of 3\n"));
    // A tag that is not known yet is no reason to wait: the build tells it.
    let running = image(("Unknown", "Building", "step 2 of 3"), "reason: Building, build: cv-x");
    let chain = only(&running, &seen(vec![pin]));
    assert_eq!(states(&chain)[2], ("wanted", Holds));
    assert_eq!((chain.state, chain.first), (Waiting, Some("registry")));
}

#[test]
fn the_variants_do_not_answer_for_each_other() {
    let status = format!(
        "{{{}, resolved: {{source: ops, path: containers/cv, image: r/t/cv}}, variants: [\
         {{variant: dockerfile, commit: '2222222000', reason: VersionNotFound}}, \
         {{variant: nix, commit: '2222222000', {BUILT}}}]}}",
        conditions("False", "VersionNotFound", "dockerfile: the Dockerfile has no line")
    );
    let chains = chains(&object("cv", "{}", &status), &seen(Vec::new()));
    let at = |chain: &Chain| chain.first;
    assert_eq!((chains[0].of.as_str(), at(&chains[0])), ("cv (dockerfile)", Some("wanted")));
    assert_eq!((chains[1].of.as_str(), at(&chains[1])), ("cv (nix)", Some("pin")));
}

#[test]
fn every_reason_of_a_pin_says_what_to_do_or_that_it_comes() {
    let all: std::collections::BTreeSet<&str> =
        Reason::ALL.iter().filter(|reason| reason.uses().iter().any(|one| one.place == Place::Pin)).map(|reason| reason.as_str()).collect();
    let mut tried = std::collections::BTreeSet::new();
    for (ready, spec, pin, state, words) in [
        (("True", "UpToDate"), "{}", "reason: UpToDate", Holds, ""),
        (("True", "Held"), "{}", "reason: Held, message: a put it back", Holds, "a put it back"),
        (("True", "UpToDate"), "{policy: Version}", "reason: SameVersion", Holds, "SameVersion"),
        (("Unknown", "Behind"), "{}", "reason: Behind, wanted: v2-3333333", Waiting, "v2-3333333 is wanted"),
        (("False", "PushRejected"), "{}", "reason: Behind, wanted: v2-3333333", Missing, "PushRejected: of the pin"),
        (("True", "DryRun"), "{write: DryRun}", "reason: Behind, wanted: v2-3333333", Missing, "kubectl mainstay pin diff all"),
        (("Unknown", "Suspended"), "{suspend: true}", "reason: Behind", Missing, "kubectl mainstay resume pin/all"),
        (("Unknown", "Suspended"), "{suspend: true}", "reason: UpToDate", Missing, "kubectl mainstay resume pin/all"),
        (("False", "SourceUnavailable"), "{}", "reason: UpToDate", Missing, "SourceUnavailable: of the pin"),
        (("Unknown", "NoMainImage"), "{}", "reason: NoMainImage, message: not built", Waiting, "not built"),
        (("False", "NotFromMain"), "{}", "reason: Violation, message: it is from a branch", Missing, "it is from a branch"),
        (("False", "PinConflict"), "{}", "reason: Conflict, message: two of them", Missing, "two of them"),
        (("False", "NotEditable"), "{}", "reason: NotEditable, message: an anchor", Missing, "an anchor"),
        (("False", "NotNewer"), "{}", "reason: NotNewer, message: backward", Missing, "backward"),
    ] {
        let object = manifest_pin(ready, spec, pin);
        tried.insert(Reason::parse(&object.status.as_ref().unwrap().pins[0].reason).unwrap().as_str());
        let link = pinned(&object, &object.status.as_ref().unwrap().pins[0], Some("v2-3333333"));
        assert_eq!(link.state, state, "{link:?}");
        let told = format!("{} {}", link.text, link.todo.clone().unwrap_or_default());
        assert!(told.contains(words), "{words}: {told}");
        assert_eq!(link.todo.is_some(), state == Missing, "{link:?}");
    }
    assert_eq!(tried, all);
}

#[test]
fn a_suspended_pin_that_names_what_is_wanted_is_well() {
    let pin = manifest_pin(("Unknown", "Suspended"), "{suspend: true}", "reason: UpToDate, running: '1/1'");
    assert_eq!(only(&image(("True", "UpToDate", "m"), BUILT), &seen(vec![pin])).state, Holds);
}

#[test]
fn what_nobody_pins_says_so() {
    let built = image(("True", "UpToDate", "m"), BUILT);
    let chain = only(&built, &seen(Vec::new()));
    assert!(chain.first == Some("pin") && todo(&chain).contains("create one"), "{chain:?}");
    let chain = only(&built, &seen(vec![manifest_pin(("False", "NoMatchInFiles"), "{}", "")]));
    assert!(chain.first == Some("pin") && todo(&chain).contains("r/t/cv:<tag>"), "{chain:?}");
}

#[test]
fn what_does_not_run_says_so() {
    let of = |pin: &str| {
        let pin = manifest_pin(("True", "UpToDate"), "{}", &format!("reason: UpToDate{pin}"));
        only(&image(("True", "UpToDate", "m"), BUILT), &seen(vec![pin]))
    };
    assert_eq!((of("").first, of("").state), (Some("running"), Missing));
    assert_eq!((of(", running: '1/2'").first, of(", running: '1/2'").state), (Some("running"), Waiting));
    assert_eq!((of(", running: '0/2'").first, of(", running: '0/2'").state), (Some("running"), Missing));
    let unsynced = of(", running: '0/2', application: 'cv: not synced yet at 1111111, Healthy'");
    assert!(unsynced.state == Waiting && todo(&unsynced).contains("sync the Application"), "{unsynced:?}");
    let unsynced = of(", application: 'cv: not synced yet at 1111111, Healthy'");
    assert!(todo(&unsynced).contains("sync the Application"), "{unsynced:?}");
}

#[test]
fn an_object_that_nobody_has_looked_at_and_a_source_that_is_missing() {
    let fresh: ContainerImage = object("cv", "{}", "{}");
    let chain = only(&fresh, &seen(Vec::new()));
    assert_eq!((chain.first, chain.state), (Some("touch"), Waiting));
    let chain = only(&fresh, &Seen::default());
    assert_eq!((chain.first, chain.state), (Some("commit"), Missing));
}

#[test]
fn every_reason_is_told_by_a_link_with_what_to_do() {
    let reasons = idle(Place::ContainerImage);
    assert!(reasons.len() > 25, "{reasons:?}");
    for reason in reasons {
        for status in ["False", "Unknown"] {
            // With an older answer in the status, and without any.
            let old = image((status, reason, "what is wrong"), BUILT);
            let new: ContainerImage = object("cv", "{}", &format!("{{{}}}", conditions(status, reason, "what is wrong")));
            for image in [old, new] {
                let pin = manifest_pin(("True", "UpToDate"), "{}", "reason: UpToDate, running: '1/1'");
                let chain = only(&image, &seen(vec![pin]));
                assert_ne!(chain.state, Holds, "{reason}: {chain:?}");
                let told =
                    chain.links.iter().find(|link| link.text.contains("what is wrong")).unwrap_or_else(|| panic!("{reason}: {chain:?}"));
                assert!(told.text.starts_with(reason), "{told:?}");
                assert_eq!(told.todo.is_some(), told.state == Missing, "{told:?}");
                assert!(status == "Unknown" || chain.first == Some(told.name), "{reason}: {chain:?}");
            }
        }
    }
}
