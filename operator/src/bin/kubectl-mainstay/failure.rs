//! What can go wrong, each in one line, and the exit code that tells a script which it was.

use std::io;
use std::process::ExitCode;

use mainstay::error::chain;

use crate::near;

/// What makes an installation.
pub(crate) const INSTALL: &str = "helm upgrade --install mainstay charts/mainstay -n mainstay-system --create-namespace \
                                  --set image.repository=<yours>; docs/quickstart.md says how its image is made";

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It was tried, and it failed.
    #[error("{0}")]
    Failed(String),
    /// The answer is on standard output already; it is not a good one.
    #[error("")]
    Told,
    /// The arguments do not fit together.
    #[error("{0}")]
    Usage(String),
    /// No cluster, no right to ask it, or none of our kinds in it.
    #[error("{0}")]
    Cluster(String),
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// What we print cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// An object that is not there, with the names that come nearest to what was asked for.
    pub(crate) fn unknown(kind: &str, name: &str, namespace: &str, there: &[String]) -> Self {
        let near = near::nearest(name, there);
        let hint = match (near.is_empty(), there.is_empty()) {
            (false, _) => format!("; did you mean {}?", near.join(" or ")),
            (true, true) => format!("; there is no {kind} at all: is it another namespace (-n)?"),
            (true, false) => String::new(),
        };
        Self::NotFound(format!("{kind} {name} does not exist in namespace {namespace}{hint}"))
    }

    /// What the API server, or the way to it, said.
    pub(crate) fn of(error: kube::Error, cluster: &str) -> Self {
        let text = match error {
            kube::Error::Api(status) => return Self::answered(status.code, &status.message),
            kube::Error::SerdeError(error) => {
                format!("the answer of the cluster is not understood: {error}. Are plugin and operator of the same version?")
            }
            kube::Error::Auth(error) => format!("cannot get the credentials of this context: {}", chain(&error)),
            kube::Error::Service(error) => format!("no answer from the cluster at {cluster}: {}", chain(error.as_ref())),
            other => format!("no answer from the cluster at {cluster}: {}", chain(&other)),
        };
        Self::Cluster(one_line(&text))
    }

    fn answered(code: u16, message: &str) -> Self {
        match code {
            401 => Self::Cluster("the cluster does not accept the credentials of this context".to_owned()),
            403 => Self::Cluster(one_line(message)),
            // An object that is missing is named; a kind that is missing is not.
            404 if message.contains("\" not found") => Self::NotFound(one_line(message)),
            404 => Self::Cluster(format!("Mainstay is not installed in this cluster, or an older version of it: {INSTALL}")),
            400 if message.contains("unknown field") => Self::Cluster(one_line(&format!(
                "the kinds of this cluster are older than this program: {message}: kubectl mainstay doctor"
            ))),
            400..=499 => Self::Failed(one_line(message)),
            _ => Self::Cluster(format!("the cluster cannot answer now ({code}): {}", one_line(message))),
        }
    }

    /// Whether the one who asks lacks a right: what he may see can still be shown.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Cluster(text) if text.contains("forbidden"))
    }

    /// Whether somebody closed our output: `| head` has what it wanted.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// 0 success, 1 failed, 2 usage, 3 cluster, 4 not found (docs/plugin.md).
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) | Self::Told | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Cluster(_) => 3,
            Self::NotFound(_) => 4,
        })
    }
}

/// Somebody's words on one line, without what a terminal would obey.
pub(crate) fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_kind_is_told_from_a_missing_object() {
        let kind = Failure::answered(404, "the server could not find the requested resource");
        assert!(matches!(&kind, Failure::Cluster(text) if text.contains("helm upgrade --install")), "{kind:?}");
        let kind = Failure::answered(404, "404 page not found");
        assert!(matches!(kind, Failure::Cluster(_)), "{kind:?}");
        assert!(matches!(Failure::answered(404, "containerimages.mainstay.dev \"cv\" not found"), Failure::NotFound(_)));
    }

    #[test]
    fn each_answer_has_its_kind() {
        assert!(matches!(Failure::answered(401, "Unauthorized"), Failure::Cluster(_)));
        assert!(matches!(Failure::answered(403, "x is forbidden"), Failure::Cluster(text) if text == "x is forbidden"));
        assert!(matches!(Failure::answered(422, "bad\nspec"), Failure::Failed(text) if text == "bad spec"));
        assert!(matches!(Failure::answered(503, "later"), Failure::Cluster(_)));
        let old = Failure::answered(
            400,
            "ManifestPin in version \"v1alpha1\" cannot be handled: strict decoding error: unknown field \"spec.hold\"",
        );
        assert!(matches!(&old, Failure::Cluster(text) if text.ends_with("unknown field \"spec.hold\": kubectl mainstay doctor")), "{old}");
    }

    #[test]
    fn an_unknown_name_brings_its_neighbours() {
        let there = ["grafana".to_owned(), "greeter".to_owned()];
        let said = Failure::unknown("ContainerImage", "grafna", "builds", &there).to_string();
        assert_eq!(said, "ContainerImage grafna does not exist in namespace builds; did you mean grafana?");
        assert!(Failure::unknown("ContainerImage", "x", "builds", &[]).to_string().ends_with("another namespace (-n)?"));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(one_line("a\u{1b}[31m\r\n  b"), "a [31m b");
    }
}
