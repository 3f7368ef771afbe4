//! What a step of a build pod says at its end: the termination message, read back by the ImageBuild controller.

use mainstay_crds::Reason;
use serde::{Deserialize, Serialize};

/// Kubernetes keeps at most this many bytes of a termination message.
pub const MAX_BYTES: usize = 4096;

/// The last word of the `source` or `push` step, as JSON in its termination message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Reason of the `Succeeded` condition. A word that is not known (a step of another version) makes this no report.
    pub reason: Reason,
    /// One or two sentences for a person: what happened, where, what to do.
    pub message: String,
    /// Digest of the manifest (or index) that the tag names now, `sha256:…`; set on success of `push`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The version that the image was tagged with, where it was not known before the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the same step may succeed if it is simply run again.
    #[serde(default)]
    pub transient: bool,
}

impl Report {
    /// The message as written to the termination log: valid JSON of at most [`MAX_BYTES`] bytes, the message shortened where it must be.
    pub fn to_json(&self) -> String {
        let mut report = self.clone();
        loop {
            let json = serde_json::to_string(&report).unwrap_or_default();
            if json.len() <= MAX_BYTES {
                return json;
            }
            let mut keep = report.message.len() / 2;
            while !report.message.is_char_boundary(keep) {
                keep -= 1;
            }
            report.message.truncate(keep);
            report.message.push('…');
        }
    }

    /// Reads a termination message; `None` where it is not ours (a program that was killed leaves none).
    pub fn parse(message: &str) -> Option<Self> {
        serde_json::from_str(message.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_shortened_to_what_kubernetes_keeps() {
        let report = Report { reason: Reason::PushFailed, message: "é\"".repeat(5000), digest: None, version: None, transient: true };
        let json = report.to_json();
        assert!(json.len() <= MAX_BYTES, "{}", json.len());
        let back = Report::parse(&json).unwrap();
        assert_eq!((back.reason.as_str(), back.transient), ("PushFailed", true));
        assert!(back.message.ends_with('…'));
    }

    #[test]
    fn anything_else_is_not_a_report() {
        assert_eq!(Report::parse("Killed"), None);
        assert_eq!(Report::parse(""), None);
    }
}
