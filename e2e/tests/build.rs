//! From a commit to a tagged image.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use mainstay_crds::{ContainerImage, ImageBuild, Origin, SourceRepository, Trigger, Variant};
use mainstay_e2e::world::{DEFAULT_NIX, dockerfile};
use serde_json::json;
use support::{because, ended, is_ready, ready, short, succeeded, world};

const REVISION: &str = "org.opencontainers.image.revision";

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_commit_becomes_a_labelled_image_and_the_next_commit_the_next() {
    let world = world("happy").await.unwrap();
    // A registry that outlives the story has tags of earlier tellings.
    let before = world.lab.registry().tags(&world.repository("cv")).await.unwrap();
    let first =
        world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0.3", "LABEL own=kept\nRUN echo built")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();

    let tag = format!("v1.0.3-{}", short(&first));
    let status = image.status.unwrap();
    assert_eq!(status.latest.as_deref(), Some(tag.as_str()));
    assert_eq!(status.engines.as_deref(), Some("buildkit"));
    assert_eq!(status.short_head.as_deref(), Some(short(&first)));
    assert_eq!(status.observed_generation, image.metadata.generation);
    let variant = &status.variants[0];
    assert_eq!((variant.commit.as_deref(), variant.variant), (Some(first.as_str()), Variant::Dockerfile));
    let manifest = world.lab.registry().manifest(&world.repository("cv"), &tag).await.unwrap().unwrap();
    assert_eq!(variant.digest.as_deref(), Some(manifest.digest.as_str()));
    let labels = world.lab.registry().labels(&world.repository("cv"), &tag).await.unwrap();
    assert_eq!(labels.get(REVISION), Some(&first));
    assert_eq!(labels.get("org.opencontainers.image.version").map(String::as_str), Some("1.0.3"));
    assert_eq!(labels.get("own").map(String::as_str), Some("kept"));
    let manifest = manifest.content;
    assert_eq!(manifest["annotations"][REVISION], first.as_str());

    let build: ImageBuild = world.until(variant.build.as_deref().unwrap(), "has ended", ended).await.unwrap();
    let built = build.status.unwrap();
    assert_eq!((built.origin, built.trigger), (Some(Origin::Main), Some(Trigger::Commit)));
    assert!(built.duration.is_some() && built.node.is_some() && built.pod.is_some());

    // A commit that does not touch the container makes nothing; one that does makes the next tag.
    world.commit("main", &[("README.md", Some("words"))]).await.unwrap();
    let second = world.commit("main", &[("containers/cv/extra", Some("x"))]).await.unwrap();
    let tag = format!("v1.0.3-{}", short(&second));
    world.until::<ContainerImage>("cv", "has the next tag", |i| i.status.as_ref().unwrap().latest.as_deref() == Some(&tag)).await.unwrap();
    let mut tags = world.lab.registry().tags(&world.repository("cv")).await.unwrap();
    // What is attached to an image lies under a tag too where the registry has no referrers.
    tags.retain(|tag| !before.contains(tag) && !tag.starts_with("sha256-"));
    tags.sort();
    let mut wanted = vec![format!("v1.0.3-{}", short(&first)), tag];
    wanted.sort();
    assert_eq!(tags, wanted);
    assert_eq!(world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn discovery_makes_the_images_and_inputs_count() {
    let world = world("discovery").await.unwrap();
    let nix = include_str!("../ops-repo/containers/nettest/default.nix");
    let script = include_str!("../ops-repo/containers/nettest/nettest.sh");
    world
        .commit(
            "main",
            &[
                ("containers/both/Dockerfile", Some(&dockerfile("0.4.0", "RUN true"))),
                ("containers/both/default.nix", Some(nix)),
                ("containers/both/nettest.sh", Some(script)),
                ("containers/Upper/Dockerfile", Some(&dockerfile("1", ""))),
                ("containers/empty/README", Some("no build file")),
                ("containers/README.md", Some("not a container")),
            ],
        )
        .await
        .unwrap();
    world.source(json!({"discovery": "Create"})).await.unwrap();
    let image: ContainerImage = world.until("both", "is ready", is_ready).await.unwrap();
    let status = image.status.unwrap();
    assert_eq!(status.variants.len(), 2);
    assert!(status.latest.unwrap().ends_with("(+1 variant)"));
    let repository: SourceRepository =
        world.until("ops", "is fetched", |r: &SourceRepository| r.status.as_ref().is_some_and(|s| s.containers == Some(1))).await.unwrap();
    let skipped: Vec<_> = repository.status.unwrap().skipped.into_iter().map(|s| (s.path, s.reason)).collect();
    assert_eq!(
        skipped,
        [("containers/Upper".to_owned(), "NameInvalid".to_owned()), ("containers/empty".to_owned(), "NoBuildFile".to_owned())]
    );

    world.image("both", json!({"sourceRef": {"name": "ops"}, "inputs": ["shared"], "variants": ["dockerfile"]})).await.unwrap();
    let input = world.commit("main", &[("shared/motd", Some("x"))]).await.unwrap();
    let tag = format!("v0.4.0-{}", short(&input));
    world
        .until::<ContainerImage>("both", "follows its input", |i| i.status.as_ref().unwrap().latest.as_deref() == Some(&tag))
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_branch_is_built_by_hand_and_frozen() {
    let world = world("branch").await.unwrap();
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    world.lab.forge().create_branch(&world.name, "my-branch", "main").await.unwrap();
    let commit = world.commit("my-branch", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN sleep 3")))]).await.unwrap();
    world.build("cv-try1", json!({"image": "cv", "ref": "my-branch"})).await.unwrap();
    world
        .until::<ImageBuild>("cv-try1", "is frozen", |b| b.status.as_ref().is_some_and(|s| s.commit.as_deref() == Some(&commit)))
        .await
        .unwrap();
    world.commit("my-branch", &[("containers/cv/Dockerfile", Some(&dockerfile("1.2", "RUN true")))]).await.unwrap();
    let build: ImageBuild = world.until("cv-try1", "has ended", ended).await.unwrap();
    assert_eq!(succeeded(&build).1, "Pushed", "{:?}", succeeded(&build));
    let status = build.status.clone().unwrap();
    assert_eq!(
        (status.origin, status.trigger, status.commit.as_deref()),
        (Some(Origin::Branch), Some(Trigger::Manual), Some(commit.as_str()))
    );
    assert_eq!(status.tag.unwrap(), format!("v1.1-{}", short(&commit)));
    assert_eq!(build.owner_references()[0].name, "cv", "it goes when its image goes");
    // The image of main is what it was.
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();
    assert!(image.status.unwrap().latest.unwrap().starts_with("v1.0-"));

    // The same commit again is success without a second image; a branch that is not there is an end.
    world.build("cv-try2", json!({"image": "cv", "commit": commit})).await.unwrap();
    let again: ImageBuild = world.until("cv-try2", "has ended", ended).await.unwrap();
    assert_eq!(succeeded(&again).1, "AlreadyExists");
    assert_eq!(again.status.as_ref().unwrap().digest, status.digest);
    assert!(again.status.unwrap().job.is_none());
    world.build("cv-try3", json!({"image": "cv", "ref": "nobody"})).await.unwrap();
    let none: ImageBuild = world.until("cv-try3", "has ended", ended).await.unwrap();
    assert_eq!(succeeded(&none).1, "RefNotFound");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_tag_of_another_commit_is_never_moved() {
    let world = world("conflict").await.unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    let tag = format!("v1.0-{}", short(&commit));
    let registry = world.lab.registry();
    // Somebody else's image under our tag.
    world.source(json!({})).await.unwrap();
    world.image("seed", json!({"path": "containers/cv", "image": world.lab.image(&world.repository("seed"))})).await.unwrap();
    world.until::<ContainerImage>("seed", "is ready", is_ready).await.unwrap();
    let seeded = registry.manifest(&world.repository("seed"), &tag).await.unwrap().unwrap();
    let mut foreign = seeded.content.clone();
    foreign["annotations"][REVISION] = "4".repeat(40).into();
    let foreign = serde_json::to_vec(&foreign).unwrap();
    let retagged = world.repository("seed");
    let digest = registry.manifest(&retagged, &tag).await.unwrap().unwrap().digest;
    registry.delete(&retagged, &digest).await.unwrap();
    registry.put_manifest(&retagged, &tag, &seeded.media_type, foreign).await.unwrap();
    let before = registry.manifest(&retagged, &tag).await.unwrap().unwrap().digest;

    let image: ContainerImage = world.until("seed", "sees the conflict", because("TagConflict")).await.unwrap();
    let (status, _, message) = ready(&image);
    assert_eq!(status, "False");
    assert!(message.contains(&"4".repeat(40)) && message.contains("Tags are never moved"), "{message}");
    world.build("by-hand", json!({"image": "seed", "commit": commit})).await.unwrap();
    let build: ImageBuild = world.until("by-hand", "has ended", ended).await.unwrap();
    assert_eq!(succeeded(&build).1, "TagConflict");
    assert_eq!(registry.manifest(&retagged, &tag).await.unwrap().unwrap().digest, before);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn the_build_step_sees_the_tree_and_no_credential() {
    let world = world("secrets").await.unwrap();
    // The build itself looks for what it must not find, and shows what it has.
    let look = "COPY . /context\nRUN set -e; find /context | sort; test ! -e /context/.git; env; test ! -e /var/run/secrets; test ! -e /credentials";
    world
        .commit(
            "main",
            &[
                ("containers/cv/Dockerfile", Some(&dockerfile("1.0", look))),
                ("containers/cv/a/b", Some("x")),
                ("secret.txt", Some("outside the context")),
            ],
        )
        .await
        .unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();
    let name = image.status.unwrap().variants[0].build.clone().unwrap();
    let pods = world.api::<Pod>().list(&ListParams::default().labels(&format!("mainstay.dev/build={name}"))).await.unwrap();
    let pod = &pods.items[0];
    let spec = pod.spec.clone().unwrap();
    assert_eq!((spec.automount_service_account_token, spec.host_users), (Some(false), Some(false)));
    let mounts = |name: &str| -> Vec<String> {
        let all = spec.init_containers.iter().flatten().chain(&spec.containers);
        let container = all.into_iter().find(|c| c.name == name).unwrap();
        let mut mounts: Vec<String> = container.volume_mounts.iter().flatten().map(|m| m.name.clone()).collect();
        mounts.sort();
        mounts
    };
    assert_eq!(mounts("source"), ["git-credentials", "workspace"]);
    assert_eq!(mounts("build"), ["engine", "workspace"]);
    assert_eq!(mounts("push"), ["registry-credentials", "workspace"]);
    let text = serde_json::to_string(pod).unwrap();
    for secret in [world.lab.registry().password(), world.lab.forge().token()] {
        assert!(!text.contains(secret), "a credential stands in the pod");
        let log = world.lab.run("kubectl", &["-n", &world.name, "logs", &pod.name_any(), "--all-containers"]).await.unwrap();
        assert!(!log.contains(secret), "a credential stands in the log");
        assert!(log.contains("/context/a/b"), "{log}");
    }
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn an_image_carries_signed_provenance() {
    let world = world("provenance").await.unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    world
        .apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "provenance"}, "stringData": {"signing.key": key}}))
        .await
        .unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({"provenance": {"signingKeySecretRef": {"name": "provenance"}}})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let image: ContainerImage = world.until("cv", "is ready", is_ready).await.unwrap();
    let variant = image.status.unwrap().variants[0].clone();
    let registry = world.lab.registry();
    // The registry of the lab has no API for referrers: they are listed under a tag.
    let digest = variant.digest.unwrap();
    let all = registry.manifest(&world.repository("cv"), &digest.replacen(':', "-", 1)).await.unwrap().unwrap().content;
    let attached = &all["manifests"][0];
    assert_eq!(attached["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    let artifact = registry.manifest(&world.repository("cv"), attached["digest"].as_str().unwrap()).await.unwrap().unwrap().content;
    assert_eq!(artifact["subject"]["digest"], digest.as_str());
    let bundle = registry.blob(&world.repository("cv"), artifact["layers"][0]["digest"].as_str().unwrap()).await.unwrap();
    let statement = BASE64.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let statement: serde_json::Value = serde_json::from_slice(&statement).unwrap();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.trim_start_matches("sha256:"));
    let built = &statement["predicate"]["buildDefinition"];
    assert_eq!(built["resolvedDependencies"][0]["digest"]["gitCommit"], commit.as_str());
    assert_eq!(
        (&built["externalParameters"]["path"], &built["internalParameters"]["engine"]),
        (&json!("containers/cv"), &json!("buildkit"))
    );
    // The build step, which runs what a stranger wrote, does not see the key.
    let pods = world.api::<Pod>().list(&ListParams::default()).await.unwrap();
    let spec = pods.items[0].spec.clone().unwrap();
    let sees = |mounts: Option<Vec<k8s_openapi::api::core::v1::VolumeMount>>| {
        mounts.unwrap_or_default().iter().any(|m| m.name == "provenance-key")
    };
    assert!(sees(spec.containers[0].volume_mounts.clone()));
    assert!(!spec.init_containers.unwrap().into_iter().any(|step| sees(step.volume_mounts)));
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_build_that_runs_says_at_which_step_it_is() {
    let world = world("progress").await.unwrap();
    let lines = "RUN echo begun && sleep 20\nRUN API_TOKEN=hunter2 sleep 15";
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", lines)))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    let build = |image: &ContainerImage| image.status.as_ref()?.variants.first()?.build.clone();
    let image: ContainerImage = world.until("cv", "has a build", |image| build(image).is_some()).await.unwrap();
    let name = build(&image).unwrap();
    for step in ["2/3 RUN echo begun && sleep 20", "3/3 RUN API_TOKEN=*** sleep 15"] {
        let at = |build: &ImageBuild| build.status.as_ref().is_some_and(|status| status.progress.as_deref() == Some(step));
        world.until(&name, &format!("is at {step}"), at).await.unwrap();
    }
    let build: ImageBuild = world.until(&name, "has ended", ended).await.unwrap();
    assert_eq!(build.status.unwrap().progress, None);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn the_same_commit_gives_the_same_image_another_time() {
    let world = world("again").await.unwrap();
    let file = dockerfile("1.0", "RUN mkdir /made && echo words > /made/file\nCOPY notes /notes");
    let files = [
        ("containers/cv/Dockerfile", Some(file.as_str())),
        ("containers/cv/notes", Some("words")),
        ("containers/nix/default.nix", Some(DEFAULT_NIX)),
    ];
    world.commit("main", &files).await.unwrap();
    world.source(json!({})).await.unwrap();
    for container in ["cv", "nix"] {
        let mut digests = Vec::new();
        // One after the other: what takes the time of its making is another image.
        for time in ["first", "second"] {
            let name = format!("{container}-{time}");
            let image = world.lab.image(&world.repository(&name));
            world.image(&name, json!({"path": format!("containers/{container}"), "image": image})).await.unwrap();
            let image: ContainerImage = world.until(&name, "is ready", is_ready).await.unwrap();
            let variant = image.status.unwrap().variants.remove(0);
            let build = world.api::<ImageBuild>().get(variant.build.as_deref().unwrap()).await.unwrap();
            assert_eq!(succeeded(&build).1, "Pushed", "{name} was built");
            digests.push(variant.digest.unwrap());
        }
        assert_eq!(digests[0], digests[1], "{container}");
    }
}
