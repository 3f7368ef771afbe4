//! `mainstay push` against distribution: archives of every builder, tags that are there, archives that lie.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use mainstay::clients::registry::{Registry, Settings};
use mainstay::domain::report::Report;
use mainstay::push::{Args, run};
use serde_json::json;
use sha2::{Digest, Sha256};
use support::registry_server::Distribution;
use tempfile::TempDir;

const COMMIT: &str = "3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887";

fn sha(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // As a hostile builder would: no name is refused while writing.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What `docker save` writes, with a given diff id.
fn docker_archive(layer: &[u8], diff_id: &str) -> Vec<u8> {
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"own": "kept"}}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}).to_string();
    let manifest = json!([{"Config": "config.json", "RepoTags": null, "Layers": ["l/layer.tar"]}]).to_string();
    tar(&[("l/layer.tar", layer), ("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())])
}

/// What BuildKit writes.
fn oci_layout(layer_name: Option<&str>) -> Vec<u8> {
    let plain = tar(&[("hello", b"hello")]);
    let layer = gzip(&plain);
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha(&plain)]}}).to_string();
    let digest = layer_name.map_or_else(|| sha(&layer), str::to_owned);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(config.as_bytes()), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": layer.len()}],
    })
    .to_string();
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha(manifest.as_bytes()), "size": manifest.len()}]}).to_string();
    let blob = |digest: &str| digest.replace("sha256:", "blobs/sha256/");
    tar(&[
        ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"),
        ("index.json", index.as_bytes()),
        (&blob(&sha(manifest.as_bytes())), manifest.as_bytes()),
        (&blob(&sha(config.as_bytes())), config.as_bytes()),
        (&blob(&sha(&layer)), &layer),
    ])
}

struct World {
    server: Distribution,
    directory: TempDir,
    provenance: Option<String>,
    signing_key: Option<PathBuf>,
}

