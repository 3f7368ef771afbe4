//! `git http-backend` behind HTTP on loopback, with or without a password and TLS; and a repository to serve.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// A bare repository that a person pushes to.
pub struct Repository {
    pub directory: TempDir,
}

impl Repository {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = Self { directory };
        repository.git(&["init", "--quiet", "--bare", "--initial-branch=main", "repo.git"]);
        repository.git(&["init", "--quiet", "--initial-branch=main", "work"]);
        for (key, value) in [("http.receivepack", "true"), ("receive.autogc", "false")] {
            repository.git(&["--git-dir=repo.git", "config", key, value]);
        }
        repository
    }

    pub fn bare(&self) -> PathBuf {
        self.directory.path().join("repo.git")
    }

    pub fn tree(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(self.directory.path(), args)
    }

    pub fn work(&self, args: &[&str]) -> String {
        git(&self.tree(), args)
    }

    /// A hook of the bare repository: a shell script.
    pub fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.bare().join("hooks").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Writes a file, commits everything and pushes the branch. Gives the commit.
    pub fn commit(&self, branch: &str, path: &str, text: &str) -> String {
        let file = self.tree().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        self.push(branch)
    }

    /// Commits what is in the work tree and pushes it, whatever was there.
    pub fn push(&self, branch: &str) -> String {
        self.work(&["add", "--all"]);
        self.work(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        self.work(&["push", "--quiet", "--force", "../repo.git", &format!("HEAD:refs/heads/{branch}")]);
        self.work(&["rev-parse", "HEAD"])
    }
}

fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory)
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The connection ends in the middle of the answer.
pub const CUT: u16 = 1;
/// No answer comes.
pub const HANG: u16 = 2;

/// How the server behaves.
#[derive(Default)]
pub struct Behaviour {
    /// `Authorization` that it wants.
    pub authorization: Option<String>,
    /// Status that it answers instead, while it is not 0.
    pub instead: AtomicU16,
    /// Requests that it got.
    pub requests: AtomicUsize,
    /// What becomes of the answer to the next push, which itself is done: [`CUT`], [`HANG`], or a status that is sent instead.
    pub answer_of_push: AtomicU16,
}

/// A server. It ends with the test's runtime.
pub struct Server {
    pub address: SocketAddr,
    pub behaviour: Arc<Behaviour>,
}

impl Server {
    pub async fn new(root: &Path, authorization: Option<&str>) -> Self {
        let behaviour = Arc::new(Behaviour { authorization: authorization.map(str::to_owned), ..Behaviour::default() });
        let state = (root.to_owned(), behaviour.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve).with_state(state)).await.unwrap() });
        Self { address, behaviour }
    }

    pub fn url(&self) -> String {
        format!("http://{}/repo.git", self.address)
    }
}

async fn serve(
    State((root, behaviour)): State<(PathBuf, Arc<Behaviour>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    behaviour.requests.fetch_add(1, Ordering::SeqCst);
    let answer = |status: u16| Response::builder().status(status).header(header::RETRY_AFTER, "7").body(Body::from("no")).unwrap();
    let instead = behaviour.instead.load(Ordering::SeqCst);
    if instead != 0 {
        return answer(instead);
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if behaviour.authorization.as_deref().is_some_and(|wanted| given != Some(wanted)) {
        return answer(401);
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", &root)
        .env("GIT_PROJECT_ROOT", &root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", kind)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    let output = child.wait_with_output().await.unwrap().stdout;
    if uri.path().ends_with("/git-receive-pack") {
        match behaviour.answer_of_push.swap(0, Ordering::SeqCst) {
            0 => {}
            CUT => {
                let cut = futures::stream::iter([Ok(Bytes::from("00")), Err(std::io::Error::other("cut"))]);
                return Response::new(Body::from_stream(cut));
            }
            HANG => std::future::pending().await,
            status => return answer(status),
        }
    }
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    let mut status = StatusCode::OK;
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            status = value.split(' ').next().unwrap().parse().unwrap();
        } else {
            response = response.header(name, value);
        }
    }
    response.status(status).body(Body::from(output[end + 4..].to_vec())).unwrap()
}
