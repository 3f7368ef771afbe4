//! `mainstay push` against distribution: archives of every builder, tags that are there, archives that lie.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use mainstay::clients::registry::{Registry, Settings};
use mainstay::domain::report::Report;
use mainstay::push::{Args, run};
use serde_json::json;
use sha2::{Digest, Sha256};
use support::proxy::Proxy;
use support::registry_server::Distribution;
use support::{noise, odd_registry};
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

/// This machine as images name it.
fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// What `docker save` writes, with given diff ids.
fn docker_archive_of(layers: &[(&[u8], &str)]) -> Vec<u8> {
    let diff_ids: Vec<&str> = layers.iter().map(|(_, diff_id)| *diff_id).collect();
    let config = json!({"architecture": arch(), "os": "linux", "config": {"Labels": {"own": "kept"}}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string();
    let names: Vec<String> = (0..layers.len()).map(|n| format!("l{n}/layer.tar")).collect();
    let manifest = json!([{"Config": "config.json", "RepoTags": null, "Layers": names}]).to_string();
    let mut files: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(layers.iter().map(|(layer, _)| *layer)).collect();
    files.extend([("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]);
    tar(&files)
}

fn docker_archive(layer: &[u8], diff_id: &str) -> Vec<u8> {
    docker_archive_of(&[(layer, diff_id)])
}

/// What BuildKit writes, with layers under the digests that are said to be theirs.
fn oci_layout_of(layers: &[(&[u8], String)]) -> Vec<u8> {
    oci_layout_in("blobs/sha256/", layers)
}

fn oci_layout_in(directory: &str, layers: &[(&[u8], String)]) -> Vec<u8> {
    let plain = tar(&[("hello", b"hello")]);
    let config = json!({"architecture": arch(), "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha(&plain)]}}).to_string();
    let described: Vec<_> = layers
        .iter()
        .map(|(layer, digest)| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": layer.len()}))
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(config.as_bytes()), "size": config.len()},
        "layers": described,
    })
    .to_string();
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha(manifest.as_bytes()), "size": manifest.len()}]}).to_string();
    let blob = |digest: &str| digest.replace("sha256:", "blobs/sha256/");
    let names: Vec<String> = layers.iter().map(|(_, digest)| digest.replace("sha256:", directory)).collect();
    let (manifest_name, config_name) = (blob(&sha(manifest.as_bytes())), blob(&sha(config.as_bytes())));
    let mut files: Vec<(&str, &[u8])> = vec![
        ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"),
        ("index.json", index.as_bytes()),
        (&manifest_name, manifest.as_bytes()),
        (&config_name, config.as_bytes()),
    ];
    files.extend(names.iter().map(String::as_str).zip(layers.iter().map(|(layer, _)| *layer)));
    tar(&files)
}

/// An index alone, of so many images.
fn index_of(images: usize) -> Vec<u8> {
    let image = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha(b"x"), "size": 1});
    let index = json!({"schemaVersion": 2, "manifests": vec![image; images]}).to_string();
    tar(&[("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"), ("index.json", index.as_bytes())])
}

fn oci_layout() -> Vec<u8> {
    let layer = gzip(&tar(&[("hello", b"hello")]));
    oci_layout_of(&[(&layer, sha(&layer))])
}

struct World {
    server: Distribution,
    proxy: Proxy,
    directory: TempDir,
    repository: &'static str,
    mount_from: Vec<String>,
    provenance: Option<String>,
    signing_key: Option<PathBuf>,
    version_file: Option<PathBuf>,
}

