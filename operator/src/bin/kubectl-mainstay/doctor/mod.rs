//! `doctor`: what is not as it should be, before and after the installation. What is looked at is judged by pure functions, one room each:
//! [`installation`], [`builds`] and [`sources`]; [`ask`] asks the cluster, [`outside`] a repository or a registry.

mod ask;
mod builds;
mod installation;
mod outside;
mod sources;

use serde::Serialize;
use serde_json::json;

use crate::cli::{self, Form};
use crate::cluster::Cluster;
use crate::failure::{Failure, one_line};
use crate::output::{json, paint, print, yaml};
use crate::table::{Paint, Tone};
use crate::why::{Link, State};

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grade {
    /// As it should be.
    Ok,
    /// Something does not work that may not be wanted, or could not be looked at.
    Warn,
    /// Something has to be done.
    Problem,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) grade: Grade,
    /// What was found.
    pub(crate) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) todo: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, text: impl AsRef<str>) -> Self {
        Self { name: name.into(), grade: Grade::Ok, text: one_line(text.as_ref()), todo: None }
    }

    fn warn(name: impl Into<String>, text: impl AsRef<str>, todo: impl AsRef<str>) -> Self {
        Self { name: name.into(), grade: Grade::Warn, text: one_line(text.as_ref()), todo: Some(one_line(todo.as_ref())) }
    }

    fn problem(name: impl Into<String>, text: impl AsRef<str>, todo: impl AsRef<str>) -> Self {
        Self { grade: Grade::Problem, ..Self::warn(name, text, todo) }
    }

    /// What the one who asks may not see, or what did not answer.
    fn unseen(name: impl Into<String>, failure: &Failure) -> Self {
        let todo = if failure.is_forbidden() { "ask somebody who may see it to run this" } else { "try again" };
        Self::warn(name, format!("not looked at: {failure}"), todo)
    }

    /// What `why` says of it.
    fn of(name: impl Into<String>, link: Link) -> Self {
        let grade = match link.state {
            State::Ok => Grade::Ok,
            State::Waiting => Grade::Warn,
            State::Missing => Grade::Problem,
        };
        Self { name: name.into(), grade, text: link.text, todo: link.todo }
    }
}

/// Looks, and says what was found. Exit code 1 where there is a problem.
pub(crate) async fn doctor(cluster: Result<Cluster, Failure>, asked: &cli::Doctor) -> Result<(), Failure> {
    let mut checks = match cluster {
        Ok(cluster) => ask::checks(&cluster).await,
        Err(failure) => vec![Check::problem("cluster", failure.to_string(), "name a kubeconfig and a context that kubectl can use")],
    };
    checks.extend(outside::checks(asked).await);
    let worst = checks.iter().map(|check| check.grade).max().unwrap_or(Grade::Ok);
    match asked.output {
        Form::Json => json(&json!({"state": worst, "checks": checks}))?,
        Form::Yaml => yaml(&json!({"state": worst, "checks": checks}))?,
        Form::Text => print(&render(&checks, paint()))?,
    }
    if worst == Grade::Problem { Err(Failure::Told) } else { Ok(()) }
}

/// For people: a line for each check, what to do under it, and a last line that counts.
fn render(checks: &[Check], paint: Paint) -> String {
    let wide = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let (word, tone) = match check.grade {
            Grade::Ok => ("ok", Tone::Good),
            Grade::Warn => ("warn", Tone::Waiting),
            Grade::Problem => ("problem", Tone::Bad),
        };
        text.push_str(&format!("{}  {:<wide$}  {}\n", paint.paint(tone, &format!("{word:<7}")), check.name, check.text));
        if let Some(todo) = &check.todo {
            text.push_str(&format!("         {:<wide$}  {todo}\n", "to do:", wide = wide.max(6)));
        }
    }
    let count = |grade: Grade| checks.iter().filter(|check| check.grade == grade).count();
    let said = format!("{} ok, {} to know, {} to mend", count(Grade::Ok), count(Grade::Warn), count(Grade::Problem));
    let tone = if count(Grade::Problem) > 0 { Tone::Bad } else { Tone::Good };
    text.push_str(&paint.paint(tone, &said));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_what_to_do_stands_under_it() {
        let checks = [
            Check::ok("cluster", "v1.37.0"),
            Check::warn("nix", "no node", "label one"),
            Check::problem("operator", "it is gone", "install it"),
        ];
        assert_eq!(
            render(&checks, Paint(false)),
            "ok       cluster   v1.37.0\n\
             warn     nix       no node\n         to do:    label one\n\
             problem  operator  it is gone\n         to do:    install it\n\
             1 ok, 1 to know, 1 to mend\n"
        );
    }
}
