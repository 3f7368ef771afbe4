use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::address::ForgeKind;
use super::client::Forge;
use super::error::ForgeError;

/// Statuses of one page, and pages that are looked through: more contexts than that has no commit that people read.
const PAGE: usize = 50;
const MAX_PAGES: usize = 10;

/// A status that the forge shows at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// Its name.
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// One line.
    pub description: String,
    /// The page that it links to.
    pub target_url: Option<String>,
}

/// The newest status of each context.
#[derive(Deserialize)]
struct Combined {
    #[serde(default)]
    statuses: Option<Vec<Answer>>,
}

#[derive(Deserialize)]
struct Answer {
    context: String,
    /// Gitea calls it so.
    #[serde(alias = "status")]
    state: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    target_url: Option<String>,
}

impl Forge {
    /// What the forge shows at a commit (40 hex digits) under this name; `None` where there is nothing.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn commit_status(&self, commit: &str, context: &str) -> Result<Option<CommitStatus>, ForgeError> {
        let size = PAGE.to_string();
        let size_is = if self.address().kind == ForgeKind::Gitea { "limit" } else { "per_page" };
        for page in 1..=MAX_PAGES {
            let url = self.url(&["commits", commit, "status"], &[(size_is, &size), ("page", &page.to_string())]);
            let combined: Combined = self.call(Method::GET, url, None).await?;
            let all = combined.statuses.unwrap_or_default();
            let full = all.len() >= PAGE;
            if let Some(found) = all.into_iter().find(|one| one.context == context) {
                return Ok(Some(found.into()));
            }
            if !full {
                break;
            }
        }
        Ok(None)
    }

    /// Writes a status at a commit.
    ///
    /// # Errors
    /// What the forge says.
    pub async fn set_commit_status(&self, commit: &str, status: &CommitStatus) -> Result<(), ForgeError> {
        let mut request = json!({"context": status.context, "state": status.state, "description": status.description});
        if let (Some(target), Some(fields)) = (&status.target_url, request.as_object_mut()) {
            fields.insert("target_url".to_owned(), json!(target));
        }
        let _: serde_json::Value = self.call(Method::POST, self.url(&["statuses", commit], &[]), Some(&request)).await?;
        Ok(())
    }
}

impl From<Answer> for CommitStatus {
    fn from(answer: Answer) -> Self {
        let Answer { context, state, description, target_url } = answer;
        Self { context, state, description: description.unwrap_or_default(), target_url: target_url.filter(|url| !url.is_empty()) }
    }
}
