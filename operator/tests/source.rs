//! `mainstay source` against a real Git server: the exact tree.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mainstay::domain::report::Report;
use mainstay::source::{Args, run};
use support::git_server::{Repository, Server};

async fn export(server: &Server, commit: &str, destination: &Path, credentials: Option<&Path>) -> Report {
    let log = tempfile::NamedTempFile::new().unwrap();
    let args = Args {
        url: server.url(),
        commit: commit.to_owned(),
        branch: None,
        destination: destination.to_owned(),
        credentials: credentials.map(Path::to_owned),
        deadline: 20,
        authorities: None,
        termination_log: log.path().to_owned(),
    };
    run(args).await;
    Report::parse(&std::fs::read_to_string(log.path()).unwrap()).unwrap()
}

#[tokio::test]
async fn the_tree_is_exact() {
    support::use_ring();
    let repository = Repository::new();
    let server = Server::new(repository.directory.path(), None).await;
    let tree = repository.tree();
    std::fs::create_dir_all(tree.join("containers/cv/deep")).unwrap();
    std::fs::write(tree.join("containers/cv/run.sh"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(tree.join("containers/cv/run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(tree.join("containers/cv/deep/file"), "old").unwrap();
    std::fs::write(tree.join("containers/cv").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "latin").unwrap();
    symlink("/etc/passwd", tree.join("containers/cv/outside")).unwrap();
    symlink("deep/file", tree.join("containers/cv/inside")).unwrap();
    let old = repository.push("main");
    repository.commit("main", "containers/cv/deep/file", "new");

    let to = tempfile::tempdir().unwrap();
    let destination = to.path().join("src");
    let report = export(&server, &old, &destination, None).await;
    assert_eq!(report.reason, "Cloned", "{report:?}");
    let cv = destination.join("containers/cv");
    assert!(!destination.join(".git").exists());
    assert_eq!(std::fs::read_to_string(cv.join("deep/file")).unwrap(), "old", "the commit that was asked for, not the newest");
    assert_eq!(std::fs::metadata(cv.join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::metadata(cv.join("deep/file")).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read(cv.join(std::ffi::OsStr::from_bytes(b"caf\xe9"))).unwrap(), b"latin");
    assert_eq!(std::fs::read_link(cv.join("outside")).unwrap(), Path::new("/etc/passwd"), "a link is written, not followed");
    assert_eq!(std::fs::read_link(cv.join("inside")).unwrap(), Path::new("deep/file"));
}

#[tokio::test]
async fn credentials_come_from_the_mounted_secret() {
    support::use_ring();
    let repository = Repository::new();
    let server = Server::new(repository.directory.path(), Some("Basic bWU6d29yZA==")).await;
    let commit = repository.commit("main", "a", "1");
    let to = tempfile::tempdir().unwrap();
    let refused = export(&server, &commit, &to.path().join("a"), None).await;
    assert_eq!((refused.reason.as_str(), refused.transient), ("CloneFailed", false));
    let secret = tempfile::tempdir().unwrap();
    std::fs::create_dir(secret.path().join("..data")).unwrap();
    std::fs::write(secret.path().join("username"), "me").unwrap();
    std::fs::write(secret.path().join("password"), "word\n").unwrap();
    let done = export(&server, &commit, &to.path().join("b"), Some(secret.path())).await;
    assert_eq!(done.reason, "Cloned", "{done:?}");
}

#[tokio::test]
async fn a_commit_that_is_gone_is_named() {
    support::use_ring();
    let repository = Repository::new();
    let server = Server::new(repository.directory.path(), None).await;
    repository.commit("main", "a", "1");
    let to = tempfile::tempdir().unwrap();
    let gone = "4".repeat(40);
    let report = export(&server, &gone, &to.path().join("a"), None).await;
    assert_eq!((report.reason.as_str(), report.transient), ("CloneFailed", false));
    assert!(report.message.contains(&gone) && report.message.contains("rewritten away"), "{}", report.message);
}
