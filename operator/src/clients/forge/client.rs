use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::address::{Address, ForgeKind};
use super::error::ForgeError;
use crate::clients::authorities;

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest answer that is read, and longest text of an error that is shown.
const MAX_BODY: usize = 1 << 20;
const MAX_SAID: usize = 200;

/// Longest pause that a forge may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Where a repository is, and how to get in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Forge and repository.
    pub address: Address,
    /// A token of one who may do what is asked for.
    pub token: SecretString,
    /// Where the token is from, for errors: which key of which Secret, and the field that names it.
    pub token_from: String,
    /// What the token must allow, for errors: `read and write pull requests`.
    pub purpose: &'static str,
    /// Certificate authority in PEM, in addition to the usual ones.
    pub ca: Option<Vec<u8>>,
    /// Longest time for one request.
    pub deadline: Duration,
}

/// A client for one repository. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forge {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    http: Client,
}

impl Forge {
    /// A client.
    ///
    /// # Errors
    /// [`ForgeError::Credentials`] where the certificate authority is none, or the token cannot be sent.
    pub fn new(settings: Settings) -> Result<Self, ForgeError> {
        let credentials = |text: &str| ForgeError::Credentials(text.to_owned());
        let scheme = match settings.address.kind {
            ForgeKind::Gitea => "token",
            ForgeKind::GitHub => "Bearer",
        };
        let mut authorization = HeaderValue::from_str(&format!("{scheme} {}", settings.token.expose_secret().trim()))
            .map_err(|_| credentials("the token has characters that cannot be sent"))?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        if settings.address.kind == ForgeKind::GitHub {
            headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
            headers.insert(HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28"));
        } else {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        let mut builder = Client::builder()
            .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT.min(settings.deadline))
            .timeout(settings.deadline)
            // The token is for this host only; and a redirected POST would become a GET.
            .redirect(reqwest::redirect::Policy::none());
        builder = authorities::of_client(settings.ca.as_deref())
            .map_err(|message| credentials(&message))?
            .into_iter()
            .fold(builder, reqwest::ClientBuilder::add_root_certificate);
        let http = builder.build().map_err(|error| ForgeError::Credentials(error.to_string()))?;
        Ok(Self { inner: Arc::new(Inner { settings, http }) })
    }

    pub(super) fn address(&self) -> &Address {
        &self.inner.settings.address
    }

    /// How an error names the repository.
    pub(super) fn what(&self) -> String {
        let Address { api, owner, repo, .. } = self.address();
        format!("{}/{owner}/{repo}", api.host_str().unwrap_or_default())
    }

    /// The URL of something below the repository. Each part is escaped: none leads elsewhere.
    pub(super) fn url(&self, parts: &[&str], query: &[(&str, &str)]) -> Url {
        let Address { api, owner, repo, .. } = self.address();
        let mut url = api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["repos", owner, repo]).extend(parts);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// One request, and its answer as JSON.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&serde_json::Value>,
    ) -> Result<T, ForgeError> {
        let request = self.inner.http.request(method, url);
        let request = if let Some(body) = body { request.json(body) } else { request };
        let response = request.send().await.map_err(|error| self.unavailable(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            // A page that cannot be read says nothing, which is fine.
            let page = self.body(response).await.unwrap_or_default();
            return Err(self.refusal(status, &headers, &page));
        }
        let body = self.body(response).await?;
        // The error of serde may quote what it read: only the place is passed on.
        serde_json::from_slice(&body).map_err(|error| ForgeError::ResponseInvalid {
            what: self.what(),
            message: format!("it is not the JSON that was expected (line {}, column {})", error.line(), error.column()),
        })
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, page: &[u8]) -> ForgeError {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (what, token_from) = (self.what(), self.inner.settings.token_from.clone());
        let after = pause(header(RETRY_AFTER.as_str()), header("x-ratelimit-reset"), Timestamp::now());
        let said = said(page);
        let message = format!("HTTP {status}{}{said}", if said.is_empty() { "" } else { ", " });
        // GitHub says 403 to a spent quota.
        let spent = header("x-ratelimit-remaining") == Some("0") || headers.contains_key(RETRY_AFTER);
        match status {
            StatusCode::FORBIDDEN if spent => ForgeError::Throttled { what, after },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                ForgeError::Unauthorized { what, message, token_from, purpose: self.inner.settings.purpose }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => ForgeError::NotFound { what, message, token_from },
            StatusCode::CONFLICT => ForgeError::Conflict { what, message },
            StatusCode::UNPROCESSABLE_ENTITY if said.contains("already exists") => ForgeError::Conflict { what, message },
            StatusCode::TOO_MANY_REQUESTS => ForgeError::Throttled { what, after },
            StatusCode::REQUEST_TIMEOUT => ForgeError::Unavailable { what, message, after },
            _ if status.is_server_error() => ForgeError::Unavailable { what, message, after },
            _ if status.is_redirection() => {
                // Only the host and the path: the rest is none of a status.
                let there = header(LOCATION.as_str()).and_then(|there| self.address().api.join(there).ok());
                let there = there.map(|url| format!(" to {}{}", url.host_str().unwrap_or_default(), url.path())).unwrap_or_default();
                ForgeError::Moved { what, message: one_line(&format!("HTTP {status}{there}")) }
            }
            _ => ForgeError::Rejected { what, message },
        }
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, ForgeError> {
        let mut all = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| self.unavailable(&error))?;
            if all.len() + piece.len() > MAX_BODY {
                let message = format!("it is longer than {MAX_BODY} bytes");
                return Err(ForgeError::ResponseInvalid { what: self.what(), message });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    fn unavailable(&self, error: &reqwest::Error) -> ForgeError {
        let mut last: &dyn std::error::Error = error;
        while let Some(source) = last.source() {
            last = source;
        }
        let message = if error.is_timeout() { "no answer in time".to_owned() } else { last.to_string() };
        let what = self.what();
        if message.contains("certificate") || message.contains("UnknownIssuer") {
            ForgeError::CertificateInvalid { what, message }
        } else {
            ForgeError::Unavailable { what, message, after: None }
        }
    }
}

/// The forge's own words: `message`, and those of `errors` that GitHub adds.
fn said(page: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(page).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().or_else(|| value.get("message")?.as_str()).map(str::to_owned);
    let errors = value.get("errors").and_then(serde_json::Value::as_array).into_iter().flatten();
    let words: Vec<String> = text(&value).into_iter().chain(errors.filter_map(text)).collect();
    one_line(&words.join(": "))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SAID).collect()
}

/// `Retry-After` in seconds, or the time at which GitHub's quota is new.
fn pause(retry_after: Option<&str>, reset: Option<&str>, now: Timestamp) -> Option<Duration> {
    let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
    let until = || reset?.trim().parse::<i64>().ok().map(|at| u64::try_from(at.saturating_sub(now.as_second())).unwrap_or_default());
    seconds.or_else(until).map(|seconds| Duration::from_secs(seconds).min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_the_time_of_a_new_quota() {
        let now = Timestamp::from_second(1000).unwrap();
        assert_eq!(pause(Some("17"), Some("1030"), now), Some(Duration::from_secs(17)));
        assert_eq!(pause(None, Some("1030"), now), Some(Duration::from_secs(30)));
        assert_eq!(pause(None, Some("10"), now), Some(Duration::ZERO));
        assert_eq!(pause(Some("99999999"), None, now), Some(MAX_PAUSE));
        assert_eq!(pause(Some("soon"), None, now), None);
    }

    #[test]
    fn the_forge_is_quoted_in_one_short_line() {
        let page = br#"{"message":"Validation\nFailed","errors":[{"resource":"PullRequest","message":"A pull request already exists for o:b."},"x"]}"#;
        assert_eq!(said(page), "Validation Failed: A pull request already exists for o:b.: x");
        assert_eq!(said(b"<html>"), "");
    }
}
