//! The API server's audit log: who wrote what, and when.

use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::{Context, Result};

/// Verbs that change something.
const WRITES: [&str; 6] = ["create", "update", "patch", "delete", "deletecollection", "apply"];

/// An audit log written at level Metadata or above.
#[derive(Clone, Debug)]
pub struct AuditLog {
    file: PathBuf,
}

/// One request that the API server answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `create`, `get`, `watch`, …
    pub verb: String,
    /// Who asked.
    pub user: User,
    /// What was asked for; absent for addresses such as `/readyz`.
    #[serde(default)]
    pub object_ref: Option<Object>,
    /// The path that was asked for.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// When it arrived.
    pub request_received_timestamp: Timestamp,
    /// What was answered, once it was.
    #[serde(default)]
    pub response_status: Option<Status>,
    /// The stage: a finished request has one line with `ResponseComplete`.
    pub stage: String,
}

/// The one who asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:NAMESPACE:NAME` for a pod.
    pub username: String,
}

/// The object that was asked for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Object {
    /// `pods`, `jobs`, …
    pub resource: String,
    /// `status`, `exec`, …; empty for the object itself.
    pub subresource: String,
    /// The API group; empty for the core group.
    pub api_group: String,
    /// The namespace; empty for cluster-wide objects.
    pub namespace: String,
    /// The name; empty in a list or in a `create`.
    pub name: String,
}

/// The answer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
}

impl AuditLog {
    /// The audit log in this file.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Every finished request received at `since` or later, of users whose name starts with `user_prefix`.
    pub fn requests_by(&self, user_prefix: &str, since: Timestamp) -> Result<Vec<Request>> {
        let text = std::fs::read(&self.file).context(format!("read {}", self.file.display()))?;
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| serde_json::from_str::<Request>(line).ok())
            .filter(|request| request.stage == "ResponseComplete" || request.stage == "Panic")
            .filter(|request| request.user.username.starts_with(user_prefix))
            .filter(|request| request.request_received_timestamp >= since)
            .collect())
    }

    /// The requests among [`Self::requests_by`] that asked to change something, whether or not it was allowed.
    pub fn writes_by(&self, user_prefix: &str, since: Timestamp) -> Result<Vec<Request>> {
        let mut requests = self.requests_by(user_prefix, since)?;
        requests.retain(|request| WRITES.contains(&request.verb.as_str()));
        Ok(requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verb: &str, user: &str, at: &str, stage: &str) -> String {
        serde_json::json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "x", "stage": stage,
            "requestURI": "/api/v1/namespaces/a/pods", "verb": verb, "user": {"username": user, "groups": []},
            "objectRef": {"resource": "pods", "namespace": "a", "name": "p", "apiVersion": "v1"},
            "responseStatus": {"metadata": {}, "code": 201},
            "requestReceivedTimestamp": at, "stageTimestamp": at,
        })
        .to_string()
    }

    #[test]
    fn only_writes_of_the_user_since_then() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.log");
        let text = [
            line("create", "system:serviceaccount:mainstay:op", "2026-01-01T00:00:00.000000Z", "ResponseComplete"),
            line("create", "system:serviceaccount:mainstay:op", "2026-01-01T00:00:05.000000Z", "ResponseComplete"),
            line("patch", "system:serviceaccount:mainstay:op", "2026-01-01T00:00:06.000000Z", "ResponseStarted"),
            line("watch", "system:serviceaccount:mainstay:op", "2026-01-01T00:00:06.000000Z", "ResponseComplete"),
            line("delete", "someone", "2026-01-01T00:00:07.000000Z", "ResponseComplete"),
            "{\"half\": a line".to_owned(),
        ];
        std::fs::write(&file, text.join("\n")).unwrap();
        let log = AuditLog::new(&file);
        let since = "2026-01-01T00:00:05Z".parse().unwrap();
        let writes = log.writes_by("system:serviceaccount:mainstay:", since).unwrap();
        assert_eq!(writes.len(), 1);
        assert_eq!(writes[0].verb, "create");
        assert_eq!(writes[0].object_ref.as_ref().unwrap().resource, "pods");
        assert_eq!(log.requests_by("", Timestamp::UNIX_EPOCH).unwrap().len(), 4);
    }
}
