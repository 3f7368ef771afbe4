//! What is read of a commit, and who changed what: over a clone of a real Git server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay::clients::git::{Auth, Change, Remote, Store};
use mainstay::error::Classified;
use support::git_server::{Repository, Server};
use tempfile::TempDir;

struct World {
    repository: Repository,
    server: Server,
    _directory: TempDir,
    store: Store,
}

async fn world() -> World {
    support::use_ring();
    let repository = Repository::new();
    let server = Server::new(repository.directory.path(), None).await;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().to_owned(), Duration::from_secs(60));
    World { repository, server, _directory: directory, store }
}

impl World {
    async fn sync(&self) -> String {
        let remote = Remote { url: self.server.url(), branch: Some("main".to_owned()), auth: Auth::None, ca: None };
        self.store.sync("k", &remote).await.unwrap().head
    }

    /// Who changed the first line of each file, and what was looked at.
    async fn trace(&self, head: &str, paths: &[&str]) -> (Vec<Option<Change>>, Vec<String>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (notes, paths) = (seen.clone(), paths.iter().map(|path| (*path).to_owned()).collect());
        let first = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec();
        let step = move |path: &str, before: Option<&[u8]>, after: &[u8], _: &Change| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\n', "/");
            notes.lock().unwrap().push(format!("{path} {}>{}", before.map_or_else(|| "-".to_owned(), text), text(after)));
            before.map(first) != Some(first(after))
        };
        let changes = self.store.trace("k", head, paths, step).await.unwrap();
        let seen = seen.lock().unwrap().clone();
        (changes, seen)
    }
}

#[tokio::test]
async fn the_newest_change_of_what_is_looked_for_is_found() {
    let w = world().await;
    let root = w.repository.commit("main", "b", "b\n1");
    let a1 = w.repository.commit("main", "d/a", "1\nx");
    let a2 = w.repository.commit("main", "d/a", "2\nx");
    w.repository.commit("main", "d/a", "2\ny");
    w.repository.commit("main", "b", "b\n2");
    // Gone and back again, as it was.
    w.repository.commit("main", "d/c", "c");
    std::fs::remove_file(w.repository.tree().join("d/c")).unwrap();
    w.repository.push("main");
    let back = w.repository.commit("main", "d/c", "c");
    let head = w.sync().await;
    let (changes, seen) = w.trace(&head, &["d/a", "b", "d/c", "none", "d"]).await;
    let commits: Vec<Option<&str>> = changes.iter().map(|change| change.as_ref().map(|change| change.commit.as_str())).collect();
    assert_eq!(commits, [Some(a2.as_str()), Some(&root), Some(&back), None, None]);
    let change = changes[0].as_ref().unwrap();
    assert_eq!((change.author_name.as_str(), change.author_email.as_str(), change.message.as_str()), ("a", "a@b", "change\n"));
    assert_eq!((change.parent.as_deref(), changes[1].as_ref().unwrap().parent.as_deref()), (Some(a1.as_str()), None));
    assert!(change.time_seconds > 1_700_000_000);
    assert_eq!(seen, ["d/c ->c", "b b/1>b/2", "d/a 2/x>2/y", "d/a 1/x>2/x", "b ->b/1"], "newest first, and no further than needed");
}

