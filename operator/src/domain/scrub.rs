//! What a build printed, made fit for a status: no terminal escapes, no secrets, bounded (note reliability-security: log tail).

use std::sync::LazyLock;

use regex::Regex;

/// Longest tail that is kept in a status, in bytes.
pub const MAX_TAIL: usize = 4096;

/// Longest line of a tail, in characters.
const MAX_LINE: usize = 500;

/// CSI and OSC sequences, and other escapes of two characters.
static ESCAPES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("\u{1b}\\[[0-?]*[ -/]*[@-~]|\u{1b}\\][^\u{7}\u{1b}]*(\u{7}|\u{1b}\\\\)?|\u{1b}.").ok());

/// User and password in a URL, and values that are named like a secret.
static USERINFO: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@]+@").ok());
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)((?:authorization:\s*(?:basic|bearer)\s+)|(?:\\?["']auth\\?["']\s*:\s*\\?["'])|(?:[a-z0-9_-]*(?:password|passwd|secret|token|api[_-]?key)\\?["']?\s*[=:]\s*\\?["']?))[^\s"'&]+"#).ok()
});

/// One text without escapes, control characters and what looks like a secret.
pub fn clean(text: &str) -> String {
    let plain = replace(&ESCAPES, text, "");
    let plain: String = plain.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let plain = replace(&USERINFO, &plain, "${1}***@");
    replace(&SECRETS, &plain, "${1}***")
}

/// The last lines of a log: cleaned, each line and the whole bounded. A carriage return overwrites its line, as on a terminal.
pub fn tail(log: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut size = 0;
    for line in log.lines().rev() {
        let line = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
        let mut line = clean(line);
        if let Some((end, _)) = line.char_indices().nth(MAX_LINE) {
            line.truncate(end);
            line.push('…');
        }
        size += line.len() + 1;
        if size > MAX_TAIL {
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n").trim_matches('\n').to_owned()
}

fn replace(pattern: &LazyLock<Option<Regex>>, text: &str, by: &str) -> String {
    // The patterns are constants and a test proves that they compile; without one there is nothing safe to show.
    pattern.as_ref().map_or_else(String::new, |regex| regex.replace_all(text, by).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_and_controls_go() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{8}\u{0}y"), "red xy");
    }

    #[test]
    fn secrets_go_and_the_rest_stays() {
        assert_eq!(clean("fetch https://me:hunter2@git.example/x failed"), "fetch https://***@git.example/x failed");
        assert_eq!(clean("Authorization: Bearer abc.def"), "Authorization: Bearer ***");
        assert_eq!(clean("NPM_TOKEN=abc123 npm install"), "NPM_TOKEN=*** npm install");
        assert_eq!(clean(r#"{"password": "x y"}"#), r#"{"password": "*** y"}"#);
        assert_eq!(clean(r#"{\"auth\": \"bWU6eA==\"}"#), r#"{\"auth\": \"***"}"#, "as a string within a string too");
        assert_eq!(clean("tokens are counted: 5"), "tokens are counted: 5");
    }

    #[test]
    fn the_tail_is_the_end() {
        let log: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        let tail = tail(&log);
        assert!(tail.len() <= MAX_TAIL);
        assert!(tail.ends_with("line 9999"));
        assert!(tail.starts_with("line "), "a line is kept whole or not at all");
    }

    #[test]
    fn one_endless_line_is_cut() {
        assert_eq!(tail(&"x".repeat(1 << 20)).chars().count(), MAX_LINE + 1);
        assert_eq!(tail("10 %\r50 %\r100 %\n"), "100 %");
    }

    proptest! {
        #[test]
        fn a_tail_is_bounded_and_printable(log in ".{0,3000}") {
            let tail = tail(&log);
            prop_assert!(tail.len() <= MAX_TAIL);
            prop_assert!(!tail.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
