//! What nix builds: every form of an image, the nixpkgs, and a container with both files.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use mainstay_crds::{ContainerImage, ImageBuild, Variant};
use mainstay_e2e::world::{DEFAULT_NIX, dockerfile};
use serde_json::json;
use support::{because, ended, is_ready, short, succeeded, world};

/// The default.nix that stands alone, with `head` before its derivation, and `end` instead of the line that makes the archive.
fn expression(head: &str, end: &str) -> String {
    DEFAULT_NIX.replacen("derivation {", &format!("{head} derivation {{"), 1).replacen(ARCHIVE, end, 1)
}

/// How it makes a Docker archive.
const ARCHIVE: &str = "tar -cf $out config.json layer.tar manifest.json";

/// As `streamLayeredImage` does: a program that writes the archive.
const STREAM: &str = r#"tar -cf image.tar config.json layer.tar manifest.json
    { echo '#!/bin/sh'; echo 'base64 -d <<END'; base64 image.tar; echo END; } > $out
    chmod +x $out"#;

/// A directory with an OCI layout.
const LAYOUT: &str = r#"mkdir -p $out/blobs/sha256
    put() { hash=$(sha256sum "$1" | cut -c1-64); size=$(stat -c %s "$1"); cp "$1" $out/blobs/sha256/$hash; }
    described() { printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s}' "$1" "$hash" "$size"; }
    put layer.tar; layer=$(described layer.v1.tar)
    put config.json; config=$(described config.v1+json)
    printf '{"schemaVersion":2,"config":%s,"layers":[%s]}' "$config" "$layer" > manifest; put manifest
    printf '{"schemaVersion":2,"manifests":[%s]}' "$(described manifest.v1+json)" > $out/index.json
    echo '{"imageLayoutVersion":"1.0.0"}' > $out/oci-layout"#;

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn what_nix_builds_is_told_apart_by_looking() {
    let world = world("nixforms").await.unwrap();
    let floating = expression("let pkgs = import <nixpkgs> { }; in", ARCHIVE);
    let files = [
        ("containers/stream/default.nix", expression("", STREAM)),
        ("containers/layout/default.nix", expression("", LAYOUT)),
        ("containers/floating/default.nix", floating),
    ];
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (*path, Some(text.as_str()))).collect();
    let commit = world.commit("main", &files).await.unwrap();
    world.source(json!({})).await.unwrap();
    for name in ["stream", "layout", "floating"] {
        world.image(name, json!({})).await.unwrap();
    }
    for name in ["stream", "layout", "floating"] {
        let image: ContainerImage = world.until(name, "is ready", is_ready).await.unwrap();
        let variant = image.status.unwrap().variants.remove(0);
        assert_eq!((variant.variant, variant.tag), (Variant::Nix, Some(format!("v1.0-{}-nix", short(&commit)))));
        let pinned = variant.nixpkgs.map(|nixpkgs| (nixpkgs.pinned, nixpkgs.message.unwrap_or_default()));
        match name {
            "floating" => assert!(pinned.is_some_and(|(pinned, message)| !pinned && message.contains("<nixpkgs>"))),
            _ => assert_eq!(pinned, None, "{name}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_version_that_no_file_says_is_evaluated_in_the_build() {
    let world = world("evaluated").await.unwrap();
    let nix = DEFAULT_NIX.replacen("  version = \"1.0\";\n", "", 1);
    let files = [("containers/hello/default.nix", Some(nix.as_str())), ("containers/nobody/default.nix", Some(nix.as_str()))];
    let commit = world.commit("main", &files).await.unwrap();
    world.source(json!({})).await.unwrap();
    for name in ["hello", "nobody"] {
        world.image(name, json!({})).await.unwrap();
    }
    let image: ContainerImage = world.until("hello", "is ready", is_ready).await.unwrap();
    let status = image.status.unwrap();
    let (tag, variant) = (format!("v2.12.1-{}-nix", short(&commit)), &status.variants[0]);
    assert_eq!((variant.tag.as_ref(), variant.version.as_deref()), (Some(&tag), Some("2.12.1")));
    assert_eq!(variant.wanted.as_ref().map(|wanted| &wanted.tag), Some(&tag), "pins may name it");
    let build = world.api::<ImageBuild>().get(variant.build.as_deref().unwrap()).await.unwrap();
    assert_eq!((succeeded(&build).1.as_str(), build.status.unwrap().tag), ("Pushed", Some(tag.clone())));

    // A build by hand of what is there finds it under the version that it has.
    world.build("again", json!({"image": "hello", "commit": commit, "variant": "nix"})).await.unwrap();
    let again: ImageBuild = world.until("again", "has ended", ended).await.unwrap();
    assert_eq!((succeeded(&again).1.as_str(), again.status.unwrap().tag), ("AlreadyExists", Some(tag)));

    let bad: ContainerImage = world.until("nobody", "has failed", because("BuildFailed")).await.unwrap();
    let failure = bad.status.unwrap().variants.remove(0).last_failure.unwrap();
    assert_eq!(failure.reason, "VersionNotFound");
    assert!(failure.message.contains("nobody.version"), "{}", failure.message);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_change_of_either_file_builds_both_variants() {
    let world = world("bothfiles").await.unwrap();
    // Without a version of its own it takes the Dockerfile's.
    let nix = DEFAULT_NIX.replacen("  version = \"1.0\";\n", "", 1);
    let (file, default) = ("containers/both/Dockerfile", "containers/both/default.nix");
    world.commit("main", &[(file, Some(&dockerfile("1.0", "RUN true"))), (default, Some(nix.as_str()))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("both", json!({})).await.unwrap();
    world.until::<ContainerImage>("both", "is ready", is_ready).await.unwrap();
    let changed = nix.replacen("made by nix", "made anew by nix", 1);
    for change in [(file, dockerfile("1.1", "RUN true")), (default, changed)] {
        let commit = world.commit("main", &[(change.0, Some(change.1.as_str()))]).await.unwrap();
        let tag = format!("v1.1-{}", short(&commit));
        let both = |image: &ContainerImage| {
            let variants = image.status.as_ref().map(|s| s.variants.as_slice()).unwrap_or_default();
            let mut tags: Vec<_> = variants.iter().filter(|v| v.digest.is_some()).filter_map(|v| v.tag.clone()).collect();
            tags.sort();
            is_ready(image) && tags == [tag.clone(), format!("{tag}-nix")]
        };
        world.until::<ContainerImage>("both", "has both variants of the change", both).await.unwrap();
    }
}