#[tokio::test]
async fn a_merge_counts_as_what_it_brought_to_main() {
    let w = world().await;
    w.repository.commit("main", "a", "1");
    w.repository.work(&["checkout", "--quiet", "-b", "side"]);
    w.repository.commit("side", "a", "2");
    w.repository.commit("side", "a", "3");
    w.repository.work(&["checkout", "--quiet", "main"]);
    w.repository.work(&["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
    let merge = w.repository.work(&["rev-parse", "HEAD"]);
    w.repository.work(&["push", "--quiet", "../repo.git", "HEAD:refs/heads/main"]);
    let head = w.sync().await;
    let (changes, seen) = w.trace(&head, &["a"]).await;
    assert_eq!((changes[0].as_ref().unwrap().commit.as_str(), seen), (merge.as_str(), vec!["a 1>3".to_owned()]));
}

#[tokio::test]
async fn selected_files_are_read_and_the_others_named() {
    use std::os::unix::ffi::OsStrExt;
    let w = world().await;
    let tree = w.repository.tree();
    std::fs::create_dir_all(tree.join("deploy/x")).unwrap();
    for (path, text) in [("deploy/x/a.yaml", &b"a: 1\r\n"[..]), ("deploy/b.yaml", b"\xff\0"), ("deploy/c.txt", b"x"), ("top.yaml", b"")] {
        std::fs::write(tree.join(path), text).unwrap();
    }
    std::fs::write(tree.join("deploy/large.yaml"), vec![b'x'; (4 << 20) + 1]).unwrap();
    std::fs::write(tree.join("deploy/limit.yaml"), vec![b'x'; 4 << 20]).unwrap();
    std::fs::write(tree.join(std::ffi::OsStr::from_bytes(b"deploy/\xfe.yaml")), "x").unwrap();
    std::os::unix::fs::symlink("b.yaml", tree.join("deploy/link.yaml")).unwrap();
    w.repository.work(&["add", "--all"]);
    w.repository.work(&["update-index", "--add", "--cacheinfo", &format!("160000,{},deploy/sub", "1".repeat(40))]);
    w.repository.work(&["update-index", "--chmod=+x", "deploy/x/a.yaml"]);
    w.repository.work(&["commit", "--quiet", "--message", "x"]);
    w.repository.work(&["push", "--quiet", "../repo.git", "HEAD:refs/heads/main"]);
    let head = w.sync().await;
    let found = w.store.blobs("k", &head, |path| path.starts_with("deploy/") && path.ends_with(".yaml")).await.unwrap();
    let files: Vec<(&str, i32, usize)> = found.files.iter().map(|file| (file.path.as_str(), file.mode, file.bytes.len())).collect();
    assert_eq!(files, [("deploy/b.yaml", 0o100_644, 2), ("deploy/limit.yaml", 0o100_644, 4 << 20), ("deploy/x/a.yaml", 0o100_755, 6)]);
    assert_eq!(found.files[2].bytes, b"a: 1\r\n");
    assert_eq!(found.files[2].blob, w.repository.work(&["rev-parse", "HEAD:deploy/x/a.yaml"]));
    let skipped: Vec<(&str, &str)> = found.skipped.iter().map(|one| (one.path.as_str(), one.reason.as_str())).collect();
    assert_eq!(
        skipped,
        [
            ("deploy/large.yaml", "FileTooLarge"),
            ("deploy/link.yaml", "Symlink"),
            ("deploy/sub", "Submodule"),
            ("deploy/\u{fffd}.yaml", "NameInvalid"),
        ]
    );
}

#[tokio::test]
async fn a_tree_without_an_end_is_given_up() {
    let w = world().await;
    w.repository.commit("main", "a", "1");
    // Each tree names the one below ten times: ten to the tenth files in eleven objects.
    let blob = w.repository.work(&["rev-parse", "HEAD:a"]);
    let mut below = format!("100644 blob {blob}");
    for _ in 0..10 {
        let entries: String = (0..10).map(|n| format!("{below}\t{n}\n")).collect();
        std::fs::write(w.repository.tree().join("../entries"), entries).unwrap();
        let tree = w.repository.work(&["-c", "alias.make=!git mktree <../entries", "make"]);
        below = format!("040000 tree {tree}");
    }
    let commit = w.repository.work(&["commit-tree", "-m", "bomb", below.rsplit(' ').next().unwrap()]);
    w.repository.work(&["push", "--quiet", "--force", "../repo.git", &format!("{commit}:refs/heads/main")]);
    let head = w.sync().await;
    let error = w.store.blobs("k", &head, |_| false).await.unwrap_err();
    assert_eq!(error.reason(), "TooManyFiles", "{error}");
    let error = w.store.blobs("k", &head, |_| true).await.unwrap_err();
    assert_eq!(error.reason(), "TooManyFiles", "{error}");
}
