//! The `mainstay` program: `operator` runs in the cluster, `source` and `push` are steps of a build pod.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mainstay::clients::authorities;
use mainstay::error::chain;
use mainstay::{app, push, source, step};
use tracing_subscriber::EnvFilter;

/// musl's own allocator costs half of the speed (note crates, section 7).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Builds the containers of a Git repository inside the cluster, and knows for every image tag the commit it was made from.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch our kinds and make builds.
    Operator(app::Args),
    /// Build step 1 of 3: write the exact tree of one commit.
    Source(source::Args),
    /// Build step 3 of 3: push an image archive as a new tag.
    Push(push::Args),
}

fn main() -> ExitCode {
    // Two TLS providers are compiled in nowhere, but none is chosen by itself either.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("MAINSTAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    if matches!(cli.command, Command::Operator(_)) {
        tracing_subscriber::fmt().json().with_env_filter(filter).init();
    }
    // The steps get them by their environment, the operator by its configuration.
    if let Ok(bundle) = std::env::var(authorities::ENVIRONMENT)
        && let Err(message) = authorities::trust(&bundle)
    {
        step::say(&format!("{}: {message}", authorities::ENVIRONMENT));
        return ExitCode::FAILURE;
    }
    // Few threads: each keeps memory of its own, and what blocks (Git) is one at a time for each clone anyway.
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).max_blocking_threads(4).build();
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match cli.command {
            Command::Operator(args) => match app::run(args).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!(error = chain(&error), "mainstay cannot run");
                    ExitCode::FAILURE
                }
            },
            Command::Source(args) => source::run(args).await,
            Command::Push(args) => push::run(args).await,
        }
    })
}
