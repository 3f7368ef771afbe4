//! When the log of a build that runs is looked at for the step that it is at: now and then, and not more often than the cluster can bear.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::context::Context;
use crate::domain::build::{has_turn, is_running};

/// Pause between two looks at one build.
const PAUSE: Duration = Duration::from_secs(5);

/// All builds together are looked at twice in a second at most.
const EACH: Duration = Duration::from_millis(500);

/// When the log of a pod was last looked at. A write of ours wakes us: without this each look could bring the next.
#[derive(Debug, Default)]
pub struct Looks(Mutex<HashMap<String, Instant>>);

impl Looks {
    /// Whether it is time; then it counts as done.
    pub fn due(&self, pod: &str, pause: Duration, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is over is not asked for again.
        all.retain(|_, at| now.duration_since(*at) < pause);
        if all.contains_key(pod) {
            return false;
        }
        all.insert(pod.to_owned(), now);
        true
    }
}

/// When to look again at a build that is in its build step.
pub fn pause(ctx: &Context) -> Duration {
    let running = ctx.builds.state_filter(|build| is_running(build) && build.status.as_ref().is_some_and(has_turn)).len();
    shared(running)
}

fn shared(running: usize) -> Duration {
    EACH.saturating_mul(u32::try_from(running).unwrap_or(u32::MAX)).max(PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_looked_at_now_and_then() {
        let (looks, begun) = (Looks::default(), Instant::now());
        let due = |pod, seconds| looks.due(pod, PAUSE, begun + Duration::from_secs(seconds));
        assert_eq!([due("a", 0), due("a", 1), due("b", 1), due("a", 4), due("a", 5), due("b", 5)], [true, false, true, false, true, false]);
        assert!(looks.0.lock().unwrap().len() <= 2);
    }

    #[test]
    fn many_builds_share_what_one_may_ask() {
        assert_eq!([shared(1), shared(10), shared(40)].map(|pause| pause.as_secs()), [5, 5, 20]);
    }
}
