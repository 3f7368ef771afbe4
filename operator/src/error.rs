//! The class and reason that every error of ours has (design section 5).
//!
//! The class decides what happens next; the reason is one word of the API that serves condition, event and metric label alike.

use std::time::Duration;

use mainstay_crds::Reason;

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
    /// The word for condition, event and metric label.
    fn reason(&self) -> Reason;
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
    use mainstay_crds::Says;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer failed")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner says no")]
    struct Inner;

    /// The text of the program, without its tests.
    fn program() -> String {
        let mut used = String::new();
        let mut pending = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(path) = pending.pop() {
            if path.is_dir() {
                pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if !path.to_string_lossy().ends_with("_tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                used.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
            }
        }
        used
    }

    /// Types see to it that every reason which is used is in the table; this is for the other way round.
    #[test]
    fn every_reason_of_the_table_is_used() {
        let used = program();
        let words: std::collections::HashSet<&str> =
            used.split("Reason::").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next()).collect();
        let unused: Vec<&Reason> = Reason::ALL.iter().filter(|reason| !words.contains(reason.as_str())).collect();
        assert!(unused.is_empty(), "nothing says {unused:?}: take them out of crds/src/reasons.rs");
    }

    #[test]
    fn a_reason_is_given_with_a_status_that_the_table_has() {
        let given = regex::Regex::new(r"(?:State::|Problem::)(\w+)[,(]\s*Reason::(\w+)").unwrap();
        let (program, mut pairs) = (program(), 0);
        for pair in given.captures_iter(&program) {
            let says = match &pair[1] {
                "Good" => Says::True,
                "Working" | "waiting" => Says::Unknown,
                _ => Says::False,
            };
            pairs += 1;
            let reason = Reason::parse(&pair[2]).unwrap();
            assert!(reason.uses().iter().any(|one| one.says.contains(&says)), "{reason} is said with {}: add it to its line", &pair[1]);
        }
        assert!(pairs > 40, "{pairs}");
    }

    #[test]
    fn chain_names_every_cause_once() {
        assert_eq!(chain(&Outer(Inner)), "outer failed: inner says no");
    }
}
