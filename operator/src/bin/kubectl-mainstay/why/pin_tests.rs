use super::super::State::{Missing, Ok as Holds, Waiting};
use super::super::idle::idle;
use super::*;
use mainstay_crds::SourceRepository;

fn object<K: serde::de::DeserializeOwned>(name: &str, spec: &str, status: &str) -> K {
    let text = format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: n}}, spec: {spec}, status: {status}}}");
    serde_saphyr::from_str(&text).unwrap()
}

fn ready(status: &str, reason: &str) -> String {
    let one = |type_: &str, status: &str| {
        format!(
            "{{type: {type_}, status: '{status}', reason: {reason}, message: what is wrong, lastTransitionTime: '2026-11-24T12:00:00Z'}}"
        )
    };
    let stalled = if status == "False" { format!(", {}", one("Stalled", "True")) } else { String::new() };
    format!("conditions: [{}{stalled}]", one("Ready", status))
}

fn source() -> SourceRepository {
    object("ops", "{url: 'https://g/x', registry: {prefix: r/t}}", &format!("{{{}, head: '3333333000'}}", ready("True", "Fetched")))
}

fn of(status: &str, reason: &str, spec: &str, rest: &str) -> Chain {
    let pin: ManifestPin = object("all", spec, &format!("{{{}, observedCommit: '3333333000'{rest}}}", ready(status, reason)));
    chain(&pin, &Seen { sources: vec![source()], ..Seen::default() })
}

fn place_of(reason: &str) -> String {
    format!(
        ", upToDate: 1/1, pins: [{{path: a.yaml, field: image, image: cv, variant: dockerfile, tag: v1-2222222, class: main, reason: {reason}, \
         wanted: v1-3333333, running: '1/1', message: the place}}]"
    )
}

#[test]
fn a_complete_chain() {
    let chain = of("True", "UpToDate", "{}", &format!("{}, lastCommit: '4444444'", place_of("UpToDate")));
    let told: Vec<String> = chain.links.iter().map(|link| format!("{}: {}", link.name, link.text)).collect();
    assert_eq!(
        told,
        [
            "commit: main of ops is at 3333333",
            "places: 1 in the manifests at 3333333",
            "wanted: every image has its tag from main in the registry",
            "written: 1/1 as they should be; last commit 4444444",
            "running: 1 of 1 pods run v1-2222222"
        ]
    );
    assert_eq!((chain.state, chain.first), (Holds, None));
}

#[test]
fn what_is_behind_says_what_it_waits_for() {
    let dry = of("True", "DryRun", "{write: DryRun}", &place_of("Behind"));
    assert_eq!((dry.state, dry.first), (Missing, Some("written")));
    let request = ", pullRequest: {number: 1, url: 'https://g/x/pulls/1', state: Open}";
    let open = of("True", "PullRequestOpen", "{write: PullRequest}", &format!("{}{request}", place_of("Behind")));
    let todo = open.links.iter().find_map(|link| link.todo.clone());
    assert_eq!((open.first, todo.as_deref()), (Some("written"), Some("merge https://g/x/pulls/1")));
    let soon = of("Unknown", "Behind", "{}", &place_of("Behind"));
    assert_eq!((soon.state, soon.first), (Waiting, Some("written")));
}

#[test]
fn an_image_that_is_missing_is_named() {
    let chain = of("Unknown", "NoMainImage", "{}", &place_of("NoMainImage"));
    assert_eq!((chain.state, chain.first), (Waiting, Some("wanted")));
    let chain = of("False", "NotFromMain", "{}", &place_of("Violation"));
    assert_eq!(chain.first, Some("wanted"));
    assert!(chain.links[2].todo.as_deref().unwrap().ends_with("see kubectl mainstay why cv"), "{chain:?}");
}

#[test]
fn every_reason_is_told_by_a_link_with_what_to_do() {
    let reasons = idle(Place::ManifestPin);
    assert!(reasons.len() > 35, "{reasons:?}");
    for reason in reasons {
        for rest in [String::new(), place_of("UpToDate")] {
            let chain = of("False", reason, "{}", &rest);
            let told = chain.links.iter().find(|link| link.text.contains("what is wrong")).unwrap_or_else(|| panic!("{reason}: {chain:?}"));
            assert!(told.text.starts_with(reason) && told.todo.is_some(), "{told:?}");
            assert_eq!((chain.state, chain.first), (Missing, Some(told.name)), "{reason}: {chain:?}");
        }
    }
}
