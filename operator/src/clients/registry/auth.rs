//! The challenge of a registry (`WWW-Authenticate`), and the token that answers it.

use std::time::{Duration, Instant};

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::client::{Registry, body, check};
use super::error::RegistryError;

/// Largest answer of a token server.
const MAX_TOKEN: usize = 64 << 10;

/// Life of a token that does not say (distribution token specification).
const LIFE: Duration = Duration::from_secs(60);

/// What a registry wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// A token and when it is no longer used.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: SecretString,
    pub(super) until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<u64>,
}

/// Reads a challenge; `None` where it is none that we know.
pub(super) fn challenge(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let value = |name: &str| {
        let begin = rest.find(&format!("{name}=\""))? + name.len() + 2;
        let value = rest.get(begin..)?;
        value.get(..value.find('"')?).map(str::to_owned)
    };
    Some(Challenge::Bearer { realm: value("realm")?, service: value("service") })
}

impl Registry {
    /// A token for a scope, or for several with blanks between them. The credential goes to the realm only over TLS, or to the registry's own host.
    pub(super) async fn token(&self, what: &str, realm: &str, service: Option<&str>, scope: &str) -> Result<Token, RegistryError> {
        let invalid = |message: String| RegistryError::ResponseInvalid { what: what.to_owned(), message };
        let mut url = Url::parse(realm).map_err(|error| invalid(format!("realm {realm:?}: {error}")))?;
        let own = Url::parse(&self.base()).is_ok_and(|base| base.origin() == url.origin());
        if url.scheme() != "https" && !own {
            return Err(invalid(format!("the token server {realm} is another host without TLS: no credentials are sent there")));
        }
        let scopes = scope.split(' ').map(|scope| ("scope", scope));
        url.query_pairs_mut().extend_pairs(scopes).extend_pairs(service.map(|service| ("service", service)));
        let mut request = self.http().get(url);
        if let Some(credential) = self.credential() {
            request = request.basic_auth(&credential.username, Some(credential.password.expose_secret()));
        }
        let response = check(what, request.send().await.map_err(|error| super::client::unavailable(what, &error))?).await?;
        let answer: Answer =
            serde_json::from_slice(&body(what, response, MAX_TOKEN).await?).map_err(|_| invalid("the token is not JSON".to_owned()))?;
        let text = answer.token.or(answer.access_token).ok_or_else(|| invalid("the token server gave no token".to_owned()))?;
        let life = answer.expires_in.map_or(LIFE, Duration::from_secs);
        // Spent a little early: a long upload must not outlive it by much.
        Ok(Token { text, until: Instant::now() + life.mul_f64(0.8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        assert_eq!(challenge(r#"Basic realm="x""#), Some(Challenge::Basic));
        let bearer = Challenge::Bearer { realm: "https://a/token".into(), service: Some("r".into()) };
        assert_eq!(challenge(r#"Bearer realm="https://a/token",service="r",scope="repository:x:pull""#), Some(bearer));
        assert_eq!(challenge("Negotiate"), None);
        assert_eq!(challenge("Bearer x"), None);
    }
}
