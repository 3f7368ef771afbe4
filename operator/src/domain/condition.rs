//! Conditions after kstatus (design section 3): one summary condition, and `Reconciling` or `Stalled` only while they are true.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use mainstay_crds::Reason;

/// Longest message that we put into a condition, in characters: more belongs into a log.
const MAX_MESSAGE: usize = 1024;

/// How an object stands, before it is written as conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As wanted.
    Good,
    /// On the way there: the summary is Unknown, so that Argo CD shows Progressing and not Degraded.
    Working,
    /// A problem that may pass by itself: the summary is False, and we go on trying.
    Retrying,
    /// A problem that stays until an input changes: the summary is False, and `Stalled` says so.
    Stuck,
}

/// State, reason and message: everything that a summary condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How the object stands.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// What, where and what to do next.
    pub message: String,
}

impl Verdict {
    /// A verdict; the message is cut to what fits a condition.
    pub fn new(state: State, reason: Reason, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Self { state, reason, message }
    }
}

/// The conditions for a verdict. `summary` is `Ready` or `Succeeded`. A time of transition is kept while the status of its condition is the same
/// (API conventions), so that the same verdict gives the same conditions and nothing is written at rest.
pub fn conditions(previous: &[Condition], summary: &str, verdict: &Verdict, generation: Option<i64>, now: &Time) -> Vec<Condition> {
    let status = match verdict.state {
        State::Good => "True",
        State::Working => "Unknown",
        State::Retrying | State::Stuck => "False",
    };
    let condition =
        |type_: &str, status: &str, reason: &str| condition(previous, type_, (status, reason, &verdict.message), generation, now);
    let mut all = vec![condition(summary, status, verdict.reason.as_str())];
    match verdict.state {
        State::Good => {}
        State::Working => all.push(condition("Reconciling", "True", verdict.reason.as_str())),
        State::Retrying => all.push(condition("Reconciling", "True", "ProgressingWithRetry")),
        State::Stuck => all.push(condition("Stalled", "True", verdict.reason.as_str())),
    }
    all
}

/// One condition with its status, reason and message: part of [`conditions`], or beside them.
pub fn condition(
    previous: &[Condition],
    type_: &str,
    (status, reason, message): (&str, &str, &str),
    generation: Option<i64>,
    now: &Time,
) -> Condition {
    let since =
        find(previous, type_).filter(|old| old.status == status).map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: since,
    }
}

/// The condition of that type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of that type is True.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn words(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
        conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
    }

    #[test]
    fn each_state_has_its_conditions() {
        let of = |state| conditions(&[], "Ready", &Verdict::new(state, Reason::DryRun, "because"), Some(3), &at(1));
        assert_eq!(words(&of(State::Good)), [("Ready", "True", "DryRun")]);
        assert_eq!(words(&of(State::Working)), [("Ready", "Unknown", "DryRun"), ("Reconciling", "True", "DryRun")]);
        assert_eq!(words(&of(State::Retrying)), [("Ready", "False", "DryRun"), ("Reconciling", "True", "ProgressingWithRetry")]);
        assert_eq!(words(&of(State::Stuck)), [("Ready", "False", "DryRun"), ("Stalled", "True", "DryRun")]);
    }

    #[test]
    fn the_time_moves_only_with_the_status() {
        let first = conditions(&[], "Ready", &Verdict::new(State::Good, Reason::UpToDate, "a"), Some(1), &at(1));
        let same = conditions(&first, "Ready", &Verdict::new(State::Good, Reason::UpToDate, "a"), Some(1), &at(9));
        assert_eq!(first, same);
        let other = conditions(&first, "Ready", &Verdict::new(State::Stuck, Reason::BuildFailed, "b"), Some(1), &at(9));
        assert_eq!(other[0].last_transition_time, at(9));
    }

    #[test]
    fn a_message_has_a_bound() {
        assert_eq!(Verdict::new(State::Good, Reason::UpToDate, "ü".repeat(5000)).message.chars().count(), MAX_MESSAGE + 1);
    }
}