impl World {
    async fn new() -> Self {
        support::use_ring();
        let server = Distribution::open().await;
        let proxy = Proxy::before(&server.endpoint).await;
        let directory = tempfile::tempdir().unwrap();
        Self {
            server,
            proxy,
            directory,
            repository: "team/cv",
            mount_from: Vec::new(),
            provenance: None,
            signing_key: None,
            version_file: None,
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn push(&self, archive: &Path, tag: &str, revision: &str) -> Report {
        self.push_to(&self.proxy.endpoint, archive, tag, revision).await
    }

    async fn push_to(&self, endpoint: &str, archive: &Path, tag: &str, revision: &str) -> Report {
        let log = self.directory.path().join("last-word");
        let args = Args {
            archive: archive.to_owned(),
            image: format!("{endpoint}/{}", self.repository),
            tag: self.version_file.is_none().then(|| tag.to_owned()),
            revision: revision.to_owned(),
            version: self.version_file.is_none().then(|| "1.0".to_owned()),
            version_file: self.version_file.clone(),
            labels: vec![("dev.mainstay.variant".to_owned(), "dockerfile".to_owned())],
            created: Some("2026-11-24T12:00:00Z".to_owned()),
            provenance: self.provenance.clone(),
            signing_key: self.signing_key.clone(),
            credentials: None,
            ca: None,
            plain_http: true,
            mount_from: self.mount_from.clone(),
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
async fn a_version_that_was_evaluated_makes_the_tag() {
    let mut w = World::new().await;
    let archive = w.file("image", &oci_layout());
    w.version_file = Some(w.file("version", b"2.10-rc1\n"));
    for reason in ["Pushed", "AlreadyExists"] {
        let report = w.push(&archive, "", COMMIT).await;
        assert_eq!((report.reason.as_str(), report.version.as_deref()), (reason, Some("2.10-rc1")), "{report:?}");
    }
    let tag = format!("v2.10-rc1-{}-nix", &COMMIT[..7]);
    let labels = w.registry().labels("team/cv", &tag).await.unwrap();
    assert!(format!("{labels:?}").contains("2.10-rc1"), "{labels:?}");
    w.version_file = Some(w.file("version", b"1.0 && rm"));
    assert_eq!(w.push(&archive, "", COMMIT).await.reason, "VersionInvalid");
    // Whatever the build step left there: it is not followed, and nothing of it is told.
    let secret = w.file("config.json", b"{\"auth\": \"bWU6aHVudGVyMg==\"}");
    let link = w.directory.path().join("link");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let pipe = w.directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for bad in [link, pipe, w.directory.path().to_owned(), w.directory.path().join("nowhere"), w.file("large", &[b'1'; 1 << 20])] {
        w.version_file = Some(bad);
        let report = w.push(&archive, "", COMMIT).await;
        assert_eq!((report.reason.as_str(), report.message.contains("bWU6")), ("VersionInvalid", false), "{report:?}");
    }
}

#[tokio::test]
async fn two_builds_of_one_commit_make_one_image_whatever_they_evaluate() {
    let mut w = World::new().await;
    let archive = w.file("image", &oci_layout());
    w.version_file = Some(w.file("version", b"2.10"));
    let first = w.push(&archive, "", COMMIT).await;
    w.version_file = Some(w.file("other", b"2.11"));
    let second = w.push(&archive, "", COMMIT).await;
    assert_eq!((second.reason.as_str(), second.version.as_deref()), ("AlreadyExists", Some("2.10")));
    assert_eq!(first.digest, second.digest);
    assert_eq!(w.registry().tags("team/cv").await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_kind_of_archive_becomes_a_labelled_image() {
    let w = World::new().await;
    let layer = tar(&[("hello", b"hello")]);
    let docker = docker_archive(&layer, &sha(&layer));
    let zipped_layer = docker_archive(&gzip(&layer), &sha(&layer));
    for (tag, bytes) in [("oci", oci_layout()), ("docker", docker.clone()), ("docker-gzip", gzip(&docker)), ("layer-gzip", zipped_layer)] {
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
    let again = w.push(&w.file("b", &oci_layout()), "v1", COMMIT).await;
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
        ("missing-layer", oci_layout_in("elsewhere/", &[(b"x", sha(b"x"))]), "is missing"),
        ("lying-layer", oci_layout_of(&[(b"not this", sha(b"other"))]), "has the digest"),
        ("no-digest", oci_layout_of(&[(b"x", "sha256:../../../../etc/passwd".to_owned())]), "not a sha256 digest"),
        ("traversal", tar(&[("manifest.json", traversal.as_bytes())]), "is missing"),
        ("two", tar(&[("manifest.json", two.as_bytes())]), "one image"),
        ("none", tar(&[("manifest.json", b"[]")]), "one image"),
        ("index-of-two", index_of(2), "holds 2 images"),
        ("index-of-none", index_of(0), "holds no image"),
        ("cut", docker_archive(&layer, &sha(&layer))[..1200].to_vec(), ""),
        ("cut-gzip", gzip(&docker_archive(&layer, &sha(&layer)))[..100].to_vec(), ""),
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
async fn an_image_that_cannot_run_where_it_was_built_never_gets_the_tag() {
    let w = World::new().await;
    let layer = tar(&[("hello", b"hello")]);
    let archive = |architecture: &str, os: &str, layers: &[&str]| {
        let diff_ids: Vec<String> = layers.iter().map(|_| sha(&layer)).collect();
        let config = json!({"architecture": architecture, "os": os, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string();
        let manifest = json!([{"Config": "config.json", "Layers": layers}]).to_string();
        tar(&[("layer.tar", &layer), ("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())])
    };
    let here = format!("linux/{}", arch());
    for (name, architecture, os) in [("other", "s390x", "linux"), ("os", arch(), "windows")] {
        let report = w.push(&w.file(name, &archive(architecture, os, &["layer.tar"])), name, COMMIT).await;
        assert_eq!((report.reason.as_str(), report.transient), ("ArchitectureMismatch", false), "{report:?}");
        assert!(report.message.contains(&format!("{os}/{architecture}")) && report.message.contains(&here), "{}", report.message);
        assert_eq!(w.registry().image("team/cv", name).await.unwrap(), None);
    }
    let none = w.push(&w.file("none", &archive("", "linux", &["layer.tar"])), "none", COMMIT).await;
    assert_eq!(none.reason, "ArchitectureMismatch", "{none:?}");
    let empty = w.push(&w.file("empty", &archive(arch(), "linux", &[])), "empty", COMMIT).await;
    assert_eq!((empty.reason.as_str(), empty.message.contains("no layer")), ("ArchiveInvalid", true), "{empty:?}");
}

#[tokio::test]
async fn a_layout_may_be_a_directory() {
    let w = World::new().await;
    let directory = w.directory.path().join("layout");
    tar::Archive::new(oci_layout().as_slice()).unpack(&directory).unwrap();
    let pushed = w.push(&directory, "directory", COMMIT).await;
    let tarball = w.push(&w.file("layout.tar", &oci_layout()), "tarball", COMMIT).await;
    assert_eq!((pushed.reason.as_str(), &pushed.digest), ("Pushed", &tarball.digest));
}

#[tokio::test]
async fn what_a_build_leaves_in_our_place_is_neither_followed_nor_waited_for() {
    let w = World::new().await;
    let secret = w.file("secret", b"hunter2");
    let link = w.directory.path().join("link");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let pipe = w.directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [link, pipe] {
        let report = w.push(&path, "v1", COMMIT).await;
        assert_eq!((report.reason.as_str(), report.transient), ("ArchiveInvalid", false));
        assert!(report.message.contains("neither a file nor a directory") && !report.message.contains("hunter2"), "{}", report.message);
    }
}

#[tokio::test]
async fn provenance_is_attached_before_the_tag_is_given() {
    let mut w = World::new().await;
    w.provenance = Some(r#"{"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": "b"}, "metadata": {}}}"#.to_owned());
    let archive = w.file("image.tar", &oci_layout());
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

/// Both kinds of archive with the same layers.
fn archives(w: &World, name: &str, layers: &[&[u8]]) -> [PathBuf; 2] {
    let digests: Vec<String> = layers.iter().map(|layer| sha(layer)).collect();
    let saved: Vec<(&[u8], &str)> = layers.iter().copied().zip(digests.iter().map(String::as_str)).collect();
    let layout: Vec<(&[u8], String)> = layers.iter().copied().zip(digests.iter().cloned()).collect();
    [w.file(&format!("{name}-docker"), &docker_archive_of(&saved)), w.file(&format!("{name}-oci"), &oci_layout_of(&layout))]
}

/// More than all requests and answers of a small push.
const SMALL: u64 = 64 << 10;

#[tokio::test]
async fn a_layer_that_is_there_is_not_sent_again() {
    let mut w = World::new().await;
    let (base, one, other) = (noise(3 << 20, 1), noise(100 << 10, 2), noise(100 << 10, 3));
    let first = archives(&w, "first", &[&base, &one]);
    let second = archives(&w, "second", &[&base, &other]);
    for (n, (first, second)) in first.iter().zip(&second).enumerate() {
        assert_eq!(w.push(first, &format!("v1-{n}"), COMMIT).await.reason, "Pushed");
        let sent = w.proxy.sent();
        assert!(sent > 3 << 20 && sent < (3 << 20) + (100 << 10) + SMALL, "{sent}");
        assert_eq!(w.push(second, &format!("v2-{n}"), COMMIT).await.reason, "Pushed");
        let sent = w.proxy.sent();
        assert!(sent > 100 << 10 && sent < (100 << 10) + SMALL, "only the layer that is new: {sent}");
    }
    // Another repository takes it over from its neighbour; one that is not there is no obstacle.
    w.repository = "team/web";
    w.mount_from = vec!["team/none".to_owned(), "team/cv".to_owned()];
    for (n, first) in first.iter().enumerate() {
        assert_eq!(w.push(first, &format!("v1-{n}"), COMMIT).await.reason, "Pushed");
        let sent = w.proxy.sent();
        assert!(sent < SMALL, "nothing but the configuration: {sent}");
    }
}

#[tokio::test]
async fn a_layer_by_its_digest_alone_is_nobodys() {
    let mut w = World::new().await;
    let secret = noise(100 << 10, 4);
    let [_, archive] = archives(&w, "own", &[&secret]);
    assert_eq!(w.push(&archive, "v1", COMMIT).await.reason, "Pushed");
    let thief = w.file("thief", &oci_layout_of(&[(&noise(100 << 10, 5), sha(&secret))]));
    // In the same repository, and by a mount from another.
    for (repository, mount_from) in [("team/cv", vec![]), ("team/web", vec!["team/cv".to_owned()])] {
        (w.repository, w.mount_from) = (repository, mount_from);
        let report = w.push(&thief, "v2", COMMIT).await;
        assert_eq!((report.reason.as_str(), report.transient), ("ArchiveInvalid", false), "{report:?}");
        assert!(report.message.contains("has the digest"), "{}", report.message);
    }
}

#[tokio::test]
async fn a_layer_that_comes_twice_is_sent_once() {
    let w = World::new().await;
    let layer = noise(1 << 20, 6);
    let [_, archive] = archives(&w, "twice", &[&layer, &tar(&[("x", b"x")]), &layer]);
    assert_eq!(w.push(&archive, "v1", COMMIT).await.reason, "Pushed");
    assert!(w.proxy.sent() < (1 << 20) + SMALL);
}

#[tokio::test]
async fn a_broken_connection_costs_only_what_was_lost() {
    let w = World::new().await;
    const SIZE: u64 = 24 << 20;
    for n in 0..2 {
        let archive = &archives(&w, "large", &[&noise(24 << 20, 20 + n)])[usize::try_from(n).unwrap()];
        w.proxy.sent();
        w.proxy.wire.cut_at.store(SIZE / 2, SeqCst);
        let report = w.push(archive, &format!("v{n}"), COMMIT).await;
        assert_eq!(report.reason, "Pushed", "{report:?}");
        assert_eq!(w.proxy.wire.cuts.swap(0, SeqCst), 1, "the connection was broken");
        let sent = w.proxy.sent();
        assert!(sent < SIZE + SIZE / 4, "{sent} of {SIZE}");
        assert_eq!(w.registry().image("team/cv", &format!("v{n}")).await.unwrap().map(|image| image.digest), report.digest);
    }
}

#[tokio::test]
async fn a_registry_that_is_busy_gets_the_pause_that_it_asks_for() {
    let w = World::new().await;
    let (endpoint, habits) = odd_registry::start().await;
    habits.busy.store(1, SeqCst);
    let begun = Instant::now();
    let report = w.push_to(&endpoint, &w.file("image.tar", &oci_layout()), "v1", COMMIT).await;
    assert_eq!(report.reason, "Pushed", "{report:?}");
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_registry_that_forgets_gets_the_layer_anew() {
    let w = World::new().await;
    let (endpoint, habits) = odd_registry::start().await;
    habits.forgets.store(1, SeqCst);
    let layer = noise(4 << 20, 8);
    let [_, archive] = archives(&w, "large", &[&layer]);
    let report = w.push_to(&endpoint, &archive, "v1", COMMIT).await;
    assert_eq!(report.reason, "Pushed", "{report:?}");
    assert!(habits.has(&layer));

    // One that is wrong about what it has finds out by the digest, and gets it anew as well.
    habits.forgets.store(1, SeqCst);
    habits.lies.store(true, SeqCst);
    let layer = noise(4 << 20, 9);
    let [_, archive] = archives(&w, "other", &[&layer]);
    let report = w.push_to(&endpoint, &archive, "v2", COMMIT).await;
    assert_eq!(report.reason, "Pushed", "{report:?}");
    assert!(habits.has(&layer) && !habits.lies.load(SeqCst));
}

#[tokio::test]
async fn a_limit_for_requests_is_kept() {
    let w = World::new().await;
    let (endpoint, habits) = odd_registry::start().await;
    habits.limit.store(40 << 20, SeqCst);
    let layer = noise(70 << 20, 10);
    let [_, archive] = archives(&w, "large", &[&layer]);
    let report = w.push_to(&endpoint, &archive, "v1", COMMIT).await;
    assert_eq!(report.reason, "Pushed", "{report:?}");
    assert!(habits.has(&layer));
    let patches: Vec<u64> =
        habits.bodies.lock().unwrap().iter().filter(|(method, _)| method == "PATCH").map(|(_, length)| *length).collect();
    assert_eq!(patches, [32 << 20, 32 << 20, 6 << 20]);
}
