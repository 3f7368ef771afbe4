//! The forge as a story sees it: repositories, commits, files and tokens, through Gitea's API.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Context, Error, Result, connect::http_client};

/// A Gitea (or Forgejo) and one of its users.
#[derive(Clone)]
pub struct Forge {
    http: reqwest::Client,
    url: String,
    user: String,
    password: String,
    token: String,
}

impl std::fmt::Debug for Forge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Forge").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A commit as the forge lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its hash.
    pub sha: String,
    /// Its whole message.
    pub message: String,
    /// The author's name.
    pub author: String,
}

/// A status of a commit as the forge lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct CommitStatus {
    /// Its number: later ones are higher.
    pub id: i64,
    /// `pending`, `success`, `failure` or `error`.
    pub status: String,
    /// Its name.
    pub context: String,
    /// Its text.
    pub description: String,
    /// The page that it links to.
    pub target_url: String,
}

/// A pull request as the forge lists it.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: i64,
    /// `open` or `closed`.
    pub state: String,
    /// Its title.
    pub title: String,
}

impl Forge {
    /// The forge at `url`, as `user`.
    pub fn new(url: &str, user: &str, password: &str, token: &str) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http: http_client(None)?, url, user: user.into(), password: password.into(), token: token.into() })
    }

    /// Its base address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Who we are.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Our password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Our API token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where one of our repositories is cloned from.
    pub fn clone_url(&self, repository: &str) -> String {
        format!("{}/{}/{repository}.git", self.url, self.user)
    }

    /// Makes a repository of ours with a first commit on `main`, private or not, and gives its clone address.
    pub async fn create_repo(&self, name: &str, private: bool) -> Result<String> {
        let body = json!({"name": name, "private": private, "auto_init": true, "default_branch": "main"});
        self.send(Method::POST, "/user/repos", &body, &format!("make the repository {name}")).await?;
        Ok(self.clone_url(name))
    }

    /// Removes a repository of ours. No repository is fine.
    pub async fn delete_repo(&self, name: &str) -> Result<()> {
        let what = format!("delete the repository {name}");
        let answer = self.ask(Method::DELETE, &self.repo(name, "")).send().await.context(&what)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        checked(answer, &what).await.map(drop)
    }

    /// One commit on a branch that writes these files (`None` removes one). Gives the commit's hash.
    pub async fn commit(&self, repo: &str, branch: &str, message: &str, files: &[(&str, Option<&str>)]) -> Result<String> {
        use base64::Engine;
        let what = format!("commit to {repo}");
        let mut changes = Vec::new();
        for (path, content) in files {
            let before = self.content(repo, branch, path).await?;
            let before = before.as_ref().and_then(|file| file.get("sha")).and_then(Value::as_str);
            let content = content.map(|text| base64::engine::general_purpose::STANDARD.encode(text));
            changes.push(match (before, content) {
                (None, None) => return Err(Error::new(what, format!("{path} is to be removed and is not there"))),
                (None, Some(content)) => json!({"operation": "create", "path": path, "content": content}),
                (Some(sha), Some(content)) => json!({"operation": "update", "path": path, "content": content, "sha": sha}),
                (Some(sha), None) => json!({"operation": "delete", "path": path, "sha": sha}),
            });
        }
        let body = json!({"branch": branch, "message": message, "files": changes});
        let answer = self.send(Method::POST, &self.repo(repo, "/contents"), &body, &what).await?;
        let sha = answer.pointer("/commit/sha").and_then(Value::as_str);
        sha.map(str::to_owned).ok_or_else(|| Error::new(what, "the forge does not name the commit"))
    }

    /// Makes a branch from another one.
    pub async fn create_branch(&self, repo: &str, branch: &str, from: &str) -> Result<()> {
        let body = json!({"new_branch_name": branch, "old_ref_name": from});
        self.send(Method::POST, &self.repo(repo, "/branches"), &body, &format!("make the branch {branch}")).await.map(drop)
    }

    /// Removes a branch.
    pub async fn delete_branch(&self, repo: &str, branch: &str) -> Result<()> {
        let what = format!("delete the branch {branch}");
        let path = self.repo(repo, &format!("/branches/{}", branch.replace('/', "%2F")));
        let answer = self.ask(Method::DELETE, &path).send().await.context(&what)?;
        checked(answer, &what).await.map(drop)
    }

    /// Opens a pull request from a branch to main. Gives its number.
    pub async fn open_pull_request(&self, repo: &str, branch: &str, title: &str) -> Result<i64> {
        let body = json!({"head": branch, "base": "main", "title": title});
        let answer = self.send(Method::POST, &self.repo(repo, "/pulls"), &body, &format!("open a pull request from {branch}")).await?;
        answer.get("number").and_then(Value::as_i64).ok_or_else(|| Error::new("open a pull request", "the forge does not number it"))
    }

    /// All pull requests, open and closed, the newest first.
    pub async fn pull_requests(&self, repo: &str) -> Result<Vec<PullRequest>> {
        let what = format!("list the pull requests of {repo}");
        let answer = self.ask(Method::GET, &self.repo(repo, "/pulls?state=all&limit=50")).send().await.context(&what)?;
        checked(answer, &what).await?.json().await.context(what)
    }

    /// Merges a pull request in one of the forge's ways: `merge`, `squash` or `rebase`.
    pub async fn merge_pull_request(&self, repo: &str, number: i64, way: &str) -> Result<()> {
        let what = format!("merge pull request {number}");
        let path = self.repo(repo, &format!("/pulls/{number}/merge"));
        let begun = std::time::Instant::now();
        loop {
            let answer = self.ask(Method::POST, &path).json(&json!({"Do": way})).send().await.context(&what)?;
            // Gitea works out in the background whether it can be merged, and says so until it knows.
            if answer.status() != StatusCode::METHOD_NOT_ALLOWED || begun.elapsed() > std::time::Duration::from_secs(30) {
                return checked(answer, &what).await.map(drop);
            }
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    }

    /// Protects a branch so that nobody may push to it.
    pub async fn protect_branch(&self, repo: &str, branch: &str) -> Result<()> {
        let body = json!({"rule_name": branch, "enable_push": false});
        let path = self.repo(repo, "/branch_protections");
        self.send(Method::POST, &path, &body, &format!("protect the branch {branch}")).await.map(drop)
    }

    /// The text of a file at a branch, tag or commit; `None` if there is no such file.
    pub async fn read_file(&self, repo: &str, reference: &str, path: &str) -> Result<Option<String>> {
        let what = format!("read {path} of {repo}");
        let at = format!("{}?ref={reference}", self.repo(repo, &format!("/raw/{path}")));
        let answer = self.ask(Method::GET, &at).send().await.context(&what)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        checked(answer, &what).await?.text().await.map(Some).context(what)
    }

    /// The newest commits of a branch, the newest first (at most fifty).
    pub async fn commits(&self, repo: &str, branch: &str) -> Result<Vec<Commit>> {
        let what = format!("list the commits of {repo}");
        let at = self.repo(repo, &format!("/commits?sha={branch}&limit=50&stat=false&files=false&verification=false"));
        let answer = self.ask(Method::GET, &at).send().await.context(&what)?;
        let list: Value = checked(answer, &what).await?.json().await.context(&what)?;
        let text = |commit: &Value, at: &str| commit.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let commit = |one: &Value| Commit {
            sha: text(one, "/sha"),
            message: text(one, "/commit/message"),
            author: text(one, "/commit/author/name"),
        };
        Ok(list.as_array().into_iter().flatten().map(commit).collect())
    }

    /// The commit that a branch is at: the cheapest question there is.
    ///
    /// # Errors
    /// Where the forge does not answer, or has no such branch.
    pub async fn head(&self, repo: &str, branch: &str) -> Result<String> {
        let what = format!("look at branch {branch} of {repo}");
        let answer = self.ask(Method::GET, &self.repo(repo, &format!("/git/refs/heads/{branch}"))).send().await.context(&what)?;
        let list: Value = checked(answer, &what).await?.json().await.context(&what)?;
        let sha = list.pointer("/0/object/sha").and_then(Value::as_str);
        sha.map(str::to_owned).ok_or_else(|| Error::new(what, "there is none"))
    }

    /// Lets the forge tell this address of every push, signed with `secret`. Gives the hook's number.
    pub async fn create_hook(&self, repo: &str, url: &str, secret: &str) -> Result<i64> {
        let config = json!({"url": url, "content_type": "json", "secret": secret});
        let body = json!({"type": "gitea", "config": config, "events": ["push"], "active": true});
        let what = format!("make a webhook of {repo}");
        let answer = self.send(Method::POST, &self.repo(repo, "/hooks"), &body, &what).await?;
        answer.get("id").and_then(Value::as_i64).ok_or_else(|| Error::new(what, "the forge does not number it"))
    }

    /// Removes a hook.
    pub async fn delete_hook(&self, repo: &str, number: i64) -> Result<()> {
        let what = format!("remove webhook {number} of {repo}");
        let answer = self.ask(Method::DELETE, &self.repo(repo, &format!("/hooks/{number}"))).send().await.context(&what)?;
        checked(answer, &what).await.map(drop)
    }

    /// Every status that was ever written at a commit, the oldest first.
    pub async fn commit_statuses(&self, repo: &str, commit: &str) -> Result<Vec<CommitStatus>> {
        let what = format!("list the statuses of {commit}");
        let answer =
            self.ask(Method::GET, &self.repo(repo, &format!("/commits/{commit}/statuses?limit=50"))).send().await.context(&what)?;
        let mut all: Vec<CommitStatus> = checked(answer, &what).await?.json().await.context(&what)?;
        all.sort_by_key(|one| one.id);
        Ok(all)
    }

    /// Puts a file into the forge's store of packages, in place of one by that name, where all may read it. Gives the address of the folder that it is in.
    pub async fn publish(&self, package: &str, version: &str, file: &str, content: Vec<u8>) -> Result<String> {
        let what = format!("publish {file}");
        let folder = format!("{}/api/packages/{}/generic/{package}/{version}", self.url, self.user);
        let at = format!("{folder}/{file}");
        let removed = self.http.delete(&at).basic_auth(&self.user, Some(&self.token)).send().await.context(&what)?;
        if removed.status() != StatusCode::NOT_FOUND {
            checked(removed, &what).await?;
        }
        let put = self.http.put(&at).basic_auth(&self.user, Some(&self.token)).body(content).send().await.context(&what)?;
        checked(put, &what).await.map(|_| folder)
    }

    /// Makes an API token of ours, such as with the scopes `["write:repository"]`. It also serves as a password for Git.
    pub async fn create_token(&self, name: &str, scopes: &[&str]) -> Result<String> {
        let what = format!("make the token {name}");
        let url = format!("{}/api/v1/users/{}/tokens", self.url, self.user);
        let ask = self.http.post(url).basic_auth(&self.user, Some(&self.password));
        let answer = ask.json(&json!({"name": name, "scopes": scopes})).send().await.context(&what)?;
        let token: Value = checked(answer, &what).await?.json().await.context(&what)?;
        let token = token.get("sha1").and_then(Value::as_str);
        token.map(str::to_owned).ok_or_else(|| Error::new(what, "the forge does not give it"))
    }

    /// Takes a token back by its name.
    pub async fn delete_token(&self, name: &str) -> Result<()> {
        let what = format!("delete the token {name}");
        let url = format!("{}/api/v1/users/{}/tokens/{name}", self.url, self.user);
        let answer = self.http.delete(url).basic_auth(&self.user, Some(&self.password)).send().await.context(&what)?;
        checked(answer, &what).await.map(drop)
    }

    /// Calls the API at `path` (below `/api/v1`) for what has no method here.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        self.send(method.clone(), path, body, &format!("{method} {path}")).await
    }

    async fn content(&self, repo: &str, branch: &str, path: &str) -> Result<Option<Value>> {
        let what = format!("look at {path} of {repo}");
        let at = self.repo(repo, &format!("/contents/{path}?ref={branch}"));
        let answer = self.ask(Method::GET, &at).send().await.context(&what)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        checked(answer, &what).await?.json().await.map(Some).context(what)
    }

    async fn send(&self, method: Method, path: &str, body: &Value, what: &str) -> Result<Value> {
        let answer = self.ask(method, path).json(body).send().await.context(what)?;
        let text = checked(answer, what).await?.text().await.context(what)?;
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).context(what) }
    }

    fn repo(&self, name: &str, below: &str) -> String {
        format!("/repos/{}/{name}{below}", self.user)
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.url)).header("Authorization", format!("token {}", self.token))
    }
}

async fn checked(answer: reqwest::Response, what: &str) -> Result<reqwest::Response> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let words = answer.text().await.unwrap_or_default();
    Err(Error::new(what, format!("the forge answers {status}: {}", words.chars().take(300).collect::<String>())))
}
