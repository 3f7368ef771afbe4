use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};

use super::error::GitError;

/// What Git calls its signatures, so that no other kind of signature passes for one.
const NAMESPACE: &str = "git";

/// A key that signs commits, unlocked. It is never shown.
#[derive(Clone)]
pub struct SigningKey {
    key: Arc<PrivateKey>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.fingerprint()).finish()
    }
}

impl SigningKey {
    /// Reads a private key as `ssh-keygen` writes it: Ed25519 or ECDSA P-256, with or without a passphrase.
    ///
    /// # Errors
    /// [`GitError::SigningKey`] with what to do. Nothing of the key is quoted.
    pub fn from_openssh(pem: &SecretString, passphrase: Option<&SecretString>) -> Result<Self, GitError> {
        let invalid = |text: &str| GitError::SigningKey(text.to_owned());
        // An editor on Windows and a hand that cuts the last line break both leave a key that OpenSSH reads.
        let text: SecretString = format!("{}\n", pem.expose_secret().replace('\r', "").trim()).into();
        let key = PrivateKey::from_openssh(text.expose_secret())
            .map_err(|_| invalid("it is not a private key in the format of OpenSSH (from ssh-keygen -t ed25519)"))?;
        if !matches!(key.algorithm(), Algorithm::Ed25519 | Algorithm::Ecdsa { curve: ssh_key::EcdsaCurve::NistP256 }) {
            let name = key.algorithm().as_str().to_owned();
            return Err(GitError::SigningKey(format!("keys of type {name} are not supported: make one with ssh-keygen -t ed25519")));
        }
        if !key.is_encrypted() {
            return Ok(Self { key: Arc::new(key) });
        }
        let passphrase = passphrase.ok_or_else(|| invalid("the key has a passphrase: add it to the Secret"))?;
        let key = key.decrypt(passphrase.expose_secret()).map_err(|_| invalid("the passphrase does not open the key"))?;
        Ok(Self { key: Arc::new(key) })
    }

    /// `SHA256:…` of the public key, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The signature of a commit, for its header.
    pub(super) fn sign(&self, commit: &str) -> Result<String, GitError> {
        let failed = |error: ssh_key::Error| GitError::SigningKey(format!("it cannot sign: {error}"));
        let signature = self.key.sign(NAMESPACE, HashAlg::Sha512, commit.as_bytes()).map_err(failed)?;
        Ok(signature.to_pem(LineEnding::LF).map_err(failed)?.trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_named_and_not_quoted() {
        for text in ["hunter2", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n", ""] {
            let said = SigningKey::from_openssh(&text.to_owned().into(), None).unwrap_err().to_string();
            assert!(said.contains("OpenSSH") && !said.contains("hunter2"), "{said}");
        }
    }
}
