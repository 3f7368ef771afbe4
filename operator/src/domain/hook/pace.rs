use std::time::{Duration, Instant};

/// Shortest time between two looks at one thing that hooks ask for.
const APART: Duration = Duration::from_secs(1);

/// How often one thing is looked at: at once if it was not for a while, else a little later, and many hints are one look.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
    awaited: bool,
}

impl Pace {
    /// A hint has come. How long to wait before the look; `None` where one is on its way, which will see what this one is about.
    pub fn hint(&mut self, now: Instant) -> Option<Duration> {
        if self.awaited {
            return None;
        }
        self.awaited = true;
        Some(self.last.map_or(Duration::ZERO, |last| APART.saturating_sub(now.saturating_duration_since(last))))
    }

    /// The look begins: what comes from now on needs another one.
    pub fn begin(&mut self, now: Instant) {
        (self.last, self.awaited) = (Some(now), false);
    }

    /// Whether there is nothing left to remember.
    pub fn is_over(&self, now: Instant) -> bool {
        !self.awaited && self.last.is_none_or(|last| now.saturating_duration_since(last) >= APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hints_are_one_look_and_looks_are_apart() {
        let (begun, ms) = (Instant::now(), Duration::from_millis);
        let mut pace = Pace::default();
        assert_eq!(pace.hint(begun), Some(Duration::ZERO), "the first is not kept waiting");
        assert_eq!(pace.hint(begun), None);
        pace.begin(begun + ms(1));
        assert_eq!(pace.hint(begun + ms(101)), Some(ms(900)), "it came after the look began");
        assert!((102..1000).all(|at| pace.hint(begun + ms(at)).is_none()));
        assert!(!pace.is_over(begun + ms(5000)), "one is awaited");
        pace.begin(begun + ms(1001));
        assert!(!pace.is_over(begun + ms(1500)) && pace.is_over(begun + ms(2001)));
        assert_eq!(pace.hint(begun + ms(9000)), Some(Duration::ZERO));
    }

    #[test]
    fn a_flood_for_a_minute_is_sixty_looks() {
        let begun = Instant::now();
        let (mut pace, mut due, mut looks) = (Pace::default(), None, 0);
        for at in (0..60_000).map(|ms| begun + Duration::from_millis(ms)) {
            due = due.or(pace.hint(at).map(|wait| at + wait));
            if due.is_some_and(|due| due <= at) {
                pace.begin(at);
                (due, looks) = (None, looks + 1);
            }
        }
        assert!((55..=60).contains(&looks), "{looks}");
    }
}
