//! What the steps of a build pod have in common: progress on stdout, and a last word in the termination message.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::domain::report::Report;

/// Where Kubernetes reads a termination message.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// One line of progress. A reader that is gone is no reason to stop.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The end of a step: the report goes to the log and to the termination message.
pub fn end(termination_log: &Path, report: &Report, ok: bool) -> ExitCode {
    say(&format!("{}: {}", report.reason, report.message));
    // Without a termination message the exit code and the log still speak.
    if let Err(error) = std::fs::write(termination_log, report.to_json()) {
        say(&format!("no termination message: {error}"));
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    let kib = bytes / 1024;
    match kib {
        0 => format!("{bytes} B"),
        1..1024 => format!("{kib} KiB"),
        _ => format!("{}.{} MiB", kib / 1024, (kib % 1024) * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!([size(5), size(2048), size(3 << 20), size((3 << 20) + (512 << 10))], ["5 B", "2 KiB", "3.0 MiB", "3.5 MiB"]);
    }

    #[test]
    fn the_last_word_is_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let report = Report { reason: mainstay_crds::Reason::Pushed, message: "x".into(), digest: None, version: None, transient: false };
        end(file.path(), &report, true);
        assert_eq!(Report::parse(&std::fs::read_to_string(file.path()).unwrap()), Some(report));
    }
}
