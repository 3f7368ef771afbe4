//! The clones against a real Git server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay::clients::git::{Auth, GitError, Remote, Store, Watch};
use mainstay::domain::version::{Version, VersionError};
use mainstay::error::{Class, Classified};
use mainstay_crds::Variant;
use support::git_server::{Repository, Server};
use tempfile::TempDir;

struct World {
    repository: Repository,
    server: Server,
    clones: TempDir,
    store: Store,
}

const BASIC: &str = "Basic bWU6d29yZA==";

async fn world(authorization: Option<&str>) -> World {
    support::use_ring();
    let repository = Repository::new();
    let server = Server::new(repository.directory.path(), authorization).await;
    let clones = tempfile::tempdir().unwrap();
    let store = Store::new(clones.path().to_owned(), Duration::from_secs(20));
    World { repository, server, clones, store }
}

impl World {
    fn remote(&self, branch: Option<&str>) -> Remote {
        Remote { url: self.server.url(), branch: branch.map(str::to_owned), auth: Auth::None, ca: None }
    }
}

fn basic(password: &str) -> Auth {
    Auth::Basic { username: "me".into(), password: password.to_owned().into() }
}

#[tokio::test]
async fn a_checkout_is_read_where_it_lies() {
    let w = world(None).await;
    let first = w.repository.commit("main", "containers/cv/Dockerfile", "ARG CONTAINER_APP_VERSION=1.0\nFROM scratch\n");
    w.repository.work(&["switch", "--quiet", "--create", "feature"]);
    let second = w.repository.commit("feature", "containers/cv/Dockerfile", "ARG CONTAINER_APP_VERSION=2.0\nFROM scratch\n");
    let tree = w.repository.tree();
    let before = w.repository.work(&["for-each-ref"]);

    // What is checked out, what is named, and what the remote says.
    let opened = w.store.open("a", &tree.join("containers"), None).await.unwrap();
    assert_eq!((opened.branch.as_str(), opened.head.as_str()), ("feature", second.as_str()), "from within it too");
    let opened = w.store.open("b", &tree, Some("main")).await.unwrap();
    assert_eq!((opened.branch.as_str(), opened.head.as_str()), ("main", first.as_str()));
    assert_eq!(w.store.list("b", &first, "containers").await.unwrap().found.len(), 1);
    let graph = w.store.graph("b").await.unwrap();
    let class = |commit: &str| mainstay::domain::class::classify(&format!("v1-{}", &commit[..7]), &graph).unwrap().class;
    assert_eq!((class(&first), class(&second)), (mainstay_crds::Class::Main, mainstay_crds::Class::Branch));
    assert_eq!(w.store.origin("b").await.unwrap(), None);
    w.repository.work(&["remote", "add", "origin", "../repo.git"]);
    w.repository.work(&["fetch", "--quiet", "origin"]);
    w.repository.work(&["remote", "set-head", "origin", "main"]);
    assert_eq!(w.store.open("c", &tree, None).await.unwrap().branch, "main");
    assert_eq!(w.store.origin("c").await.unwrap().as_deref(), Some("../repo.git"));

    assert!(matches!(w.store.open("d", &tree, Some("nosuch")).await, Err(GitError::BranchNotFound { .. })));
    assert!(matches!(w.store.open("d", w.clones.path(), None).await, Err(GitError::RepositoryNotFound { .. })));
    let after = w.repository.work(&["for-each-ref", "refs/heads"]);
    assert_eq!(after, before, "nothing is written");
}

#[tokio::test]
async fn heads_are_fetched_and_followed() {
    let w = world(None).await;
    let first = w.repository.commit("main", "containers/cv/Dockerfile", "ARG CONTAINER_APP_VERSION=1.0\nFROM scratch\n");
    let synced = w.store.sync("k", &w.remote(None)).await.unwrap();
    assert_eq!((synced.branch.as_str(), synced.head.as_str(), synced.forced), ("main", first.as_str(), false));
    let listing = w.store.list("k", &first, "containers").await.unwrap();
    assert_eq!((listing.found[0].path.as_str(), &listing.found[0].variants[..]), ("containers/cv", &[Variant::Dockerfile][..]));
    let container = w.store.container("k", &first, "containers/cv").await.unwrap();
    assert_eq!(container.variants, [(Variant::Dockerfile, Ok(Version::Written("1.0".to_owned())))]);

    let second = w.repository.commit("main", "README", "x");
    w.repository.work(&["push", "--quiet", "../repo.git", "HEAD:refs/heads/side"]);
    let synced = w.store.sync("k", &w.remote(Some("main"))).await.unwrap();
    assert_eq!((synced.head.as_str(), synced.forced), (second.as_str(), false));
    let touches = w.store.touches("k", &second, &[Watch { paths: vec!["containers/cv".into()] }]).await.unwrap();
    assert_eq!(touches, [Some(first.clone())]);
    assert_eq!(w.store.resolve("k", "side").await.unwrap(), second);
    assert_eq!(w.store.resolve("k", &first[..9]).await.unwrap(), first);
    assert!(w.store.is_on_main("k", &second, &first).await.unwrap());
    assert!(!w.store.is_on_main("k", &first, &second).await.unwrap());
    for nothing in ["nope", "abc", &"4".repeat(40)] {
        assert_eq!(w.store.resolve("k", nothing).await.unwrap_err().reason(), "RefNotFound", "{nothing}");
    }
    // A branch that is called like a commit is not that commit.
    w.repository.work(&["push", "--quiet", "../repo.git", &format!("HEAD:refs/heads/{first}")]);
    w.store.sync("k", &w.remote(Some("main"))).await.unwrap();
    assert_eq!(w.store.resolve("k", &first).await.unwrap(), first);
    // A branch that is gone on the server is gone here.
    w.repository.git(&["--git-dir=repo.git", "branch", "-D", "side"]);
    w.store.sync("k", &w.remote(Some("main"))).await.unwrap();
    assert!(w.store.resolve("k", "side").await.is_err());
}

