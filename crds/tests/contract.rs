//! The generated YAML is fresh, and the samples are accepted or refused as their folder says.
//! The same samples are tried against a real API server in `e2e/tests/samples.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::{collections::BTreeSet, fs, path::Path};

use mainstay_crds::{definitions, generate};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn samples(folder: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(root().join("samples").join(folder))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn complaints(yaml: &str) -> Vec<String> {
    mainstay_crds::complaints(&serde_saphyr::from_str(yaml).unwrap())
}

#[test]
fn generated_yaml_is_fresh() {
    let wanted = generate().unwrap();
    let names: BTreeSet<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
    let present: BTreeSet<String> =
        fs::read_dir(root().join("generated")).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names, present, "run `cargo crdgen`");
    for (name, yaml) in wanted {
        let on_disk = fs::read_to_string(root().join("generated").join(&name)).unwrap();
        assert!(on_disk == yaml, "crds/generated/{name} is stale: run `cargo crdgen`");
    }
}

#[test]
fn valid_samples_are_accepted() {
    for (name, yaml) in samples("valid") {
        assert_eq!(complaints(&yaml), Vec::<String>::new(), "{name}");
    }
}

/// Bounds of the plain schema (minItems, minimum) are enforced by the API server alone.
const SERVER_ONLY: [&str; 3] =
    ["containerimage-retention-zero.yaml", "containerimage-variants-empty.yaml", "sourcerepository-max-builds-zero.yaml"];

#[test]
fn invalid_samples_are_refused_with_the_words_they_expect() {
    for (name, yaml) in samples("invalid") {
        let expected = yaml.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
        let found = complaints(&yaml);
        if SERVER_ONLY.contains(&name.as_str()) {
            assert_eq!(found, Vec::<String>::new(), "{name} is refused here too: take it off the list");
            continue;
        }
        assert!(found.iter().any(|complaint| complaint.contains(expected)), "{name}: wanted {expected:?} in {found:?}");
    }
}

#[test]
fn an_image_build_cannot_change_but_for_its_end() {
    let build = |rest: &str| {
        let yaml =
            format!("{{apiVersion: mainstay.dev/v1alpha1, kind: ImageBuild, metadata: {{name: x}}, spec: {{image: cv, ref: main{rest}}}}}");
        serde_saphyr::from_str::<mainstay_crds::ImageBuild>(&yaml).unwrap()
    };
    assert!(build("").validate_cel_update(&build("")).is_ok());
    assert!(build(", cancel: true").validate_cel_update(&build("")).is_ok());
    for other in ["er", ", variant: nix"] {
        let refusal = build(other).validate_cel_update(&build("")).unwrap_err().to_string();
        assert!(refusal.contains("cannot change"), "{refusal}");
    }
    for taken_back in ["", ", cancel: false"] {
        let refusal = build(taken_back).validate_cel_update(&build(", cancel: true")).unwrap_err().to_string();
        assert!(refusal.contains("cannot be taken back"), "{refusal}");
    }
}

#[test]
fn the_commit_of_a_build_is_frozen() {
    let build = |status: &str| {
        let yaml = format!("{{apiVersion: a, kind: b, metadata: {{name: x}}, spec: {{image: cv, ref: main}}, status: {status}}}");
        serde_saphyr::from_str::<mainstay_crds::ImageBuild>(&yaml).unwrap()
    };
    let frozen = build("{commit: aaaa}");
    assert!(frozen.validate_cel_update(&build("{}")).is_ok());
    assert!(build("{commit: aaaa, tag: t}").validate_cel_update(&frozen).is_ok());
    for moved in ["{commit: bbbb}", "{}"] {
        let refusal = build(moved).validate_cel_update(&frozen).unwrap_err().to_string();
        assert!(refusal.contains("resolved once"), "{refusal}");
    }
}

#[test]
fn every_kind_has_what_kubectl_users_expect() {
    // People do not write AllowedImages.
    for crd in definitions().into_iter().filter(|crd| crd.spec.names.kind != "AllowedImages") {
        let names = &crd.spec.names;
        assert_eq!(names.categories.as_deref(), Some(&["mainstay".to_owned()][..]), "{}", names.kind);
        assert_eq!(names.short_names.as_ref().map(Vec::len), Some(1), "{}", names.kind);
        let version = &crd.spec.versions[0];
        assert!(version.subresources.as_ref().is_some_and(|s| s.status.is_some()), "{}", names.kind);
        let columns = version.additional_printer_columns.as_ref().unwrap();
        let in_default_view = columns.iter().filter(|c| c.priority.unwrap_or(0) == 0).count();
        assert!((4..=6).contains(&in_default_view), "{} has {in_default_view} columns", names.kind);
        assert_eq!(columns.last().unwrap().name, "Message", "{}", names.kind);
    }
}
