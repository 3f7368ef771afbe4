//! Commits brought to a branch of a real Git server, alone and against others.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use mainstay::clients::git::{Auth, Author, GitError, Pushed, Remote, SigningKey, Store, WriteRequest};
use mainstay::error::{Class, Classified};
use support::git_server::{CUT, HANG, Repository, Server};
use tempfile::TempDir;

struct World {
    repository: Repository,
    server: Server,
    directory: TempDir,
    store: Store,
}

async fn world(deadline: Duration) -> World {
    support::use_ring();
    let repository = Repository::new();
    let server = Server::new(repository.directory.path(), None).await;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().join("clones"), deadline);
    World { repository, server, directory, store }
}

const LONG: Duration = Duration::from_secs(60);

impl World {
    fn remote(&self) -> Remote {
        Remote { url: self.server.url(), branch: Some("main".to_owned()), auth: Auth::None, ca: None }
    }

    async fn head(&self) -> String {
        self.store.sync("k", &self.remote()).await.unwrap().head
    }

    fn bare(&self, args: &[&str]) -> String {
        let mut all = vec!["--git-dir=repo.git"];
        all.extend(args);
        self.repository.git(&all)
    }

    fn tip(&self, branch: &str) -> String {
        self.bare(&["rev-parse", branch])
    }

    async fn write(&self, request: WriteRequest) -> Result<Pushed, GitError> {
        self.store.write("k", &self.remote(), request).await
    }
}

fn request(head: &str, files: &[(&str, &str)]) -> WriteRequest {
    WriteRequest {
        branch: "main".to_owned(),
        expected: Some(head.to_owned()),
        parents: vec![head.to_owned()],
        base: head.to_owned(),
        files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect(),
        message: "Pin cv to v1.0-1234567".to_owned(),
        author: Author { name: "Mainstay".to_owned(), email: "mainstay@example.org".to_owned() },
        when: 1_700_000_000,
        signing: None,
    }
}

fn landed(pushed: Pushed) -> String {
    match pushed {
        Pushed::Landed { commit } => commit,
        Pushed::Lost => panic!("lost"),
    }
}

