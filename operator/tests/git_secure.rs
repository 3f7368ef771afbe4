//! The clones over TLS (socat in front of the Git server) and SSH (sshd): who is trusted, and what is said of the others.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mainstay::clients::git::{Auth, Author, Pushed, Remote, Store, WriteRequest};
use mainstay::error::Classified;
use support::git_server::{Repository, Server};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn start(program: &str, args: &[String], port: u16) -> Process {
    let child = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let process = Process(child.unwrap_or_else(|error| panic!("{program} ({error}): make deps installs it")));
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return process;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{program} does not listen");
}

fn store(directory: &Path) -> Store {
    Store::new(directory.join("clones"), Duration::from_secs(20))
}

async fn reason(store: &Store, remote: &Remote) -> &'static str {
    match store.sync("k", remote).await {
        Ok(_) => "ok",
        Err(error) => error.reason().as_str(),
    }
}

#[tokio::test]
async fn each_repository_has_its_certificate_authority() {
    support::use_ring();
    let repository = Repository::new();
    repository.commit("main", "a", "1");
    let server = Server::new(repository.directory.path(), None).await;
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("crt", own.cert.pem()), file("key", own.signing_key.serialize_pem()));
    let port = free_port();
    let listen = format!("OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={certificate},key={key}");
    let _socat = start("socat", &[listen, format!("TCP:{}", server.address)], port).await;

    let remote = |ca: Option<&str>| Remote {
        url: format!("https://127.0.0.1:{port}/repo.git"),
        branch: None,
        auth: Auth::None,
        ca: ca.map(|pem| pem.as_bytes().to_vec()),
    };
    let store = store(directory.path());
    assert_eq!(reason(&store, &remote(Some(&own.cert.pem()))).await, "ok");
    // The authority of one repository is not that of another.
    assert_eq!(reason(&store, &remote(None)).await, "CertificateInvalid");
    assert_eq!(reason(&store, &remote(Some(&other.cert.pem()))).await, "CertificateInvalid");
    let junk = store.sync("k", &remote(Some("not a certificate"))).await.unwrap_err();
    assert_eq!(junk.reason(), "SecretInvalid");
    assert!(junk.to_string().contains("ca.crt"), "{junk}");
}

#[tokio::test]
async fn ssh_needs_a_known_host_and_the_right_key() {
    support::use_ring();
    let repository = Repository::new();
    let head = repository.commit("main", "a", "1");
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    for name in ["host", "user", "stranger"] {
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(name)]).status().unwrap();
        assert!(made.success());
    }
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    fs::copy(at("user.pub"), at("authorized")).unwrap();
    // sshd wants it, and only its own service makes it.
    fs::create_dir_all("/run/sshd").unwrap();
    let port = free_port();
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
        at("host"),
        at("authorized")
    );
    fs::write(directory.path().join("config"), config).unwrap();
    let _sshd = start("/usr/sbin/sshd", &["-D".to_owned(), "-f".to_owned(), at("config")], port).await;
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let url = format!("ssh://{}@127.0.0.1:{port}{}", user.trim(), repository.bare().display());

    let host_key = String::from_utf8(read("host.pub")).unwrap();
    let stranger_key = String::from_utf8(read("stranger.pub")).unwrap();
    let remote = |identity: &str, host_key: &str| {
        let known_hosts = format!("[127.0.0.1]:{port} {host_key}");
        let data = BTreeMap::from([("identity".to_owned(), read(identity)), ("known_hosts".to_owned(), known_hosts.into_bytes())]);
        let (auth, ca) = Auth::from_secret(&url, &data).unwrap();
        Remote { url: url.clone(), branch: None, auth, ca }
    };
    let store = store(directory.path());
    assert_eq!(store.sync("k", &remote("user", &host_key)).await.unwrap().head, head);
    let request = WriteRequest {
        branch: "main".to_owned(),
        expected: Some(head.clone()),
        parents: vec![head.clone()],
        base: head,
        files: vec![("a".to_owned(), b"2".to_vec())],
        message: "Write over SSH".to_owned(),
        author: Author { name: "a".to_owned(), email: "a@b".to_owned() },
        when: 1,
        signing: None,
    };
    let pushed = store.write("k", &remote("user", &host_key), request).await.unwrap();
    let tip = repository.git(&["--git-dir=repo.git", "rev-parse", "main"]);
    assert_eq!(pushed, Pushed::Landed { commit: tip });
    assert_eq!(reason(&store, &remote("user", &stranger_key)).await, "HostKeyUnknown");
    assert_eq!(reason(&store, &remote("stranger", &host_key)).await, "AuthenticationFailed");
    let none = Remote { auth: Auth::None, ..remote("user", &host_key) };
    assert_eq!(reason(&store, &none).await, "SecretInvalid");
}
