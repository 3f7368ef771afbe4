use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;

use super::error::GitError;

/// Where a repository is, and how to get in.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `https://`, `http://`, `ssh://` or `user@host:path`.
    pub url: String,
    /// Main; `None` is the branch that the remote's HEAD names.
    pub branch: Option<String>,
    /// Credentials.
    pub auth: Auth,
    /// Certificate authority in PEM, in addition to the usual ones.
    pub ca: Option<Vec<u8>>,
}

/// Credentials. They are never shown.
#[derive(Clone)]
pub enum Auth {
    /// None.
    None,
    /// HTTP basic.
    Basic {
        /// User.
        username: String,
        /// Password or token.
        password: SecretString,
    },
    /// HTTP bearer.
    Bearer(SecretString),
    /// SSH key.
    Ssh {
        /// Private key, OpenSSH or PEM.
        identity: SecretString,
        /// Passphrase of the key.
        passphrase: Option<SecretString>,
        /// Lines of `known_hosts`.
        known_hosts: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::None => "None",
            Auth::Basic { .. } => "Basic",
            Auth::Bearer(_) => "Bearer",
            Auth::Ssh { .. } => "Ssh",
        })
    }
}

/// Whether a URL is for SSH.
pub(super) fn is_ssh(url: &str) -> bool {
    !url.starts_with("http://") && !url.starts_with("https://")
}

impl Auth {
    /// Reads the data of a Secret, with the keys that Flux uses: `username` and `password`, or `bearerToken`, or `identity` and `known_hosts`
    /// (and `password` as passphrase); `ca.crt` besides. The key of a Secret of type `kubernetes.io/ssh-auth` is read too.
    ///
    /// # Errors
    /// Words that name the key that is missing for this URL.
    pub fn from_secret(url: &str, data: &BTreeMap<String, Vec<u8>>) -> Result<(Auth, Option<Vec<u8>>), GitError> {
        let text = |key: &str| -> Result<Option<String>, GitError> {
            let Some(bytes) = data.get(key) else { return Ok(None) };
            let text = String::from_utf8(bytes.clone()).map_err(|_| GitError::Credentials(format!("key {key} is not text")))?;
            // A file made by an editor ends with a line break that is no part of the secret.
            Ok(Some(if key == "identity" || key == "ssh-privatekey" { text } else { text.trim_end_matches(['\r', '\n']).to_owned() }))
        };
        let ca = data.get("ca.crt").cloned();
        if is_ssh(url) {
            let identity = text("identity")?.or(text("ssh-privatekey")?);
            let identity = identity.ok_or_else(|| GitError::Credentials("an SSH URL needs the key identity (a private key)".to_owned()))?;
            let known_hosts = text("known_hosts")?.filter(|lines| !lines.trim().is_empty());
            let known_hosts =
                known_hosts.ok_or_else(|| GitError::Credentials("an SSH URL needs the key known_hosts (from ssh-keyscan)".to_owned()))?;
            let passphrase = text("password")?.map(SecretString::from);
            return Ok((Auth::Ssh { identity: identity.into(), passphrase, known_hosts }, ca));
        }
        if let Some(token) = text("bearerToken")? {
            return Ok((Auth::Bearer(token.into()), ca));
        }
        match (text("username")?, text("password")?) {
            (Some(username), Some(password)) => Ok((Auth::Basic { username, password: password.into() }, ca)),
            (None, Some(_)) => Err(GitError::Credentials("key password without key username".to_owned())),
            (Some(_), None) => Err(GitError::Credentials("key username without key password".to_owned())),
            (None, None) if ca.is_some() => Ok((Auth::None, ca)),
            (None, None) => Err(GitError::Credentials("it has neither username and password, nor bearerToken, nor ca.crt".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, keys: &[(&str, &str)]) -> Result<Auth, String> {
        let data = keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        Auth::from_secret(url, &data).map(|(auth, _)| auth).map_err(|error| error.to_string())
    }

    #[test]
    fn each_url_has_its_keys() {
        let https = "https://g/x";
        assert!(matches!(of(https, &[("username", "u"), ("password", "p\n")]), Ok(Auth::Basic { .. })));
        assert!(matches!(of(https, &[("bearerToken", "t")]), Ok(Auth::Bearer(_))));
        assert!(matches!(of(https, &[("ca.crt", "x")]), Ok(Auth::None)));
        assert!(of(https, &[("username", "u")]).unwrap_err().contains("key password"));
        assert!(of(https, &[]).unwrap_err().contains("neither"));
        assert!(of("git@g:x", &[("identity", "k")]).unwrap_err().contains("known_hosts"));
        assert!(of("ssh://git@g/x", &[("known_hosts", "g ssh-rsa A")]).unwrap_err().contains("identity"));
        assert!(matches!(of("git@g:x", &[("ssh-privatekey", "k"), ("known_hosts", "g x y")]), Ok(Auth::Ssh { .. })));
    }

    #[test]
    fn nothing_is_shown() {
        let auth = of("https://g/x", &[("username", "u"), ("password", "hunter2")]).unwrap();
        assert_eq!(format!("{auth:?}"), "Basic");
    }
}
