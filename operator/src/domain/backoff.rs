//! How long to wait before the next attempt. Jitter comes in from outside, so that this stays a function.

use std::time::Duration;

/// First pause after a failed reconcile.
const FIRST: Duration = Duration::from_secs(2);

/// Longest pause between two reconciles that fail: an outage that ends, or a Secret that is mended, is noticed within it. Secrets are not
/// watched: that would take the right to list them all.
const LONGEST: Duration = Duration::from_secs(60);

/// First and longest pause between two attempts at the same build: each costs a pod.
const FIRST_BUILD: Duration = Duration::from_secs(30);
const LONGEST_BUILD: Duration = Duration::from_secs(3600);

/// Pause before reconcile number `failures` + 1, where `jitter` in 0.0..1.0 spreads it over 75 % to 125 % so that objects do not retry in step.
pub fn reconcile(failures: u32, jitter: f64) -> Duration {
    doubled(FIRST, failures.saturating_sub(1), LONGEST).mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// Pause after build attempt number `attempt` (from 0) failed for a reason that may pass. Without jitter: the time of the next attempt
/// stands in a status and must come out the same each time.
pub fn build(attempt: u32) -> Duration {
    doubled(FIRST_BUILD, attempt, LONGEST_BUILD)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_to_a_bound() {
        let seconds = |attempt| build(attempt).as_secs();
        assert_eq!((seconds(0), seconds(1), seconds(6), seconds(7), seconds(u32::MAX)), (30, 60, 1920, 3600, 3600));
    }

    proptest! {
        #[test]
        fn a_reconcile_waits_between_one_second_and_the_bound(failures in 0u32.., jitter in 0.0f64..1.0) {
            let pause = reconcile(failures, jitter);
            prop_assert!(pause >= Duration::from_millis(1500));
            prop_assert!(pause <= LONGEST.mul_f64(1.25));
        }
    }
}
