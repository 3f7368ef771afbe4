//! Completion: scripts for shells, and the answers to kubectl's own completion, which asks a program `kubectl_complete-mainstay` with the words
//! so far and the one that is begun (kubectl's convention for plugins; the answer is a line for each word, then `:` and a number).

use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use clap_complete::generate;
use kube::ResourceExt;
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, SourceRepository};

use crate::cli::{Cli, Global, Shell};
use crate::cluster::{Cluster, Kind};
use crate::failure::Failure;
use crate::output::print;

/// Longest time for names: whoever presses a key does not wait longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Offer no files.
const NO_FILES: &str = ":4\n";

/// Offer files.
const FILES: &str = ":0\n";

/// `completion`.
pub(crate) fn script(shell: Shell) -> Result<(), Failure> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Kubectl => return print("#!/bin/sh\nexec kubectl-mainstay __complete -- \"$@\"\n"),
    };
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "kubectl-mainstay", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// What may come next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// One of these, each with what it is for.
    Words(Vec<(String, String)>),
    /// The name of an object, as the help writes it: `IMAGE|pin/NAME`.
    Names(String),
    /// A file.
    Files,
}

/// The words so far, understood as far as completion needs it.
struct Line {
    next: Next,
    /// Values of the global flags that were given.
    namespace: Option<String>,
    context: Option<String>,
    kubeconfig: Option<String>,
}

/// Understands the words before the one that is begun.
fn read(before: &[String], begun: &str) -> Line {
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    let (mut place, mut wants): (usize, Option<&Arg>) = (0, None);
    let mut line = Line { next: Next::Files, namespace: None, context: None, kubeconfig: None };
    for word in before {
        if let Some(arg) = wants.take() {
            match arg.get_id().as_str() {
                "namespace" => line.namespace = Some(word.clone()),
                "context" => line.context = Some(word.clone()),
                "kubeconfig" => line.kubeconfig = Some(word.clone()),
                _ => {}
            }
        } else if word.starts_with('-') {
            wants = flag(command, word).filter(|arg| arg.get_action().takes_values() && !word.contains('='));
        } else if let Some(inner) = command.find_subcommand(word) {
            command = inner;
        } else {
            place += 1;
        }
    }
    line.next = match wants {
        Some(arg) => values(arg),
        None if begun.starts_with('-') => Next::Words(flags(command)),
        None if command.has_subcommands() => {
            let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
            Next::Words(shown.map(|one| (one.get_name().to_owned(), about(one.get_about()))).collect())
        }
        None => command.get_positionals().nth(place).map_or(Next::Words(Vec::new()), values),
    };
    line
}

/// The flag of that name, long or short.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or(word);
    let is = |arg: &&Arg| {
        let long = arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        long || arg.get_short().is_some_and(|short| name == format!("-{short}"))
    };
    command.get_arguments().find(is)
}

fn flags(command: &Command) -> Vec<(String, String)> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help())))).collect()
}

