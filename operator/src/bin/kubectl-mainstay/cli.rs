//! What can be asked, and how it is written.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mainstay_crds::Variant;

/// See what is built, pinned and running, ask why, and act: the objects of Mainstay, from the command line.
#[derive(Debug, Parser)]
#[command(name = "kubectl-mainstay", bin_name = "kubectl mainstay", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 it failed, or (why, doctor) something is missing; 2 wrong usage; 3 the cluster cannot be reached, forbids it, or has no Mainstay; 4 there is no such object.
Every command with an example: docs/plugin.md";

/// Flags that every command takes, as kubectl has them.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Namespace [default: that of the context]
    #[arg(short, long, global = true, overrides_with = "namespace")]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, global = true, overrides_with = "context")]
    pub(crate) context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE", overrides_with = "kubeconfig")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every container: version, newest image from main, where it is pinned, what runs
    #[command(alias = "container-list", visible_alias = "ls")]
    List(List),
    /// The tags of an image: class, marks and reason, the newest first
    Tags(Tags),
    /// From commit to running pod: how far it has come, and what to do about the first link that is missing
    Why {
        /// ContainerImage, pin/NAME, build/NAME or source/NAME
        #[arg(value_name = "IMAGE|pin/NAME|build/NAME|source/NAME")]
        target: String,
        /// How the answer is written
        #[arg(short, long, value_enum, default_value_t)]
        output: Form,
    },
    /// Build an image at a branch or commit
    #[command(alias = "container-build-and-release")]
    Build(Build),
    /// The log of a build, also when its pod is gone
    Logs(Logs),
    /// Look at it now, and not when its interval says so
    Reconcile {
        /// ContainerImage, pin/NAME, build/NAME or source/NAME
        #[arg(value_name = "IMAGE|pin/NAME|build/NAME|source/NAME")]
        target: String,
    },
    /// One more attempt: of an image at what is missing or failed, of a build at its very commit
    #[command(visible_alias = "rebuild")]
    Retry {
        /// ContainerImage or ImageBuild
        #[arg(value_name = "IMAGE|BUILD")]
        target: String,
    },
    /// No new builds (of a pin: no commits; of a source: no fetches) until it is resumed
    Suspend {
        /// ContainerImage, pin/NAME or source/NAME
        #[arg(value_name = "IMAGE|pin/NAME|source/NAME")]
        target: String,
    },
    /// The end of suspend
    Resume {
        /// ContainerImage, pin/NAME or source/NAME
        #[arg(value_name = "IMAGE|pin/NAME|source/NAME")]
        target: String,
    },
    /// End a build
    Cancel {
        /// ImageBuild
        build: String,
    },
    /// See, hold and release pins
    #[command(subcommand)]
    Pin(Pin),
    /// What of the cluster, of Mainstay in it and of your rights is not as it should be; before and after the installation
    Doctor(Doctor),
    /// Write the first objects for a repository, from what is in it; nothing is applied
    Init(Init),
    /// Completion of commands, flags and names for a shell
    Completion {
        /// kubectl: the program kubectl_complete-mainstay, which kubectl's own completion asks
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Words that may come next: what kubectl's completion asks
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Tags {
    /// ContainerImage
    #[arg(required_unless_present = "repo", conflicts_with = "repo")]
    pub(crate) image: Option<String>,
    /// Without a cluster: the Git repository, a directory or an address that wants no credentials
    #[arg(long, value_name = "DIRECTORY|URL", requires = "of")]
    pub(crate) repo: Option<String>,
    /// Without a cluster: the image, such as registry.example/team/cv; credentials are those of `docker login`
    #[arg(long = "image", id = "of", value_name = "IMAGE", requires = "repo")]
    pub(crate) of: Option<String>,
    /// Without a cluster: the branch that counts as main [default: that of the repository]
    #[arg(long, requires = "repo")]
    pub(crate) branch: Option<String>,
    /// Without a cluster: the registry has no TLS
    #[arg(long, requires = "repo")]
    pub(crate) plain_http: bool,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this image, with all its tags (the same as `tags`)
    #[arg(conflicts_with_all = ["watch", "all_namespaces"])]
    pub(crate) image: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Go on, and show what changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// ContainerImage
    pub(crate) image: String,
    /// Branch or commit [default: main's newest commit]
    #[arg(long, value_name = "BRANCH|COMMIT")]
    pub(crate) r#ref: Option<String>,
    /// dockerfile or nix [default: the only one, or dockerfile]
    #[arg(long, value_parser = variant)]
    pub(crate) variant: Option<Variant>,
    /// Wait until it has ended, and say how it goes
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// ContainerImage (its newest build) or ImageBuild
    #[arg(value_name = "IMAGE|BUILD")]
    pub(crate) target: String,
    /// Wait for what comes
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// One step only [default: all three]
    #[arg(long, value_enum)]
    pub(crate) step: Option<Step>,
    /// The build before that one, of the same image and variant
    #[arg(short, long, conflicts_with = "follow")]
    pub(crate) previous: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Also whether this repository can be fetched without credentials
    #[arg(long, value_name = "URL")]
    pub(crate) repo: Option<String>,
    /// Also whether this registry answers without credentials, such as registry.example/team
    #[arg(long, value_name = "PREFIX")]
    pub(crate) registry: Option<String>,
    /// That registry has no TLS
    #[arg(long, requires = "registry")]
    pub(crate) plain_http: bool,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// A checkout of the repository; its last commit is read
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,
    /// Address of the repository [default: that of the remote origin]
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// What image names begin with, such as registry.example/team [default: what the manifests say]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) registry: Option<String>,
    /// The branch that counts as main [default: that of origin, else the one that is checked out]
    #[arg(long)]
    pub(crate) branch: Option<String>,
    /// Directory whose subdirectories are the containers
    #[arg(long, value_name = "PATH", default_value = "containers")]
    pub(crate) containers_path: String,
}

/// For whom completions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Kubectl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pin {
    /// What `write: DryRun` would write
    Diff {
        /// ManifestPin [default: the only one]
        name: Option<String>,
    },
    /// Look and write now
    Sync {
        /// ManifestPin [default: the only one]
        name: Option<String>,
        /// Until all pins are as they should be, and say how it goes
        #[arg(short, long)]
        wait: bool,
        /// How long to wait at most, such as 30s or 10m
        #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, requires = "wait")]
        timeout: Duration,
    },
    /// Leave the pins of an image as they are, until they are resumed
    Hold {
        /// ManifestPin
        name: String,
        /// ContainerImage
        image: String,
    },
    /// Let pins follow main again: those of an image that is held, or all that people's rollbacks hold
    Resume {
        /// ManifestPin [default: the only one]
        name: Option<String>,
        /// ContainerImage that `pin hold` holds
        image: Option<String>,
    },
}

