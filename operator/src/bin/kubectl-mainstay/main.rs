//! `kubectl mainstay`: what is built, pinned and running, why not, and the commands that act. It reads and writes our objects only, with the rights of
//! the one who calls it, and needs no credentials of registry or Git.
//!
//! Pure: [`list`], [`tags`], [`why`], [`near`], [`table`], [`words`], [`target`]. The cluster is asked by [`show`], [`watch`], [`act`], [`build`] and [`logs`] through [`cluster`].

mod act;
mod build;
mod cli;
mod cluster;
mod failure;
mod list;
mod logs;
mod near;
mod output;
mod show;
mod table;
mod tags;
mod target;
mod watch;
mod why;
mod words;

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
    let cluster = Cluster::connect(&cli.global).await?;
    match &cli.command {
        Command::List(asked) => show::list(&cluster, asked).await,
        Command::Tags { image, output } => show::tags(&cluster, image, *output).await,
        Command::Why { target, output } => show::why(&cluster, target, *output).await,
        Command::Build(asked) => build::build(&cluster, asked).await,
        Command::Logs(asked) => logs::logs(&cluster, asked).await,
        Command::Reconcile { target } => act::reconcile(&cluster, target).await,
        Command::Rebuild { image } => act::rebuild(&cluster, image).await,
        Command::Suspend { target } => act::suspend(&cluster, target, true).await,
        Command::Resume { target } => act::suspend(&cluster, target, false).await,
        Command::Cancel { build } => act::cancel(&cluster, build).await,
        Command::Pin(Pin::Diff { name }) => show::diff(&cluster, name.as_deref()).await,
        Command::Pin(Pin::Resume { name }) => act::lift(&cluster, name.as_deref()).await,
    }
}