#[tokio::test]
async fn a_nix_version_is_written_in_a_file_or_evaluated() {
    let w = world(None).await;
    w.repository.commit("main", "containers/both/Dockerfile", "ARG CONTAINER_APP_VERSION=1.0\nFROM scratch\n");
    w.repository.commit("main", "containers/both/default.nix", "{ }");
    // What is meant to be a version and is none is not passed over.
    w.repository.commit("main", "containers/computed/Dockerfile", "ARG B=1\nARG CONTAINER_APP_VERSION=${B}.0\nFROM scratch\n");
    w.repository.commit("main", "containers/computed/default.nix", "{ }");
    let head = w.repository.commit("main", "containers/alone/default.nix", "{ }");
    w.store.sync("k", &w.remote(None)).await.unwrap();
    let computed = w.store.container("k", &head, "containers/computed").await.unwrap();
    assert!(matches!(computed.variants[..], [_, (Variant::Nix, Err(VersionError::Computed { .. }))]), "{computed:?}");
    assert!(w.store.container("k", &head, "containers/alone").await.unwrap().nixpkgs.as_ref().is_some_and(|nixpkgs| !nixpkgs.pinned));
    for (name, wanted) in [("both", Version::Written("1.0".to_owned())), ("alone", Version::Evaluated)] {
        let container = w.store.container("k", &head, &format!("containers/{name}")).await.unwrap();
        assert_eq!(container.variants.last(), Some(&(Variant::Nix, Ok(wanted))));
    }
}

#[tokio::test]
async fn rewritten_history_is_seen() {
    let w = world(None).await;
    let root = w.repository.commit("main", "containers/cv/Dockerfile", "1");
    w.repository.commit("main", "containers/cv/Dockerfile", "2");
    w.store.sync("k", &w.remote(None)).await.unwrap();
    w.repository.work(&["reset", "--quiet", "--hard", &root]);
    let other = w.repository.commit("main", "README", "x");
    let synced = w.store.sync("k", &w.remote(None)).await.unwrap();
    assert_eq!((synced.head.as_str(), synced.forced), (other.as_str(), true));
    let touches = w.store.touches("k", &other, &[Watch { paths: vec!["containers/cv".into()] }]).await.unwrap();
    assert_eq!(touches, [Some(root)]);
}

#[tokio::test]
async fn a_damaged_clone_is_made_anew() {
    let w = world(None).await;
    let head = w.repository.commit("main", "containers/cv/Dockerfile", "1");
    w.store.sync("k", &w.remote(None)).await.unwrap();
    // What a crash or a careless hand leaves: a repository without its objects.
    let packs = w.clones.path().join("k/objects/pack");
    let mut broken = 0;
    for entry in std::fs::read_dir(&packs).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
        broken += 1;
    }
    assert!(broken > 0);
    let after_restart = Store::new(w.clones.path().to_owned(), Duration::from_secs(20));
    assert_eq!(after_restart.sync("k", &w.remote(None)).await.unwrap().head, head);
    assert_eq!(after_restart.container("k", &head, "containers/cv").await.unwrap().variants.len(), 1);
}

#[tokio::test]
async fn a_clone_of_another_url_is_not_used_and_old_clones_go() {
    let w = world(None).await;
    w.repository.commit("main", "a", "1");
    w.store.sync("k", &w.remote(None)).await.unwrap();
    let other = world(None).await;
    let head = other.repository.commit("main", "b", "1");
    assert_eq!(w.store.sync("k", &other.remote(None)).await.unwrap().head, head);
    w.store.retain(["other".to_owned()].into()).await;
    assert!(!Path::new(&w.clones.path().join("k")).exists());
    assert_eq!(w.store.resolve("k", "main").await.unwrap_err().reason(), "SourceUnavailable");
}