#[tokio::test]
async fn a_commit_lands_with_exactly_its_files() {
    let w = world(LONG).await;
    for (path, text) in [("deploy/a.yaml", "a: 1\r\n"), ("deploy/run.sh", "1"), ("README", "x")] {
        std::fs::create_dir_all(w.repository.tree().join("deploy")).unwrap();
        std::fs::write(w.repository.tree().join(path), text).unwrap();
    }
    std::fs::set_permissions(w.repository.tree().join("deploy/run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("a.yaml", w.repository.tree().join("deploy/link.yaml")).unwrap();
    let head = w.repository.push("main");
    assert_eq!(w.head().await, head);

    let commit = landed(w.write(request(&head, &[("deploy/a.yaml", "a: 2\r\n"), ("deploy/run.sh", "2")])).await.unwrap());
    assert_eq!(w.tip("main"), commit);
    assert_eq!(w.store.resolve("k", "main").await.unwrap(), commit, "the clone is up to date");
    let raw = w.bare(&["diff-tree", "-r", "--abbrev=7", &head, &commit]);
    let changed: Vec<String> = raw
        .lines()
        .map(|line| line.split([' ', '\t']).map(str::to_owned).collect::<Vec<_>>())
        .map(|f| f[..2].join(" ") + " " + &f[5])
        .collect();
    assert_eq!(changed, [":100644 100644 deploy/a.yaml", ":100755 100755 deploy/run.sh"]);
    assert_eq!(w.bare(&["cat-file", "-s", &format!("{commit}:deploy/a.yaml")]), "6");
    assert_eq!(
        w.bare(&["log", "-1", "--format=%an|%ae|%cn|%at|%s|%P"]),
        format!("Mainstay|mainstay@example.org|Mainstay|1700000000|Pin cv to v1.0-1234567|{head}")
    );
    w.bare(&["fsck", "--strict", "--no-dangling"]);

    // A branch for a pull request: new, then with main taken in.
    let side = |expected: Option<&String>, parents: &[&String], base: &String, text: &str| WriteRequest {
        branch: "mainstay/pins".to_owned(),
        expected: expected.cloned(),
        parents: parents.iter().map(|&parent| parent.clone()).collect(),
        ..request(base, &[("deploy/a.yaml", text)])
    };
    let first = landed(w.write(side(None, &[&commit], &commit, "a: 3\r\n")).await.unwrap());
    w.repository.work(&["pull", "--quiet", "../repo.git", "main"]);
    let main = w.repository.commit("main", "README", "y");
    w.head().await;
    let second = landed(w.write(side(Some(&first), &[&first, &main], &main, "a: 4\r\n")).await.unwrap());
    assert_eq!(w.bare(&["log", "-1", "--format=%P", "mainstay/pins"]), format!("{first} {main}"));
    assert_eq!(w.bare(&["diff", "--name-only", "main", &second]), "deploy/a.yaml");
    // It must not be there, and it is.
    assert_eq!(w.write(side(None, &[&main], &main, "a: 5\r\n")).await.unwrap(), Pushed::Lost);
    assert_eq!((w.tip("mainstay/pins"), w.tip("main")), (second, main));
    let refs =
        Command::new("git").args(["for-each-ref", "refs/mainstay"]).current_dir(w.directory.path().join("clones/k")).output().unwrap();
    assert!(refs.status.success() && refs.stdout.is_empty(), "nothing temporary is left");
}

#[tokio::test]
async fn a_lost_race_changes_nothing() {
    let w = world(LONG).await;
    let old = w.repository.commit("main", "a", "1");
    w.head().await;
    let new = w.repository.commit("main", "b", "1");
    assert_eq!(w.write(request(&old, &[("a", "2")])).await.unwrap(), Pushed::Lost);
    assert_eq!(w.tip("main"), new);
    // The branch moves between the look and the push: the server's own comparison refuses.
    assert_eq!(w.head().await, new);
    w.bare(&["branch", "other", "main"]);
    let between = w.bare(&["commit-tree", "-p", &new, "-m", "between", "main^{tree}"]);
    w.repository.hook("pre-receive", &format!("unset GIT_QUARANTINE_PATH; git update-ref refs/heads/main {between}"));
    assert_eq!(w.write(request(&new, &[("a", "2")])).await.unwrap(), Pushed::Lost);
    assert_eq!(w.tip("main"), between);
    // A rewritten branch is a lost race too, although nothing that was observed is there any more.
    std::fs::remove_file(w.repository.bare().join("hooks/pre-receive")).unwrap();
    w.head().await;
    w.repository.work(&["checkout", "--quiet", "--orphan", "fresh"]);
    let fresh = w.repository.commit("main", "a", "9");
    assert_eq!(w.write(request(&between, &[("a", "2")])).await.unwrap(), Pushed::Lost);
    // So is one that was deleted.
    w.head().await;
    let gone = WriteRequest { branch: "gone".to_owned(), ..request(&fresh, &[("a", "2")]) };
    assert_eq!(w.write(gone).await.unwrap(), Pushed::Lost);
    assert_eq!(w.tip("main"), fresh);
}

#[tokio::test]
async fn a_refusal_is_final_and_quotes_the_server() {
    let w = world(LONG).await;
    let head = w.repository.commit("main", "a", "1");
    w.head().await;
    for hook in ["pre-receive", "update"] {
        w.repository.hook(hook, "printf 'branch main is protected\\033[1m:\\r\\nopen a pull request \\377\\n' >&2; exit 1");
        let error = w.write(request(&head, &[("a", "2")])).await.unwrap_err();
        assert_eq!((error.reason().as_str(), error.class()), ("PushRejected", Class::Terminal), "{error}");
        let text = error.to_string();
        assert!(text.contains("hook declined: branch main is protected[1m:: open a pull request") && text.contains("protected"), "{text}");
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        std::fs::remove_file(w.repository.bare().join("hooks").join(hook)).unwrap();
    }
    // Credentials that may only read.
    w.bare(&["config", "http.receivepack", "false"]);
    let error = w.write(request(&head, &[("a", "2")])).await.unwrap_err();
    assert_eq!(error.reason(), "PushRejected", "{error}");
    assert!(error.to_string().contains("read-only"), "{error}");
    for (status, reason) in [(401, "AuthenticationFailed"), (404, "RepositoryNotFound"), (503, "RepositoryUnreachable")] {
        w.server.behaviour.instead.store(status, Ordering::SeqCst);
        assert_eq!(w.write(request(&head, &[("a", "2")])).await.unwrap_err().reason(), reason);
    }
    assert_eq!(w.tip("main"), head);
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_is_recognised() {
    let w = world(Duration::from_secs(8)).await;
    let mut head = w.repository.commit("main", "a", "0");
    for (n, answer) in [CUT, 502, HANG].into_iter().enumerate() {
        w.head().await;
        w.server.behaviour.answer_of_push.store(answer, Ordering::SeqCst);
        let commit = landed(w.write(request(&head, &[("a", &format!("{answer}"))])).await.unwrap());
        assert_eq!(w.tip("main"), commit, "{answer}");
        assert_eq!(w.bare(&["rev-list", "--count", "main"]), (n + 2).to_string(), "one commit each");
        // Who did not hear of it and tries again writes nothing.
        assert_eq!(w.write(request(&head, &[("a", &format!("{answer}"))])).await.unwrap(), Pushed::Lost);
        head = commit;
    }
    // Not applied, and the answer lost: the error remains, and nothing is claimed.
    w.repository.hook("pre-receive", "exit 1");
    w.server.behaviour.answer_of_push.store(502, Ordering::SeqCst);
    let error = w.write(request(&head, &[("a", "x")])).await.unwrap_err();
    assert_eq!((error.reason().as_str(), w.tip("main")), ("RepositoryUnreachable", head));
}

#[tokio::test]
async fn git_accepts_the_signature() {
    let w = world(LONG).await;
    let mut head = w.repository.commit("main", "a", "0");
    for (n, (kind, passphrase)) in [("ed25519", ""), ("ecdsa", ""), ("ed25519", "open sesame")].into_iter().enumerate() {
        let path = w.directory.path().join(format!("key{n}"));
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-C", "", "-f"]).arg(&path).status().unwrap();
        assert!(made.success());
        let pem = std::fs::read_to_string(&path).unwrap();
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let signers = w.directory.path().join("signers");
        std::fs::write(&signers, format!("mainstay@example.org {public}")).unwrap();
        let word = (!passphrase.is_empty()).then(|| passphrase.to_owned().into());
        // As it comes out of a Secret that was made by hand.
        let key = SigningKey::from_openssh(&pem.trim_end().replace('\n', "\r\n").into(), word.as_ref()).unwrap();
        if word.is_some() {
            for wrong in [None, Some("hunter2".to_owned().into())] {
                let error = SigningKey::from_openssh(&pem.clone().into(), wrong.as_ref()).unwrap_err();
                assert!(error.reason() == "SigningKeyInvalid" && error.to_string().contains("passphrase"), "{error}");
            }
        }
        assert!(format!("{key:?}").starts_with("SigningKey(\"SHA256:"), "{key:?}");
        w.head().await;
        let signed = WriteRequest { signing: Some(key), ..request(&head, &[("a", &format!("{n}{kind}"))]) };
        head = landed(w.write(signed).await.unwrap());
        let config = format!("gpg.ssh.allowedSignersFile={}", signers.display());
        w.repository.git(&["--git-dir=repo.git", "-c", &config, "verify-commit", &head]);
        let said = w.repository.git(&["--git-dir=repo.git", "-c", &config, "log", "-1", "--format=%G? %GS", &head]);
        assert_eq!(said, "G mainstay@example.org", "{kind}");
    }
    let rsa = w.directory.path().join("rsa");
    assert!(Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-N", "", "-f"]).arg(&rsa).status().unwrap().success());
    let error = SigningKey::from_openssh(&std::fs::read_to_string(rsa).unwrap().into(), None).unwrap_err();
    assert!(error.to_string().contains("ssh-keygen -t ed25519"), "{error}");
}

/// Other people: ten commits each, by plain git, until each has landed.
const WRITER: &str = r#"
set -eu
git clone --quiet "$1" "$2"
cd "$2"
git config maintenance.auto false
for n in 1 2 3 4 5 6 7 8 9 10; do
  until
    git fetch --quiet origin main && git reset --quiet --hard FETCH_HEAD &&
    echo "$n" >"others/$3" && git add --all && git commit --quiet --message "other $3 $n" &&
    git push --quiet origin HEAD:main 2>/dev/null
  do sleep "$((RANDOM % 2)).$((RANDOM % 10))"; done
done
"#;

async fn hammer(writers: usize, each: Duration) {
    const OURS: usize = 5;
    let w = world(LONG).await;
    w.repository.commit("main", "others/keep", "");
    let start = w.repository.commit("main", "deploy/a.yaml", "0");
    w.repository.hook("post-receive", "cat >>moves");
    let others: Vec<_> = (0..writers)
        .map(|n| {
            let tree = w.directory.path().join(format!("other{n}"));
            let mut script = tokio::process::Command::new("bash");
            script.args(["-c", WRITER, "writer"]).arg(w.server.url()).arg(tree).arg(n.to_string()).env("HOME", w.directory.path());
            script.envs([
                ("GIT_AUTHOR_NAME", "o"),
                ("GIT_AUTHOR_EMAIL", "o@b"),
                ("GIT_COMMITTER_NAME", "o"),
                ("GIT_COMMITTER_EMAIL", "o@b"),
            ]);
            script.kill_on_drop(true).spawn().unwrap()
        })
        .collect();
    // Ours begin when the others are at it.
    while w.bare(&["rev-list", "--count", "main"]).parse::<usize>().unwrap() < 2 + writers / 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mut ours, mut tries) = (Vec::new(), 0);
    for n in 1..=OURS {
        let asked = Instant::now();
        loop {
            assert!(asked.elapsed() < each, "commit {n} of ours did not land within {each:?}, after {tries} tries");
            let head = w.head().await;
            tries += 1;
            match w.write(request(&head, &[("deploy/a.yaml", &n.to_string())])).await.unwrap() {
                Pushed::Landed { commit } => break ours.push(commit),
                Pushed::Lost => {
                    let random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_micros() % 150;
                    tokio::time::sleep(Duration::from_millis(u64::from(random))).await;
                }
            }
        }
    }
    for mut other in others {
        assert!(other.wait().await.unwrap().success());
    }
    // Every commit of everybody is there, once, on one line without merges.
    let log = w.bare(&["log", "--format=%s", &format!("{start}..main")]);
    let mut subjects: Vec<&str> = log.lines().filter(|line| line.starts_with("other ")).collect();
    subjects.sort_unstable();
    subjects.dedup();
    assert_eq!((subjects.len(), log.lines().count()), (10 * writers, 10 * writers + OURS));
    let parents = w.bare(&["rev-list", "--parents", &format!("{start}..main")]);
    let parent: HashMap<&str, &str> = parents.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert!(ours.iter().all(|commit| parent.contains_key(commit.as_str())));
    // And the branch never moved but from a commit to a child of it.
    let moves = std::fs::read_to_string(w.repository.bare().join("moves")).unwrap();
    for line in moves.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(parent.get(fields[1]), Some(&fields[0]), "{line}");
    }
    assert_eq!(moves.lines().count(), 10 * writers + OURS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_land_among_other_writers_and_no_commit_is_lost() {
    hammer(4, Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants the machine for itself: make faults"]
async fn ours_land_among_sixteen_writers_and_no_commit_is_lost() {
    hammer(16, Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants the machine for itself: make faults"]
async fn ours_land_among_eight_writers_and_no_commit_is_lost() {
    hammer(8, Duration::from_secs(30)).await;
}