/// What the value of a flag, or an argument, may be.
fn values(arg: &Arg) -> Next {
    let words = arg.get_possible_values();
    if !words.is_empty() {
        return Next::Words(words.iter().map(|one| (one.get_name().to_owned(), about(one.get_help()))).collect());
    }
    let name =
        arg.get_value_names().and_then(|names| names.first()).map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
    match arg.get_id().as_str() {
        // Of a pin there is no other name.
        "name" => Next::Names("PIN".to_owned()),
        "image" | "target" | "build" => Next::Names(name),
        "kubeconfig" | "directory" | "repo" => Next::Files,
        _ => Next::Words(Vec::new()),
    }
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// `__complete`. Whatever goes wrong, there is nothing to offer, and no word about it.
pub(crate) async fn complete(global: &Global, words: &[String]) -> Result<(), Failure> {
    let empty = String::new();
    let (begun, before) = words.split_last().map_or((&empty, words), |(begun, before)| (begun, before));
    let line = read(before, begun);
    let found = match line.next {
        Next::Files => return print(FILES),
        Next::Words(words) => words,
        Next::Names(kinds) => {
            let global = Global {
                namespace: line.namespace.or_else(|| global.namespace.clone()),
                context: line.context.or_else(|| global.context.clone()),
                kubeconfig: line.kubeconfig.map(Into::into).or_else(|| global.kubeconfig.clone()),
            };
            let found = tokio::time::timeout(PATIENCE, async { names(&Cluster::connect(&global).await?, &kinds).await }).await;
            found.map(Result::unwrap_or_default).unwrap_or_default().into_iter().map(|name| (name, String::new())).collect()
        }
    };
    let fit = found.into_iter().filter(|(word, _)| word.starts_with(begun.as_str()));
    let lines: String =
        fit.map(|(word, about)| if about.is_empty() { format!("{word}\n") } else { format!("{word}\t{about}\n") }).collect();
    print(&format!("{lines}{NO_FILES}"))
}

/// The names of the kinds that an argument takes, as the help writes them.
async fn names(cluster: &Cluster, kinds: &str) -> Result<Vec<String>, Failure> {
    async fn of<K: Kind>(cluster: &Cluster, before: &str) -> Result<Vec<String>, Failure> {
        Ok(cluster.list::<K>(false).await?.iter().map(|object| format!("{before}{}", object.name_any())).collect())
    }
    let mut all = Vec::new();
    for kind in kinds.split('|') {
        all.extend(match kind {
            "IMAGE" => of::<ContainerImage>(cluster, "").await?,
            "BUILD" => of::<ImageBuild>(cluster, "").await?,
            "PIN" => of::<ManifestPin>(cluster, "").await?,
            "build/NAME" => of::<ImageBuild>(cluster, "build/").await?,
            "pin/NAME" => of::<ManifestPin>(cluster, "pin/").await?,
            "source/NAME" => of::<SourceRepository>(cluster, "source/").await?,
            _ => Vec::new(),
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use serde_json::json;

    fn next(words: &[&str]) -> Next {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let (begun, before) = words.split_last().unwrap();
        read(before, begun).next
    }

    fn words(next: Next) -> Vec<String> {
        let Next::Words(words) = next else { panic!("{next:?}") };
        words.into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn commands_come_first_and_hidden_ones_never() {
        let all = words(next(&[""]));
        assert!(all.contains(&"list".to_owned()) && all.contains(&"pin".to_owned()) && !all.contains(&"__complete".to_owned()), "{all:?}");
        let pins = words(next(&["pin", ""]));
        assert!(["diff", "sync", "hold", "resume"].iter().all(|one| pins.contains(&(*one).to_owned())), "{pins:?}");
    }

    #[test]
    fn arguments_are_names_of_their_kind() {
        let names = |kinds: &str| Next::Names(kinds.to_owned());
        assert_eq!(next(&["tags", "c"]), names("IMAGE"));
        assert_eq!(next(&["-n", "list", "logs", ""]), names("IMAGE|BUILD"), "the value of a flag is no command");
        assert_eq!(next(&["why", ""]), names("IMAGE|pin/NAME|build/NAME|source/NAME"));
        assert_eq!(next(&["cancel", ""]), names("BUILD"));
        assert_eq!(next(&["pin", "hold", ""]), names("PIN"));
        assert_eq!(next(&["pin", "hold", "all", ""]), names("IMAGE"));
        assert_eq!(words(next(&["tags", "cv", ""])), Vec::<String>::new());
        assert_eq!(next(&["init", ""]), Next::Files);
    }

    #[test]
    fn flags_and_their_values() {
        let flags = words(next(&["logs", "--"]));
        assert!(flags.contains(&"--step".to_owned()) && flags.contains(&"--namespace".to_owned()), "{flags:?}");
        assert_eq!(words(next(&["logs", "--step", ""])), ["source", "build", "push"]);
        assert_eq!(words(next(&["list", "-o", "w"])).len(), 5);
        let line = read(&["-n".to_owned(), "a".to_owned(), "tags".to_owned()], "");
        assert_eq!(line.namespace.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn names_are_those_of_the_cluster() {
        let mut fake = Fake::default();
        fake.object("containerimages", "cv", &json!({"apiVersion": "a", "kind": "b", "metadata": {"name": "cv"}, "spec": {}}));
        fake.object("manifestpins", "all", &json!({"apiVersion": "a", "kind": "b", "metadata": {"name": "all"}, "spec": {}}));
        let (cluster, _) = fake.serve();
        assert_eq!(names(&cluster, "IMAGE|pin/NAME").await.unwrap(), ["cv", "pin/all"]);
    }
}