impl World {
    async fn new() -> Self {
        support::use_ring();
        Self { server: Distribution::open().await, directory: tempfile::tempdir().unwrap(), provenance: None, signing_key: None }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn push(&self, archive: &Path, tag: &str, revision: &str) -> Report {
        let log = self.directory.path().join("last-word");
        let args = Args {
            archive: archive.to_owned(),
            image: format!("{}/team/cv", self.server.endpoint),
            tag: tag.to_owned(),
            revision: revision.to_owned(),
            version: "1.0".to_owned(),
            labels: vec![("dev.mainstay.variant".to_owned(), "dockerfile".to_owned())],
            created: Some("2026-11-24T12:00:00Z".to_owned()),
            provenance: self.provenance.clone(),
            signing_key: self.signing_key.clone(),
            credentials: None,
            ca: None,
            plain_http: true,
            deadline: 20,
            termination_log: log.clone(),
        };
        run(args).await;
        Report::parse(&std::fs::read_to_string(log).unwrap()).unwrap()
    }

    fn registry(&self) -> Registry {
        Registry::new(Settings {
            endpoint: self.server.endpoint.clone(),
            plain_http: true,
            ca: None,
            credential: None,
            deadline: Duration::from_secs(10),
        })
        .unwrap()
    }
}

#[tokio::test]
async fn every_kind_of_archive_becomes_a_labelled_image() {
    let w = World::new().await;
    let layer = tar(&[("hello", b"hello")]);
    let docker = docker_archive(&layer, &sha(&layer));
    let zipped_layer = docker_archive(&gzip(&layer), &sha(&layer));
    for (tag, bytes) in
        [("oci", oci_layout(None)), ("docker", docker.clone()), ("docker-gzip", gzip(&docker)), ("layer-gzip", zipped_layer)]
    {
        let report = w.push(&w.file(tag, &bytes), tag, COMMIT).await;
        assert_eq!(report.reason, "Pushed", "{tag}: {report:?}");
        let image = w.registry().image("team/cv", tag).await.unwrap().unwrap();
        assert_eq!((Some(&image.digest), image.revision.as_deref()), (report.digest.as_ref(), Some(COMMIT)));
        let labels = w.registry().labels("team/cv", tag).await.unwrap();
        assert_eq!(labels.get("org.opencontainers.image.version").map(String::as_str), Some("1.0"));
        assert_eq!(labels.get("dev.mainstay.variant").map(String::as_str), Some("dockerfile"));
        assert_eq!(labels.contains_key("own"), tag != "oci", "the builder's own labels stay");
    }
}

#[tokio::test]
async fn the_same_archive_is_the_same_image_and_a_tag_is_never_moved() {
    let w = World::new().await;
    let layer = tar(&[("hello", b"hello")]);
    let archive = w.file("a", &docker_archive(&layer, &sha(&layer)));
    let first = w.push(&archive, "v1", COMMIT).await;
    let other_tag = w.push(&archive, "v2", COMMIT).await;
    assert_eq!(first.digest, other_tag.digest);
    let again = w.push(&w.file("b", &oci_layout(None)), "v1", COMMIT).await;
    assert_eq!((again.reason.as_str(), &again.digest), ("AlreadyExists", &first.digest));
    let foreign = w.push(&archive, "v1", &"4".repeat(40)).await;
    assert_eq!((foreign.reason.as_str(), foreign.transient), ("TagConflict", false));
    assert!(foreign.message.contains(COMMIT), "{}", foreign.message);
    assert_eq!(w.registry().image("team/cv", "v1").await.unwrap().map(|image| image.digest), first.digest);
}

#[tokio::test]
async fn an_archive_that_lies_is_refused_and_named() {
    let w = World::new().await;
    let layer = tar(&[("hello", b"hello")]);
    let traversal = json!([{"Config": "../../../etc/hostname", "RepoTags": null, "Layers": []}]).to_string();
    let two = json!([{"Config": "c", "Layers": []}, {"Config": "c", "Layers": []}]).to_string();
    for (name, bytes, words) in [
        ("diff-id", docker_archive(&layer, &sha(b"other")), "has the digest"),
        ("missing-layer", oci_layout(Some(&sha(b"other"))), "is missing"),
        ("no-digest", oci_layout(Some("sha256:../../../../etc/passwd")), "not a sha256 digest"),
        ("traversal", tar(&[("manifest.json", traversal.as_bytes())]), "is missing"),
        ("two", tar(&[("manifest.json", two.as_bytes())]), "one image"),
        ("junk", b"this is not a tar file at all, not even nearly".repeat(40), "not"),
        ("neither", tar(&[("hello", b"x")]), "neither index.json"),
    ] {
        let report = w.push(&w.file(name, &bytes), name, COMMIT).await;
        assert_eq!((report.reason.as_str(), report.transient), ("ArchiveInvalid", false), "{name}: {report:?}");
        assert!(report.message.contains(words), "{name}: {}", report.message);
        assert_eq!(w.registry().image("team/cv", name).await.unwrap(), None);
    }
    let none = w.push(Path::new("/nowhere/image.tar"), "none", COMMIT).await;
    assert!(none.message.contains("the build step left no"), "{}", none.message);
}

#[tokio::test]
async fn provenance_is_attached_before_the_tag_is_given() {
    let mut w = World::new().await;
    w.provenance = Some(r#"{"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": "b"}, "metadata": {}}}"#.to_owned());
    let archive = w.file("image.tar", &oci_layout(None));
    let digest = w.push(&archive, "plain", COMMIT).await.digest.unwrap();
    let found = w.registry().referrers("team/cv", &digest, "application/vnd.in-toto+json").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].annotations["in-toto.io/predicate-type"], "https://slsa.dev/provenance/v1");
    let labels = w.registry().labels("team/cv", "plain").await.unwrap();
    assert_eq!(labels["org.opencontainers.image.created"], "2026-11-24T12:00:00Z");

    // The same image under a key: a bundle beside the statement.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    w.signing_key = Some(w.file("signing.key", key.as_bytes()));
    assert_eq!(w.push(&archive, "signed", COMMIT).await.digest.unwrap(), digest, "provenance is beside the image, not in it");
    let found = w.registry().referrers("team/cv", &digest, "application/vnd.dev.sigstore.bundle.v0.3+json").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].annotations["dev.sigstore.bundle.predicateType"], "https://slsa.dev/provenance/v1");

    // A key that does not serve: no tag, and words that name what is wanted.
    w.signing_key = Some(w.file("wrong.key", b"nonsense"));
    let report = w.push(&archive, "unsigned", COMMIT).await;
    assert_eq!((report.reason.as_str(), report.transient), ("ProvenanceFailed", false));
    assert!(report.message.contains("P-256"), "{}", report.message);
    assert!(w.registry().image("team/cv", "unsigned").await.unwrap().is_none());
}
