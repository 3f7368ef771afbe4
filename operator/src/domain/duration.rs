//! Durations as people write and read them: `90s`, `1h30m`.

use std::time::Duration;

/// Reads a duration such as `60s`, `5m` or `1h30m` (the form that the CEL rules of the kinds allow). `None` where it is not one.
pub fn parse(text: &str) -> Option<Duration> {
    let parsed: kube::core::Duration = text.parse().ok()?;
    if parsed.is_negative() { None } else { Some(parsed.into()) }
}

/// Writes whole seconds, the two largest units: `42s`, `11m4s`, `1h30m`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h{m}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for (text, seconds) in [("42s", 42), ("11m4s", 664), ("1h30m", 5400), ("2h", 7200), ("5m", 300), ("0s", 0)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
            assert_eq!(show(Duration::from_secs(seconds)), text);
        }
        assert_eq!(show(Duration::from_secs(3661)), "1h1m");
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-5m"), None);
    }
}
