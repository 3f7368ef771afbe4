//! What keeps an object from its goal, in the words of its condition.

use mainstay_crds::Reason;

use crate::clients::call::CallError;
use crate::clients::git::GitError;
use crate::domain::condition::{State, Verdict};
use crate::error::{Class, Classified, chain};

/// A reconcile that did not reach its end.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Whether it is only that our own clone is not there yet.
    warming_up: bool,
    /// State, reason and message for the summary condition.
    pub verdict: Verdict,
    /// What to do about it.
    pub class: Class,
}

impl Problem {
    /// Stays until an input changes. It is looked at again all the same, seldom: not every input can be watched.
    pub fn stuck(reason: Reason, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::new(State::Stuck, reason, message), class: Class::Terminal, warming_up: false }
    }

    /// May pass by itself.
    pub fn retrying(reason: Reason, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::new(State::Retrying, reason, message), class: Class::Transient { after: None }, warming_up: false }
    }

    /// The same, looked at again after this pause: what is missing is another object of ours, and its coming is seldom far.
    #[must_use]
    pub fn again_in(self, pause: std::time::Duration) -> Self {
        Self { class: Class::Waiting(pause), ..self }
    }

    /// Whether it is only that our own clone is not there yet, as after a restart.
    pub fn is_warming_up(&self) -> bool {
        self.warming_up
    }

    /// Something else has to happen first.
    pub fn waiting(reason: Reason, message: impl Into<String>, look_again: std::time::Duration) -> Self {
        Self { verdict: Verdict::new(State::Working, reason, message), class: Class::Waiting(look_again), warming_up: false }
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
        let warming_up = matches!(error, CallError::Git(GitError::NotCloned));
        Self { verdict: Verdict::new(state, error.reason(), chain(&error)), class, warming_up }
    }
}
