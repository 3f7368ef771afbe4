//! Hooks of forges and registries: who sends one, whether it may be believed, and what it asks us to look at.
//!
//! A hook is a hint and nothing more. What has changed is read from Git and from the registry, so that a hook that is lost, doubled, replayed or
//! forged costs a look at most.
//!
//! - [`Sender`], [`Proof`]: what the headers say, before a byte of the body is read.
//! - [`Keys`]: what a proof is held against.
//! - [`read`]: what the body is about.
//! - [`Pace`]: many hints become one look.

mod body;
#[cfg(test)]
mod body_tests;
mod headers;
mod keys;
mod pace;

pub use body::{Hint, Malformed, read};
pub use headers::{Proof, Sender};
pub use keys::{Keys, KeysError};
pub use pace::Pace;

/// Where the hooks of a SourceRepository arrive. Not a secret: whoever may see the object may see it, proxies log it, and it opens nothing
/// without the key.
pub fn path(namespace: &str, name: &str) -> String {
    format!("/hook/{namespace}/{name}")
}

/// Namespace and name in such a path.
pub fn target(path: &str) -> Option<(&str, &str)> {
    let (namespace, name) = path.strip_prefix("/hook/")?.split_once('/')?;
    let is_name = |text: &str| {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        !text.is_empty() && text.len() <= 253 && text.bytes().all(legal)
    };
    (is_name(namespace) && is_name(name)).then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_object_and_tricks_name_none() {
        assert_eq!(target(&path("builds", "ops")), Some(("builds", "ops")));
        let long = format!("/hook/a/{}", "b".repeat(254));
        for odd in
            ["/", "/hook", "/hook/a", "/hook/a/", "/hook//b", "//hook/a/b", "/hook/a/b/", "/hook/a/b/c", "/hook/A/b", "/hook/a/%2e", &long]
        {
            assert_eq!(target(odd), None, "{odd}");
        }
    }
}
