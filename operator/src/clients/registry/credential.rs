use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::error::RegistryError;

/// User and password for one registry. The password is never shown.
#[derive(Clone)]
pub struct Credential {
    /// User.
    pub username: String,
    /// Password or token.
    pub password: SecretString,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<SecretString>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretString>,
}

impl Credential {
    /// The credential for an image in a `config.json` of Docker (the content of a Secret of type `kubernetes.io/dockerconfigjson`).
    /// Keys are hosts, or hosts with the beginning of a path; the longest that fits counts. `None` where none fits.
    ///
    /// # Errors
    /// Where the file is not what it should be.
    pub fn from_docker_config(json: &[u8], image: &str) -> Result<Option<Credential>, RegistryError> {
        let invalid = |text: &str| RegistryError::Credentials(format!(".dockerconfigjson {text}"));
        // The error of serde may quote what it read: it is not passed on.
        let config: DockerConfig = serde_json::from_slice(json).map_err(|_| invalid("is not a Docker configuration in JSON"))?;
        let fits = |key: &str| {
            let bare = bare(key);
            image == bare || image.strip_prefix(bare).is_some_and(|rest| rest.starts_with('/'))
        };
        let Some((key, entry)) = config.auths.into_iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| bare(key).len()) else {
            return Ok(None);
        };
        if let (Some(username), Some(password)) = (entry.username, entry.password) {
            return Ok(Some(Credential { username, password }));
        }
        let encoded = entry.auth.ok_or_else(|| invalid(&format!("has neither auth nor username and password for {key}")))?;
        let decoded = STANDARD.decode(encoded.expose_secret().trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (username, password) = decoded
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or_else(|| invalid(&format!("has an auth for {key} that is not base64 of user:password")))?;
        Ok(Some(Credential { username: username.to_owned(), password: password.to_owned().into() }))
    }
}

/// Keys may be written as URLs, with an old API version at the end.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key).trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(json: &str, image: &str) -> Option<String> {
        Credential::from_docker_config(json.as_bytes(), image).unwrap().map(|credential| credential.username)
    }

    #[test]
    fn the_longest_key_that_fits_counts() {
        let json = r#"{"auths": {"r:5000": {"username": "all", "password": "x"}, "https://r:5000/team/": {"username": "team", "password": "x"}, "r": {"username": "other", "password": "x"}}}"#;
        assert_eq!(user(json, "r:5000/cv").as_deref(), Some("all"));
        assert_eq!(user(json, "r:5000/team/cv").as_deref(), Some("team"));
        assert_eq!(user(json, "r:5000/teams/cv").as_deref(), Some("all"));
        assert_eq!(user(json, "r:5001/cv"), None);
    }

    #[test]
    fn both_spellings_are_read() {
        let encoded = STANDARD.encode("me:a:b");
        let json = format!(r#"{{"auths": {{"r": {{"auth": "{encoded}"}}}}}}"#);
        let credential = Credential::from_docker_config(json.as_bytes(), "r/cv").unwrap().unwrap();
        assert_eq!((credential.username.as_str(), credential.password.expose_secret()), ("me", "a:b"));
        assert!(!format!("{credential:?}").contains("a:b"));
    }

    #[test]
    fn mistakes_are_named_and_nothing_is_quoted() {
        for json in ["hunter2", r#"{"auths": {"r": {"auth": "hunter2"}}}"#, r#"{"auths": {"r": {}}}"#] {
            let said = Credential::from_docker_config(json.as_bytes(), "r/cv").unwrap_err().to_string();
            assert!(said.contains(".dockerconfigjson") && !said.contains("hunter2"), "{said}");
        }
    }
}