#[tokio::test]
async fn credentials_are_used_and_refusals_named() {
    let w = world(Some(BASIC)).await;
    w.repository.commit("main", "a", "1");
    let with = |auth| Remote { auth, ..w.remote(None) };
    w.store.sync("k", &with(basic("word"))).await.unwrap();
    let before = w.server.behaviour.requests.load(Ordering::SeqCst);
    let error = w.store.sync("k", &with(basic("wrong"))).await.unwrap_err();
    assert_eq!((error.reason().as_str(), error.class()), ("AuthenticationFailed", Class::Terminal));
    assert!(!error.to_string().contains("wrong"), "{error}");
    assert_eq!(w.server.behaviour.requests.load(Ordering::SeqCst), before + 1, "a refused password is sent once");
    assert_eq!(w.store.sync("k", &w.remote(None)).await.unwrap_err().reason(), "AuthenticationFailed");

    let token = world(Some("Bearer t0ken")).await;
    token.repository.commit("main", "a", "1");
    token.store.sync("k", &Remote { auth: Auth::Bearer("t0ken".to_owned().into()), ..token.remote(None) }).await.unwrap();
}

#[tokio::test]
async fn what_a_server_says_has_a_class() {
    let w = world(None).await;
    w.repository.commit("main", "a", "1");
    for (status, reason, class) in [
        (401, "AuthenticationFailed", Class::Terminal),
        (404, "RepositoryNotFound", Class::Terminal),
        (429, "RepositoryUnreachable", Class::Transient { after: Some(Duration::from_secs(7)) }),
        (503, "RepositoryUnreachable", Class::Transient { after: Some(Duration::from_secs(7)) }),
    ] {
        w.server.behaviour.instead.store(status, Ordering::SeqCst);
        let error = w.store.sync("k", &w.remote(None)).await.unwrap_err();
        assert_eq!((error.reason().as_str(), error.class()), (reason, class), "{status}: {error}");
    }
    w.server.behaviour.instead.store(0, Ordering::SeqCst);
    let error = w.store.sync("k", &w.remote(Some("nope"))).await.unwrap_err();
    assert!(matches!(&error, GitError::BranchNotFound { branch, .. } if branch == "nope"), "{error}");
    let nobody = Remote { url: "http://127.0.0.1:9/x.git".into(), ..w.remote(None) };
    assert_eq!(w.store.sync("k", &nobody).await.unwrap_err().reason(), "RepositoryUnreachable");
    let empty = world(None).await;
    assert_eq!(empty.store.sync("k", &empty.remote(None)).await.unwrap_err().reason(), "RepositoryEmpty");
}

#[tokio::test]
async fn what_is_no_container_is_skipped_with_a_reason() {
    use std::os::unix::ffi::OsStrExt;
    let w = world(None).await;
    w.repository.commit("main", "containers/good/default.nix", "{ version = \"1.0\"; }");
    let containers = w.repository.tree().join("containers");
    std::os::unix::fs::symlink("good", containers.join("link")).unwrap();
    let strange = containers.join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    std::fs::create_dir(&strange).unwrap();
    std::fs::write(strange.join("Dockerfile"), "FROM scratch").unwrap();
    for (name, file) in [("Upper", "Dockerfile"), ("none", "README")] {
        std::fs::create_dir(containers.join(name)).unwrap();
        std::fs::write(containers.join(name).join(file), "x").unwrap();
    }
    w.repository.work(&["add", "--all"]);
    w.repository.work(&["update-index", "--add", "--cacheinfo", &format!("160000,{},containers/sub", "1".repeat(40))]);
    w.repository.work(&["commit", "--quiet", "--message", "x"]);
    w.repository.work(&["push", "--quiet", "../repo.git", "HEAD:refs/heads/main"]);
    let head = w.store.sync("k", &w.remote(None)).await.unwrap().head;
    let listing = w.store.list("k", &head, "containers").await.unwrap();
    assert_eq!(listing.found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["good"]);
    let mut skipped: Vec<(&str, &str)> = listing.skipped.iter().map(|s| (s.path.as_str(), s.reason.as_str())).collect();
    skipped.sort_unstable();
    assert_eq!(
        skipped,
        [
            ("containers/Upper", "NameInvalid"),
            ("containers/link", "Symlink"),
            ("containers/none", "NoBuildFile"),
            ("containers/sub", "Submodule"),
            ("containers/\u{fffd}\u{fffd}", "NameInvalid"),
        ]
    );
}

#[tokio::test]
async fn a_branch_whose_name_is_no_text_harms_nobody() {
    use std::os::unix::ffi::OsStrExt;
    let w = world(None).await;
    let head = w.repository.commit("main", "a", "1");
    let strange = w.repository.bare().join("refs/heads").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::write(strange, format!("{head}\n")).unwrap();
    for _ in 0..2 {
        assert_eq!(w.store.sync("k", &w.remote(None)).await.unwrap().head, head);
    }
    assert_eq!(w.store.sync("k", &w.remote(Some("nope"))).await.unwrap_err().reason(), "BranchNotFound");
}
