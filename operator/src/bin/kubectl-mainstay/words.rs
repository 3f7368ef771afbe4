//! Small words that several answers share. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use mainstay::domain::duration;

/// How long ago: `42s`, `3m`, `5h`, `2d`; the largest unit alone.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let passed = Duration::try_from(now.duration_since(then)).unwrap_or_default();
    match passed.as_secs() {
        seconds if seconds >= 86_400 => format!("{}d", seconds / 86_400),
        seconds if seconds >= 3600 => format!("{}h", seconds / 3600),
        seconds if seconds >= 60 => format!("{}m", seconds / 60),
        _ => duration::show(passed),
    }
}

/// File and line.
pub(crate) fn place(path: &str, line: Option<i64>) -> String {
    line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m"), (7300, "2h"), (90_000, "1d"), (-5, "0s")] {
            assert_eq!(age(at(0), at(seconds)), text);
        }
    }
}
