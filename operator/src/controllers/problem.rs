//! What keeps an object from its goal, in the words of its condition.

use crate::clients::call::CallError;
use crate::domain::condition::{State, Verdict};
use crate::error::{Class, Classified, chain};

/// A reconcile that did not reach its end.
#[derive(Debug, Clone)]
pub struct Problem {
    /// State, reason and message for the summary condition.
    pub verdict: Verdict,
    /// What to do about it.
    pub class: Class,
}

impl Problem {
    /// Stays until an input changes. It is looked at again all the same, seldom: not every input can be watched.
    pub fn stuck(reason: &str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::new(State::Stuck, reason, message), class: Class::Terminal }
    }

    /// May pass by itself.
    pub fn retrying(reason: &str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::new(State::Retrying, reason, message), class: Class::Transient { after: None } }
    }

    /// Something else has to happen first.
    pub fn waiting(reason: &str, message: impl Into<String>, look_again: std::time::Duration) -> Self {
        Self { verdict: Verdict::new(State::Working, reason, message), class: Class::Waiting(look_again) }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let class = error.class();
        let state = match class {
            Class::Transient { .. } => State::Retrying,
            Class::Waiting(_) => State::Working,
            Class::Terminal => State::Stuck,
        };
        Self { verdict: Verdict::new(state, error.reason(), chain(&error)), class }
    }
}
