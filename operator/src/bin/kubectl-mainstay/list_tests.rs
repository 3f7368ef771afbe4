use super::*;
use crate::table::{Paint, Widths};

fn object<K: serde::de::DeserializeOwned>(name: &str, spec: &str, status: &str) -> K {
    let text = format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: n}}, spec: {spec}, status: {status}}}");
    serde_saphyr::from_str(&text).unwrap()
}

fn ready(status: &str, reason: &str) -> String {
    format!("conditions: [{{type: Ready, status: '{status}', reason: {reason}, message: m, lastTransitionTime: '2026-11-24T12:00:00Z'}}]")
}

fn pin(place: &str, variant: &str, tag: &str, reason: &str, running: &str) -> String {
    format!(
        "{{path: {place}, line: 8, field: image, image: cv, variant: {variant}, tag: {tag}, class: main, reason: {reason}, running: '{running}'}}"
    )
}

fn table(images: &[Image], wide: bool) -> String {
    let now = "2026-11-24T12:00:30Z".parse().unwrap();
    let mut rows = vec![titles(wide, false)];
    rows.extend(images.iter().flat_map(|image| rows_of(image, wide, now)));
    Widths::default().render(&rows, Paint(false))
}

fn rows_of(image: &Image, wide: bool, now: Timestamp) -> Vec<Vec<Cell>> {
    rows(image, wide, false, now)
}

#[test]
fn one_line_for_each_variant_with_its_own_state() {
    let status = format!(
        "{{{}, resolved: {{source: ops, path: containers/cv, image: r/t/cv}}, variants: [\
         {{variant: dockerfile, reason: OOMKilled, version: '1.1', tag: v1.1-2222222, lastGoodTag: v1.0-1111111, build: cv-2222222-x}}, \
         {{variant: nix, reason: UpToDate, version: '1.0', tag: v1.0-2222222-nix, digest: 'sha256:cd', build: cv-2222222-nix-y, \
         wanted: {{tag: v1.0-2222222-nix, digest: 'sha256:cd', commit: '2'}}, builtAt: '2026-11-24T12:00:00Z'}}]}}",
        ready("False", "BuildFailed")
    );
    let cv: ContainerImage = object("cv", "{}", &status);
    let fresh: ContainerImage = object("b", "{}", "{}");
    let pins: ManifestPin = object(
        "all",
        "{}",
        &format!(
            "{{pins: [{}, {}, {}]}}",
            pin("a.yaml", "dockerfile", "v1.0-1111111", "NoMainImage", "1/2"),
            pin("b.yaml", "dockerfile", "v1.0-1111111", "Held", "1/2"),
            pin("c.yaml", "nix", "v1.0-2222222-nix", "UpToDate", "1/2"),
        ),
    );
    let images = images(&[cv, fresh], &[pins], &[]);
    assert_eq!(
        table(&images, false),
        "NAME   VARIANT      VERSION   NEWEST [main]      PINNED                     RUNNING   STATE\n\
         b      -            -         -                  -                          -         not looked at yet\n\
         cv     dockerfile   1.1       v1.0-1111111       2: 1 Held, 1 NoMainImage   1/2       BuildFailed (OOMKilled)\n\
         cv     nix          1.0       v1.0-2222222-nix   1                          1/2       UpToDate\n"
    );
    let wide = table(&images, true);
    assert!(wide.contains("30s     cv-2222222-nix-y   c.yaml:8        r/t/cv       m\n"), "{wide}");
    assert!(wide.contains("a.yaml:8 (+1)"), "{wide}");
}

#[test]
fn a_build_in_line_shows_its_place_and_violations_are_counted() {
    let status = format!(
        "{{{}, variants: [{{variant: dockerfile, reason: Queued, tag: v1-2222222, build: cv-x}}], \
         violations: [{{at: pod n/x, tag: v1-3333333, class: branch, message: m}}]}}",
        ready("Unknown", "BuildQueued")
    );
    let build: ImageBuild = object("cv-x", "{image: cv, ref: x}", "{queuePosition: 3}");
    let images = images(&[object("cv", "{}", &status)], &[], &[build]);
    assert!(table(&images, false).contains("BuildQueued (Queued) #3, 1 not from main\n"), "{}", table(&images, false));
    assert_eq!(images[0].variants[0].build.as_ref().unwrap().queue_position, Some(3));
}

#[test]
fn the_newest_from_main_is_what_pins_name_else_what_the_registry_has() {
    let newest = |variant: &str| {
        let status = format!(
            "{{variants: [{{variant: dockerfile, reason: Building{variant}}}], tags: {{main: 1, branch: 1, unknown: 0, foreign: 0, newest: [\
             {{tag: v1-2222222-nix, class: main, reason: r}}, {{tag: v1-2222222, class: main, reason: r}}, {{tag: v1-4444444, class: branch, reason: r}}]}}}}"
        );
        images(&[object("cv", "{}", &status)], &[], &[])[0].variants[0].newest.clone().unwrap()
    };
    assert_eq!(newest(""), "v1-2222222");
    assert_eq!(newest(", wanted: {tag: v1-3333333, digest: d, commit: c}"), "v1-3333333");
}

#[test]
fn a_stale_variant_does_not_hide_a_problem_of_the_whole() {
    let status =
        format!("{{{}, variants: [{{variant: dockerfile, reason: UpToDate, tag: v1-2222222}}]}}", ready("False", "SourceUnavailable"));
    assert!(table(&images(&[object("cv", "{}", &status)], &[], &[]), false).contains("SourceUnavailable\n"));
}

#[test]
fn pods_are_counted_once_for_each_tag() {
    let of = |all: &[(&str, &str)]| {
        let pins: Vec<Pinned> = all
            .iter()
            .map(|(tag, running)| Pinned {
                manifest_pin: "all".into(),
                path: "a".into(),
                line: None,
                tag: (*tag).into(),
                class: Class::Main,
                reason: "UpToDate".into(),
                running: Some((*running).into()),
                application: None,
            })
            .collect();
        running(&pins)
    };
    assert_eq!(of(&[("a", "2/3"), ("a", "2/3"), ("b", "1/3")]).as_deref(), Some("3/3"));
    assert_eq!(of(&[("a", "nonsense")]), None);
}
