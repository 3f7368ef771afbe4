//! The class and reason that every error of ours has (design section 5).
//!
//! The class decides what happens next; the reason is a static word that serves condition, event and metric label alike.

use std::time::Duration;

/// What an error asks of the one who meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may pass by itself: try again with jittered backoff, not before the given pause where the other side named one.
    Transient {
        /// The pause the other side asked for (`Retry-After`), if it did.
        after: Option<Duration>,
    },
    /// Nothing is wrong, something else has to happen first: look again after the pause, raise no alarm.
    Waiting(Duration),
    /// It stays until an input changes: a person, a commit or an object.
    Terminal,
}

/// An error that knows its class and its reason.
pub trait Classified: std::error::Error {
    /// What to do about it.
    fn class(&self) -> Class;
    /// CamelCase word, part of the API: condition reason, event reason and metric label.
    fn reason(&self) -> &'static str;
}

/// The whole chain of causes in one line, without what the outer message already said.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer failed")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner says no")]
    struct Inner;

    #[test]
    fn chain_names_every_cause_once() {
        assert_eq!(chain(&Outer(Inner)), "outer failed: inner says no");
    }
}