/// How an answer with rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// How an answer without rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Form {
    #[default]
    Text,
    Json,
    Yaml,
}

/// A container of a build pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    Source,
    Build,
    Push,
}

impl Step {
    /// All, in their order.
    pub(crate) const ALL: [Step; 3] = [Step::Source, Step::Build, Step::Push];

    /// The name of its container.
    pub(crate) fn container(self) -> &'static str {
        match self {
            Step::Source => "source",
            Step::Build => "build",
            Step::Push => "push",
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    mainstay::domain::duration::parse(text).ok_or_else(|| "it is a duration such as 30s or 10m".to_owned())
}

fn variant(word: &str) -> Result<Variant, String> {
    Variant::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| "it is dockerfile or nix".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_holds_and_speaks_of_kubectl() {
        Cli::command().debug_assert();
        let mut command = Cli::command();
        command.build();
        let list = command.find_subcommand_mut("list").unwrap();
        assert!(list.render_help().to_string().contains("Usage: kubectl mainstay list"), "{}", list.render_help());
    }

    #[test]
    fn the_old_names_work() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["kubectl-mainstay"], words].concat()).unwrap().command;
        assert!(matches!(parse(&["container-list"]), Command::List(_)));
        let Command::Build(build) = parse(&["container-build-and-release", "cv", "--ref", "abc1234"]) else { panic!() };
        assert_eq!((build.image.as_str(), build.r#ref.as_deref()), ("cv", Some("abc1234")));
        assert!(matches!(parse(&["rebuild", "cv"]), Command::Retry { .. }));
        assert!(Cli::try_parse_from(["x", "list", "-A", "-n", "a"]).is_err());
        let twice = Cli::try_parse_from(["x", "-n", "a", "list", "-n", "b"]).unwrap();
        assert_eq!(twice.global.namespace.as_deref(), Some("b"), "as kubectl has it: the last one");
    }

    #[test]
    fn tags_are_of_the_cluster_or_of_a_repository() {
        let fits = |words: &[&str]| Cli::try_parse_from([&["x", "tags"], words].concat()).is_ok();
        assert!(fits(&["cv"]) && fits(&["--repo", ".", "--image", "r.example/cv"]));
        for words in [
            &[][..],
            &["--repo", "."],
            &["--image", "r.example/cv"],
            &["cv", "--repo", ".", "--image", "r.example/cv"],
            &["cv", "--branch", "x"],
        ] {
            assert!(!fits(words), "{words:?}");
        }
    }
}
