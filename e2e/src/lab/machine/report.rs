//! Progress: every step by number and name, a sign of life every fifteen seconds, how long it took.

use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::lab::{Error, Result};

/// What the person at the keyboard sees of a long command.
#[derive(Debug)]
pub struct Report {
    steps: usize,
    done: usize,
}

impl Report {
    /// A command of this many steps.
    pub fn new(steps: usize) -> Self {
        Self { steps, done: 0 }
    }

    /// Does one step and says so. Steps that take under a second leave one line.
    pub async fn step<T>(&mut self, title: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.done += 1;
        say(&format!("==> [{}/{}] {title}", self.done, self.steps));
        let begun = Instant::now();
        let mut work = std::pin::pin!(work);
        let mut pulse = tokio::time::interval(Duration::from_secs(15));
        pulse.tick().await;
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = pulse.tick() => say(&format!("    … still at it after {}", elapsed(begun.elapsed()))),
            }
        };
        if result.is_ok() && begun.elapsed() > Duration::from_secs(1) {
            say(&format!("    done in {}", elapsed(begun.elapsed())));
        }
        result
    }
}

/// Says one line on standard error. Nobody listening is no reason to stop.
pub fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    if writeln!(out, "{line}").is_err() {
        // Standard error is closed.
    }
}

/// How a program ends: a failure is said.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says a failure: what, why, the end of the log, the remedy.
pub fn say_error(error: &Error) {
    say(&format!("error: {error}"));
    if let Some(log) = error.log_tail() {
        say("--- the end of its log:");
        say(log);
        say("---");
    }
    if let Some(remedy) = error.what_to_do() {
        say(&format!("what to do: {remedy}"));
    }
}

/// A duration as people say it.
fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(elapsed(Duration::from_millis(4350)), "4.3 s");
        assert_eq!(elapsed(Duration::from_secs(356)), "5 min 56 s");
    }

    #[tokio::test]
    async fn a_step_gives_what_its_work_gives() {
        let mut report = Report::new(1);
        assert_eq!(report.step("work", async { Ok(1) }).await.unwrap(), 1);
    }
}
