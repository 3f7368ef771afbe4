use std::collections::BTreeMap;
use std::fmt;

use ring::hmac;

use super::headers::Proof;

/// Shortest key: what can be guessed protects nothing.
const SHORTEST: usize = 16;

/// A Secret that does not serve, in words that follow "Secret x".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is no key `token`.
    #[error("has no key token")]
    Missing,
    /// One of the keys is short.
    #[error("has a key {0} of less than {SHORTEST} bytes: make one with openssl rand -hex 32")]
    Short(&'static str),
}

/// What the hooks of one SourceRepository are held against: its key, and the one before while that is being changed.
#[derive(Clone)]
pub struct Keys {
    token: Key,
    previous: Key,
}

/// One key, and what it makes of itself: a token is compared by what it gives under the key, so that the time says nothing of where it differs.
#[derive(Clone)]
struct Key {
    mac: hmac::Key,
    own: hmac::Tag,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let tags = |keys: &Self| [keys.token.own.as_ref().to_vec(), keys.previous.own.as_ref().to_vec()];
        tags(self) == tags(other)
    }
}

impl Keys {
    /// The keys in the data of a Secret. White space around them, such as the end of a line, is not part of them.
    ///
    /// # Errors
    /// Where there is none, or it is short.
    pub fn of(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, KeysError> {
        let key = |name: &'static str| {
            let Some(bytes) = data.get(name).map(|bytes| bytes.trim_ascii()) else { return Ok(None) };
            if bytes.len() < SHORTEST { Err(KeysError::Short(name)) } else { Ok(Some(Key::new(bytes))) }
        };
        let token = key("token")?.ok_or(KeysError::Missing)?;
        Ok(Self { previous: key("previous")?.unwrap_or_else(|| token.clone()), token })
    }

    /// Keys that nobody knows, for hooks of what is not there: they are refused in the same time as those with a wrong signature.
    pub fn unknown(random: &[u8; 32]) -> Self {
        let token = Key::new(random);
        Self { previous: token.clone(), token }
    }

    /// Whether a hook may be believed. Both keys are tried, whatever the first one says.
    pub fn accept(&self, proof: &Proof, body: &[u8]) -> bool {
        self.token.accepts(proof, body) | self.previous.accepts(proof, body)
    }
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { own: hmac::sign(&mac, secret), mac }
    }

    fn accepts(&self, proof: &Proof, body: &[u8]) -> bool {
        match proof {
            Proof::Signature(signature) => hmac::verify(&self.mac, body, signature).is_ok(),
            Proof::Token(token) => hmac::verify(&self.mac, token, self.own.as_ref()).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(all: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        all.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    /// The example of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn signature(text: &str) -> Proof {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).unwrap();
        Proof::Signature(bytes)
    }

    #[test]
    fn a_signature_is_of_this_body_by_this_key() {
        let keys = Keys::of(&data(&[("token", &format!("{SECRET}\n"))])).unwrap();
        assert!(keys.accept(&signature(SIGNATURE), b"Hello, World!"));
        assert!(!keys.accept(&signature(SIGNATURE), b"Hello, World?"));
        assert!(!keys.accept(&signature(&SIGNATURE.replace('7', "8")), b"Hello, World!"));
        assert!(!Keys::unknown(&[7; 32]).accept(&signature(SIGNATURE), b"Hello, World!"));
    }

    #[test]
    fn a_token_is_the_key_and_no_part_of_it() {
        let keys = Keys::of(&data(&[("token", SECRET)])).unwrap();
        assert!(keys.accept(&Proof::Token(SECRET.into()), b"any"));
        for wrong in ["", "It's a Secret to Everybod", "It's a Secret to Everybody!", "it's a Secret to Everybody"] {
            assert!(!keys.accept(&Proof::Token(wrong.into()), b"any"), "{wrong}");
        }
        // Nor does a signature do as a token, or the other way about.
        assert!(!keys.accept(&Proof::Token(SIGNATURE.into()), b"Hello, World!"));
    }

    #[test]
    fn while_a_key_is_changed_both_are_good() {
        let keys = Keys::of(&data(&[("token", "the new one, long enough"), ("previous", SECRET)])).unwrap();
        assert!(keys.accept(&signature(SIGNATURE), b"Hello, World!"));
        assert!(keys.accept(&Proof::Token(b"the new one, long enough".to_vec()), b""));
        assert_ne!(keys, Keys::of(&data(&[("token", "the new one, long enough")])).unwrap());
    }

    #[test]
    fn a_secret_that_does_not_serve_says_why() {
        assert_eq!(Keys::of(&data(&[("previous", SECRET)])), Err(KeysError::Missing));
        assert_eq!(Keys::of(&data(&[("token", "  fifteen bytes.  ")])), Err(KeysError::Short("token")));
        assert_eq!(Keys::of(&data(&[("token", SECRET), ("previous", "")])), Err(KeysError::Short("previous")));
        assert!(KeysError::Short("token").to_string().contains("openssl rand"));
    }
}
