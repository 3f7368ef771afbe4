//! All tags of a repository, page by page. Pages follow the `Link` header and nothing else: some registries ignore `n` and `last`, others have
//! opaque cursors (note crates, section 2).

use std::collections::HashSet;

use reqwest::header::LINK;
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::client::{Registry, body, check};
use super::error::RegistryError;

const PAGE: usize = 1000;
const MAX_PAGES: usize = 1000;
const MAX_TAGS: usize = 100_000;
const MAX_PAGE_BYTES: usize = 8 << 20;

#[derive(Deserialize)]
struct Page {
    // Registries answer null for none.
    tags: Option<Vec<String>>,
}

impl Registry {
    /// All tags, in the order of the registry. A repository that does not exist has none. What is attached to an image lies under a tag too where
    /// the registry has no referrers: those name no image.
    ///
    /// # Errors
    /// Where the registry does not answer, or its pages make no sense.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let mut all = self.all_tags(repository).await?;
        all.retain(|tag| !is_of_referrers(tag));
        Ok(all)
    }

    async fn all_tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let what = self.what(repository);
        let invalid = |message: String| RegistryError::ResponseInvalid { what: what.clone(), message };
        let mut next = format!("{}/v2/{repository}/tags/list?n={PAGE}", self.base());
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.send(repository, "pull", |http| Ok(http.get(&next))).await?;
            if response.status() == StatusCode::NOT_FOUND && all.is_empty() {
                return Ok(all);
            }
            let response = check(&what, response).await?;
            let link = response.headers().get(LINK).and_then(|value| value.to_str().ok()).and_then(following).map(str::to_owned);
            let page: Page =
                serde_json::from_slice(&body(&what, response, MAX_PAGE_BYTES).await?).map_err(|error| invalid(format!("tags: {error}")))?;
            let before = all.len();
            all.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| seen.insert(tag.clone())));
            if all.len() > MAX_TAGS {
                return Err(invalid(format!("more than {MAX_TAGS} tags")));
            }
            // A page that brings nothing new would come again for ever.
            let Some(link) = link.filter(|_| all.len() > before) else { return Ok(all) };
            let here = Url::parse(&next).map_err(|error| invalid(error.to_string()))?;
            let there = here.join(&link).map_err(|error| invalid(format!("Link {link:?}: {error}")))?;
            if there.origin() != here.origin() {
                return Err(invalid(format!("Link leads to another host: {link:?}")));
            }
            next = there.to_string();
        }
        Err(invalid(format!("more than {MAX_PAGES} pages of tags")))
    }
}

/// `sha256-<64 digits>`, with or without an ending: referrers by the specification's fallback, signatures as cosign kept them before it.
fn is_of_referrers(tag: &str) -> bool {
    let digits = tag.strip_prefix("sha256-").and_then(|rest| rest.get(..64));
    digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The target of `<target>; rel="next"`.
fn following(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, attributes) = link.trim().strip_prefix('<')?.split_once('>')?;
        attributes.split(';').any(|a| matches!(a.trim(), "rel=\"next\"" | "rel=next")).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_attached_is_no_image() {
        let digits = "0a".repeat(32);
        assert!(is_of_referrers(&format!("sha256-{digits}")) && is_of_referrers(&format!("sha256-{digits}.sig")));
        assert!(!is_of_referrers("sha256-0a") && !is_of_referrers("v1.0-3b9e0d1"));
    }

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(following(r#"</v2/x/tags/list?last=b&n=2>; rel="next""#), Some("/v2/x/tags/list?last=b&n=2"));
        assert_eq!(following(r#"<a>; rel="prev", <b>; rel=next"#), Some("b"));
        assert_eq!(following("<a>"), None);
    }
}
