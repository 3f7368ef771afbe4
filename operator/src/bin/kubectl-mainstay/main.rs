//! `kubectl mainstay`: what is built, pinned and running, why not, and the commands that act. It reads and writes our objects only, with the rights of
//! the one who calls it; beside them `logs` reads pods, and `doctor` what an installation is made of. Nothing reads a Secret.
//!
//! Pure: [`list`], [`tags`], [`why`], [`near`], [`rights`], [`table`], [`words`], [`target`], and the checks of [`doctor`]. The cluster is asked by
//! [`show`], [`watch`], [`act`], [`build`], [`logs`], [`pins`] and [`doctor`] through [`cluster`]. Without a cluster: [`init`], and `tags --repo`, through [`offline`].

mod act;
mod build;
mod cli;
mod cluster;
mod complete;
mod doctor;
mod failure;
mod follow;
mod init;
mod list;
mod logs;
mod near;
mod offline;
mod output;
mod pins;
mod rights;
mod show;
mod table;
mod tags;
mod target;
mod watch;
mod why;
mod words;

#[cfg(test)]
mod fake;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, Pin};
use crate::cluster::Cluster;
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                output::remark(&format!("error: {text}"));
            }
            failure.exit_code()
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    // None is chosen by itself where several could be compiled in.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err(Failure::Failed("cannot set up TLS".to_owned()));
    }
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = built.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(run(cli))
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let cluster = || Cluster::connect(&cli.global);
    match &cli.command {
        Command::List(asked) => show::list(&cluster().await?, asked).await,
        Command::Tags(asked) => match (&asked.image, &asked.repo, &asked.of) {
            (Some(image), _, _) => show::tags(&cluster().await?, image, asked.output).await,
            (None, Some(repo), Some(image)) => offline::tags(asked, repo, image).await,
            _ => Err(Failure::Usage("tags takes an IMAGE, or --repo and --image".to_owned())),
        },
        Command::Why { target, output } => show::why(&cluster().await?, target, *output).await,
        Command::Build(asked) => build::build(&cluster().await?, asked).await,
        Command::Logs(asked) => logs::logs(&cluster().await?, asked).await,
        Command::Reconcile { target } => act::reconcile(&cluster().await?, target).await,
        Command::Retry { target } => act::retry(&cluster().await?, target).await,
        Command::Suspend { target } => act::suspend(&cluster().await?, target, true).await,
        Command::Resume { target } => act::suspend(&cluster().await?, target, false).await,
        Command::Cancel { build } => act::cancel(&cluster().await?, build).await,
        Command::Pin(Pin::Diff { name }) => pins::diff(&cluster().await?, name.as_deref()).await,
        Command::Pin(Pin::Sync { name, wait, timeout }) => pins::sync(&cluster().await?, name.as_deref(), wait.then_some(*timeout)).await,
        Command::Pin(Pin::Hold { name, image }) => pins::hold(&cluster().await?, name, image).await,
        Command::Pin(Pin::Resume { name, image }) => pins::resume(&cluster().await?, name.as_deref(), image.as_deref()).await,
        Command::Doctor(asked) => doctor::doctor(cluster().await, asked).await,
        Command::Init(asked) => init::init(asked, cli.global.namespace.as_deref()).await,
        Command::Completion { shell } => complete::script(*shell),
        Command::Complete { words } => complete::complete(&cli.global, words).await,
    }
}
