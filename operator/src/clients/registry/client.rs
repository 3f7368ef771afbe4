use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;

use super::auth::{Challenge, Token, challenge};
use super::credential::Credential;
use super::error::RegistryError;
use crate::clients::authorities;

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest text of an error that is looked at.
const MAX_ERROR_BODY: usize = 4096;

/// Longest pause that a registry may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Where a registry is, and how to get in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host[:port]`.
    pub endpoint: String,
    /// No TLS.
    pub plain_http: bool,
    /// Certificate authority in PEM, in addition to the usual ones.
    pub ca: Option<Vec<u8>>,
    /// Who we are there.
    pub credential: Option<Credential>,
    /// Longest time between two pieces of an answer, or of a blob that is sent.
    pub deadline: Duration,
}

/// A client for one registry with one credential. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    http: Client,
    /// Without a limit for a whole request: reqwest's counts the time in which a body is sent. Uploads watch their bytes themselves.
    patient: Client,
    tokens: Mutex<HashMap<String, Token>>,
    basic: Mutex<bool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

impl Registry {
    /// A client.
    ///
    /// # Errors
    /// Where the certificate authority is none.
    pub fn new(settings: Settings) -> Result<Self, RegistryError> {
        let authorities = authorities::of_client(settings.ca.as_deref()).map_err(RegistryError::Credentials)?;
        let builder = || {
            let builder = Client::builder()
                .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                // Blobs may lie elsewhere; reqwest drops the credentials where the host changes.
                .redirect(reqwest::redirect::Policy::limited(5));
            authorities.iter().cloned().fold(builder, reqwest::ClientBuilder::add_root_certificate)
        };
        let unusable = |error: reqwest::Error| RegistryError::Credentials(error.to_string());
        let http = builder().read_timeout(settings.deadline).build().map_err(unusable)?;
        let patient = builder().build().map_err(unusable)?;
        Ok(Self { inner: Arc::new(Inner { settings, http, patient, tokens: Mutex::default(), basic: Mutex::new(false) }) })
    }

    pub(super) fn base(&self) -> String {
        let scheme = if self.inner.settings.plain_http { "http" } else { "https" };
        format!("{scheme}://{}", self.inner.settings.endpoint)
    }

    pub(super) fn http(&self) -> &Client {
        &self.inner.http
    }

    /// A client whose requests may take long.
    pub(super) fn patient(&self) -> &Client {
        &self.inner.patient
    }

    pub(super) fn deadline(&self) -> Duration {
        self.inner.settings.deadline
    }

    pub(super) fn credential(&self) -> Option<&Credential> {
        self.inner.settings.credential.as_ref()
    }

    /// How an error names a repository.
    pub(super) fn what(&self, repository: &str) -> String {
        format!("{}/{repository}", self.inner.settings.endpoint)
    }

    /// Sends a request that `make` can make again: the first may be answered by a challenge. `actions` is `pull` or `pull,push`,
    /// with a further scope after a blank where another repository takes part.
    pub(super) async fn send(
        &self,
        repository: &str,
        actions: &str,
        make: impl Fn(&Client) -> Result<RequestBuilder, RegistryError> + Sync,
    ) -> Result<Response, RegistryError> {
        let what = self.what(repository);
        let scope = format!("repository:{repository}:{actions}");
        // Whether this very request had the password: another one may learn in the meantime that it is wanted.
        let with_password = self.basic();
        let response = self.once(&what, &scope, make(&self.inner.http)?).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let asked = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).and_then(challenge);
        match asked {
            Some(Challenge::Basic) if self.credential().is_some() && !with_password => {
                *self.inner.basic.lock().unwrap_or_else(PoisonError::into_inner) = true;
            }
            Some(Challenge::Bearer { realm, service }) => {
                let token = self.token(&what, &realm, service.as_deref(), &scope).await?;
                self.inner.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), token);
            }
            _ => return Ok(response),
        }
        self.once(&what, &scope, make(&self.inner.http)?).await
    }

    async fn once(&self, what: &str, scope: &str, request: RequestBuilder) -> Result<Response, RegistryError> {
        let token = self
            .inner
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(scope)
            .filter(|token| token.until > Instant::now())
            .cloned();
        let request = match (token, self.credential()) {
            (Some(token), _) => request.bearer_auth(token.text.expose_secret()),
            (None, Some(credential)) if self.basic() => request.basic_auth(&credential.username, Some(credential.password.expose_secret())),
            _ => request,
        };
        request.send().await.map_err(|error| unavailable(what, &error))
    }

    /// Whether the registry is known to want Basic: then there is no need to be asked each time.
    fn basic(&self) -> bool {
        *self.inner.basic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error for every answer that is not a success.
pub(super) async fn check(what: &str, response: Response) -> Result<Response, RegistryError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| pause(value, Timestamp::now()));
    let what = what.to_owned();
    let page = body(&what, response, MAX_ERROR_BODY).await.unwrap_or_default();
    let message = format!("HTTP {status}{}", said(&page));
    Err(match status {
        StatusCode::UNAUTHORIZED => RegistryError::Unauthorized { what, message },
        StatusCode::FORBIDDEN => RegistryError::Forbidden { what, message },
        StatusCode::NOT_FOUND => RegistryError::NotFound { what, message },
        StatusCode::TOO_MANY_REQUESTS => RegistryError::Throttled { what, after },
        StatusCode::REQUEST_TIMEOUT => RegistryError::Unavailable { what, message, after },
        _ if status.is_server_error() => RegistryError::Unavailable { what, message, after },
        _ => RegistryError::ResponseInvalid { what, message },
    })
}

/// The registry's own words, where it speaks the error format of the specification.
fn said(page: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(page).unwrap_or_default();
    let error = value.pointer("/errors/0");
    let word = |key: &str| {
        error.and_then(|e| e.get(key)).and_then(serde_json::Value::as_str).map(|text| text.chars().take(200).collect::<String>())
    };
    match (word("code"), word("message")) {
        (Some(code), Some(message)) => format!(", {code}: {message}"),
        (Some(code), None) => format!(", {code}"),
        _ => String::new(),
    }
}

/// The body, up to a limit.
pub(super) async fn body(what: &str, response: Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
    let mut all = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| unavailable(what, &error))?;
        if all.len() + piece.len() > limit {
            return Err(RegistryError::ResponseInvalid { what: what.to_owned(), message: format!("it is longer than {limit} bytes") });
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// A request that got no answer.
pub(super) fn unavailable(what: &str, error: &reqwest::Error) -> RegistryError {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let message = if error.is_timeout() { "no answer in time".to_owned() } else { last.to_string() };
    let what = what.to_owned();
    if message.contains("certificate") || message.contains("UnknownIssuer") {
        RegistryError::CertificateInvalid { what, message }
    } else {
        RegistryError::Unavailable { what, message, after: None }
    }
}

/// `Retry-After`: seconds, or a date.
fn pause(value: &str, now: Timestamp) -> Option<Duration> {
    let asked = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(asked.min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        assert_eq!(pause("17", now), Some(Duration::from_secs(17)));
        assert_eq!(pause("Tue, 24 Nov 2026 12:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(pause("Tue, 24 Nov 2026 11:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(pause("99999999", now), Some(MAX_PAUSE));
        assert_eq!(pause("soon", now), None);
    }

    #[test]
    fn the_registry_is_quoted_in_short() {
        assert_eq!(said(br#"{"errors":[{"code":"DENIED","message":"no"}]}"#), ", DENIED: no");
        assert_eq!(said(b"<html>"), "");
    }
}
