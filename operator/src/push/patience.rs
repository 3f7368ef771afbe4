//! How long a push goes on against a registry that fails: as long as it gets somewhere, however long that takes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clients::registry::RegistryError;
use crate::domain::backoff;
use crate::error::{Class, Classified};
use crate::step;

/// Attempts that are made in any case: one that cannot be resumed may have taken longer than the limit.
const ATTEMPTS: u32 = 4;

/// Counts the time since something was achieved.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    since: Mutex<Instant>,
}

impl Patience {
    /// One that ends after `limit` without progress.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: Mutex::new(Instant::now()) }
    }

    /// Something was achieved.
    pub(super) fn progress(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn since(&self) -> Instant {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls until it works, fails for good, or there was no progress for too long. A pause that the registry asks for is kept.
    pub(super) async fn retry<T>(&self, mut call: impl AsyncFnMut() -> Result<T, RegistryError>) -> Result<T, RegistryError> {
        let mut failures = 0;
        loop {
            let before = self.since();
            let error = match call().await {
                Ok(value) => {
                    self.progress();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let Class::Transient { after } = error.class() else { return Err(error) };
            failures = if self.since() == before { failures + 1 } else { 1 };
            let pause = after.unwrap_or_default().max(backoff::reconcile(failures, 0.5));
            if is_over(failures, pause, self.since().elapsed(), self.limit) {
                return Err(error);
            }
            step::say(&format!("{error}; again in {}s", pause.as_secs()));
            tokio::time::sleep(pause).await;
        }
    }
}

fn is_over(failures: u32, pause: Duration, without_progress: Duration, limit: Duration) -> bool {
    pause >= limit || failures >= ATTEMPTS && without_progress + pause >= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_without_progress_and_not_by_the_clock() {
        let seconds = Duration::from_secs;
        assert!(!is_over(9, seconds(60), seconds(500), seconds(600)));
        assert!(is_over(9, seconds(60), seconds(550), seconds(600)));
        assert!(!is_over(1, seconds(2), seconds(3000), seconds(600)), "one long attempt is not the last");
        assert!(is_over(1, seconds(3600), seconds(0), seconds(600)), "a pause that is too long is not begun");
    }
}
