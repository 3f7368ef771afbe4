//! What went wrong, why, and what to do about it.

use std::{fmt, path::Path};

/// A result whose error can be shown to the person at the keyboard.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: the step, its cause, the log to read, the remedy.
#[derive(Debug)]
pub struct Error {
    what: String,
    cause: String,
    remedy: Option<String>,
    log: Option<String>,
}

impl Error {
    /// A failure of `what` because of `cause`.
    pub fn new(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self { what: what.into(), cause: cause.to_string(), remedy: None, log: None }
    }

    /// The same, saying what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same, with the end of the log that explains it.
    #[must_use]
    pub fn log(mut self, log: impl AsRef<Path>) -> Self {
        self.log = std::fs::read(log).ok().map(|text| tail(&String::from_utf8_lossy(&text), 25));
        self
    }

    /// What to do about it, if known.
    pub fn what_to_do(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// The end of the log that explains it.
    pub fn log_tail(&self) -> Option<&str> {
        self.log.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for Error {}

/// Names the step that an error of another library came from.
pub trait Context<T> {
    /// Turns the error into an [`Error`] of the step `what`.
    fn context(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: std::error::Error> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|error| Error::new(what, chain(&error)))
    }
}

/// The error and what is below it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = source.source();
    }
    text
}

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
        assert_eq!(tail("", 5), "");
    }
}
