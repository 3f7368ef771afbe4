use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::address::ForgeKind;
use super::client::Forge;
use super::error::ForgeError;

/// Pull requests of one page: small enough for the limit of an answer, whatever stands in them.
const PAGE: usize = 20;

/// Pages of open pull requests that are looked through.
const MAX_PAGES: usize = 50;

/// Whether a pull request waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Open,
    /// It was merged or given up.
    Closed,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// Open or closed.
    pub state: State,
    /// Whether it was merged.
    pub merged: bool,
    /// Title.
    pub title: String,
    /// Body; empty where there is none.
    pub body: String,
    /// The newest commit of its branch. Gitea says of a closed one what the branch is at now, if there is a branch of that name.
    pub head_sha: String,
}

/// What both forges answer.
#[derive(Deserialize)]
struct Answer {
    number: u64,
    html_url: String,
    state: State,
    /// Gitea says it in lists too, GitHub only the time.
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    merged_at: Option<String>,
    title: String,
    #[serde(default)]
    body: Option<String>,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    /// `owner:branch` on GitHub; on Gitea the branch, also after it was deleted, when `ref` is `refs/pull/<number>/head`.
    #[serde(default)]
    label: Option<String>,
    r#ref: String,
    sha: String,
    /// `None` where the repository was deleted.
    #[serde(default)]
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    full_name: String,
}

impl From<Answer> for PullRequest {
    fn from(answer: Answer) -> Self {
        Self {
            number: answer.number,
            url: answer.html_url,
            state: answer.state,
            merged: answer.merged || answer.merged_at.is_some(),
            title: answer.title,
            body: answer.body.unwrap_or_default(),
            head_sha: answer.head.sha,
        }
    }
}

impl Forge {
    /// The pull requests from a branch of this repository: the open ones, and of the closed ones those among the last to change.
    ///
    /// # Errors
    /// What the forge says, or [`ForgeError::ResponseInvalid`] where it has no end of open pull requests.
    pub async fn find(&self, branch: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let mut found: Vec<Answer> = self.page("all", branch, 1).await?;
        let full = !found.is_empty();
        self.keep(branch, &mut found);
        // Gitea cannot be asked for a branch: an open one that nobody touched for long is on a later page.
        let ask_on = full && self.address().kind == ForgeKind::Gitea && !found.iter().any(|one| one.state == State::Open);
        for page in (1..=MAX_PAGES).take_while(|_| ask_on) {
            let mut open = self.page("open", branch, page).await?;
            if open.is_empty() {
                break;
            }
            self.keep(branch, &mut open);
            if !open.is_empty() {
                found.append(&mut open);
                break;
            }
            if page == MAX_PAGES {
                let message = format!("there are more than {} open pull requests", PAGE * MAX_PAGES);
                return Err(ForgeError::ResponseInvalid { what: self.what(), message });
            }
        }
        // The open one first.
        found.sort_by_key(|one| one.state != State::Open);
        Ok(found.into_iter().map(PullRequest::from).collect())
    }

    /// Opens a pull request from one branch of this repository to another.
    ///
    /// # Errors
    /// [`ForgeError::Conflict`] where there is one already, or what the forge says.
    pub async fn open(&self, title: &str, body: &str, head: &str, base: &str) -> Result<PullRequest, ForgeError> {
        let request = json!({"title": title, "body": body, "head": head, "base": base});
        let answer: Answer = self.call(Method::POST, self.url(&["pulls"], &[]), Some(&request)).await?;
        Ok(answer.into())
    }

    /// Gives a pull request another title and body.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn update(&self, number: u64, title: &str, body: &str) -> Result<PullRequest, ForgeError> {
        self.patch(number, &json!({"title": title, "body": body})).await
    }

    /// Closes a pull request, and says why. Closed first: what fails between the two is not said, rather than said again and again.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn close(&self, number: u64, comment: &str) -> Result<PullRequest, ForgeError> {
        let closed = self.patch(number, &json!({"state": "closed"})).await?;
        let url = self.url(&["issues", &number.to_string(), "comments"], &[]);
        let _: serde_json::Value = self.call(Method::POST, url, Some(&json!({"body": comment}))).await?;
        Ok(closed)
    }

    async fn patch(&self, number: u64, change: &serde_json::Value) -> Result<PullRequest, ForgeError> {
        let url = self.url(&["pulls", &number.to_string()], &[]);
        let answer: Answer = self.call(Method::PATCH, url, Some(change)).await?;
        Ok(answer.into())
    }

    /// One page of pull requests, the last to change first.
    async fn page(&self, state: &str, branch: &str, page: usize) -> Result<Vec<Answer>, ForgeError> {
        let (size, page) = (PAGE.to_string(), page.to_string());
        let head = format!("{}:{branch}", self.address().owner);
        let query: &[(&str, &str)] = match self.address().kind {
            ForgeKind::Gitea => &[("state", state), ("sort", "recentupdate"), ("limit", &size), ("page", &page)],
            ForgeKind::GitHub => {
                &[("state", state), ("head", &head), ("sort", "updated"), ("direction", "desc"), ("per_page", &size), ("page", &page)]
            }
        };
        self.call(Method::GET, self.url(&["pulls"], query), None).await
    }

    /// Those from the branch in this repository: a fork may have a branch of the same name.
    fn keep(&self, branch: &str, answers: &mut Vec<Answer>) {
        let full_name = format!("{}/{}", self.address().owner, self.address().repo);
        answers.retain(|one| {
            let ours = one.head.repo.as_ref().is_some_and(|repo| repo.full_name.eq_ignore_ascii_case(&full_name));
            ours && (one.head.r#ref == branch || one.head.label.as_deref() == Some(branch))
        });
    }
}
