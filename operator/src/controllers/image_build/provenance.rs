//! What the operator says of a build: the predicate of its provenance (SLSA provenance 1). `push` adds the image and the end. Pure.

use mainstay_crds::{BuildSettings, ImageBuildStatus};
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
        "version": status.version,
    });
    let settings = [
        ("target", about.settings.and_then(|settings| settings.target.as_ref()).map(|target| json!(target))),
        ("args", about.settings.filter(|settings| !settings.args.is_empty()).map(|settings| json!(settings.args))),
    ];
    if let Some(external) = external.as_object_mut() {
        external.extend(settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": {"engine": status.engine, "origin": status.origin, "trigger": status.trigger},
            "resolvedDependencies": [
                {"uri": format!("git+{}", about.url), "digest": {"gitCommit": status.commit}},
                {"uri": format!("docker://{}", about.engine_image), "name": "engine"},
            ],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"mainstay": env!("CARGO_PKG_VERSION")}},
            "metadata": {"invocationId": format!("{namespace}/{name}/{uid}"), "startedOn": status.admitted_at},
        },
    })
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
}
