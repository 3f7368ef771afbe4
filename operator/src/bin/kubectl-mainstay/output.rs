//! Writing answers: rows or one text, for people or programs.

use std::io::{IsTerminal, Write, stdout};

use serde::Serialize;

use crate::failure::Failure;
use crate::table::Paint;

/// Whether standard output takes colours (no-color.org).
pub(crate) fn paint() -> Paint {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    Paint(wanted && able && stdout().is_terminal())
}

/// Text to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// One line to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// A remark for the person, beside the answer.
pub(crate) fn remark(text: &str) {
    // Nobody reads it where this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// As JSON, for programs.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.to_string()))?;
    line(&text)
}

/// As YAML.
pub(crate) fn yaml(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_saphyr::to_string(value).map_err(|error| Failure::Failed(error.to_string()))?;
    print(&text)
}
