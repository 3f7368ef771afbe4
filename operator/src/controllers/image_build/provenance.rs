//! What the operator says of a build: the predicate of its provenance (SLSA provenance 1). `push` adds the image and the end. Pure.

use mainstay_crds::{BuildSettings, ImageBuildStatus, Nixpkgs};
use serde_json::{Value, json};

/// What the fields of a build mean: docs/provenance.md.
const BUILD_TYPE: &str = "https://mainstay.dev/build/v1";

/// Who builds: whoever holds this cluster.
const BUILDER: &str = "https://mainstay.dev/operator/v1";

/// Everything that is known before the build begins.
pub(super) struct About<'a> {
    pub(super) url: &'a str,
    pub(super) status: &'a ImageBuildStatus,
    pub(super) settings: Option<&'a BuildSettings>,
    pub(super) engine_image: &'a str,
    /// Namespace, name and UID of the ImageBuild.
    pub(super) build: (&'a str, &'a str, &'a str),
}

/// The predicate.
pub(super) fn predicate(about: &About<'_>) -> Value {
    let status = about.status;
    let (namespace, name, uid) = about.build;
    let mut external = json!({
        "repository": about.url,
        "commit": status.commit,
        "path": status.path,
        "variant": status.variant,
    });
    let settings = [
        ("version", status.version.as_ref().map(|version| json!(version))),
        ("target", about.settings.and_then(|settings| settings.target.as_ref()).map(|target| json!(target))),
        ("args", about.settings.filter(|settings| !settings.args.is_empty()).map(|settings| json!(settings.args))),
    ];
    if let Some(external) = external.as_object_mut() {
        external.extend(settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    let mut dependencies = vec![
        json!({"uri": format!("git+{}", about.url), "digest": {"gitCommit": status.commit}}),
        json!({"uri": format!("docker://{}", about.engine_image), "name": "engine"}),
    ];
    dependencies.extend(status.nixpkgs.as_ref().filter(|nixpkgs| nixpkgs.pinned).map(pinned));
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": {"engine": status.engine, "origin": status.origin, "trigger": status.trigger},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"mainstay": env!("CARGO_PKG_VERSION")}},
            "metadata": {"invocationId": format!("{namespace}/{name}/{uid}"), "startedOn": status.admitted_at},
        },
    })
}

/// nixpkgs as a dependency. Its hash is nix' own, of the unpacked tree, so that it is no digest of a file.
fn pinned(nixpkgs: &Nixpkgs) -> Value {
    let mut dependency = json!({"name": "nixpkgs", "annotations": {"pinnedBy": nixpkgs.from}});
    let parts = [
        ("/uri", nixpkgs.uri.clone().map(Value::from)),
        ("/digest", nixpkgs.revision.as_ref().map(|revision| json!({"gitCommit": revision}))),
        ("/annotations/nixHash", nixpkgs.hash.clone().map(Value::from)),
    ];
    for (place, value) in parts.into_iter().filter_map(|(place, value)| Some((place, value?))) {
        let (parent, key) = place.rsplit_once('/').unwrap_or_default();
        if let Some(parent) = dependency.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.insert(key.to_owned(), value);
        }
    }
    dependency
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_commit_the_inputs_and_the_builder() {
        let status: ImageBuildStatus = serde_saphyr::from_str(
            "{commit: 3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887, path: containers/cv, variant: dockerfile, version: '1.0', engine: buildkit, \
             origin: Main, trigger: Commit, admittedAt: '2026-11-26T03:00:00Z'}",
        )
        .unwrap();
        let settings: BuildSettings = serde_saphyr::from_str("{target: run, args: {A: b}}").unwrap();
        let about = About {
            url: "https://git.example/ops.git",
            status: &status,
            settings: Some(&settings),
            engine_image: "r/buildkit:1",
            build: ("ops", "cv-3b9e0d1", "uid"),
        };
        insta::assert_yaml_snapshot!(predicate(&about));
    }

    #[test]
    fn a_pinned_nixpkgs_is_a_dependency_and_one_that_floats_is_not() {
        let said = |nixpkgs: &str| {
            let status: ImageBuildStatus = serde_saphyr::from_str(&format!("{{variant: nix, nixpkgs: {nixpkgs}}}")).unwrap();
            let about = About { url: "u", status: &status, settings: None, engine_image: "r/nix:1", build: ("ops", "cv", "uid") };
            predicate(&about).pointer("/buildDefinition/resolvedDependencies/2").cloned()
        };
        let pinned = said("{pinned: true, from: flake.lock, uri: 'github:NixOS/nixpkgs', revision: ac62194c, hash: sha256-x}");
        let wanted = json!({"name": "nixpkgs", "uri": "github:NixOS/nixpkgs", "digest": {"gitCommit": "ac62194c"},
            "annotations": {"pinnedBy": "flake.lock", "nixHash": "sha256-x"}});
        assert_eq!(pinned, Some(wanted));
        assert_eq!(said("{pinned: false, from: default.nix, message: m}"), None);
    }
}
