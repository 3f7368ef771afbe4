//! Status and events, written on change only: at rest nothing is written (design section 6.1).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;

use super::context::{Cached, Context};
use crate::clients::call::CallError;
use crate::domain::condition::{State, Verdict, find};

/// What to write.
pub struct Change<'a, S> {
    /// The status as it was read.
    pub old: Option<&'a S>,
    /// The status as it should be.
    pub new: &'a S,
    /// Conditions of `old`.
    pub before: &'a [Condition],
    /// `Ready` or `Succeeded`.
    pub summary: &'static str,
    /// What `new` says.
    pub verdict: &'a Verdict,
}

/// Counts the object where it is stuck, writes the status where it differs, and one event where something ended well or badly for another reason than before.
///
/// # Errors
/// Where the status cannot be written.
pub async fn publish<K: Cached, S: Serialize + PartialEq>(ctx: &Context, object: &K, change: Change<'_, S>) -> Result<(), CallError> {
    // A build that failed is over: its image says what is to be done.
    if change.summary == "Ready" {
        let stuck = change.verdict.state == State::Stuck;
        ctx.metrics.stuck(&K::kind(&()), &object.namespace().unwrap_or_default(), &object.name_any(), stuck);
    }
    if change.old == Some(change.new) {
        return Ok(());
    }
    write(ctx, object, change.new).await?;
    let verdict = change.verdict;
    // Work under way is in the status; what comes of it is an event.
    let told = find(change.before, change.summary).is_some_and(|said| said.reason == verdict.reason);
    if !told && verdict.state != State::Working {
        let warning = matches!(verdict.state, State::Retrying | State::Stuck);
        ctx.cluster.event(object, warning, verdict.reason, "Reconcile", &verdict.message);
    }
    Ok(())
}

/// Writes a status, and lets the next look begin from it and not from what the cache had before.
///
/// # Errors
/// Where it cannot be written.
pub async fn write<K: Cached, S: Serialize>(ctx: &Context, object: &K, status: &S) -> Result<(), CallError> {
    if let Some(written) = ctx.cluster.apply_status(object, status).await? {
        K::lag(&ctx.lags).saw(&written);
    }
    Ok(())
}
