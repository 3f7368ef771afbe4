//! The lab: a real single-node Kubernetes with a registry, a forge and Argo CD, on a bare machine. `cargo lab --help`.

use std::{io::Write, path::PathBuf, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use mainstay_e2e::lab::{Context, Lab, Result, machine, machine::report, paths::Paths};

/// A real single-node Kubernetes with a registry, a forge and Argo CD, on this machine, without Docker.
///
/// It keeps programs and base images in MAINSTAY_LAB_CACHE (else ~/.cache/mainstay-lab) and everything that runs in
/// MAINSTAY_LAB_DIR (else /var/lib/mainstay-lab).
#[derive(Parser)]
#[command(name = "lab")]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Start the lab, or what is missing of it.
    Up {
        /// Make a lab of another checkout this one's.
        #[arg(long)]
        take_over: bool,
    },
    /// Take the lab down; only the cache stays.
    Down {
        /// Also if it is another checkout's.
        #[arg(long)]
        take_over: bool,
    },
    /// Show what runs. Fails if something does not.
    Status,
    /// Print shell commands that set KUBECONFIG, PATH and the credentials: eval "$(cargo lab env)".
    Env,
    /// Show the end of every log, or one whole log.
    Logs {
        /// The process, as in `status`.
        name: Option<String>,
        /// Go on as it grows.
        #[arg(short, long)]
        follow: bool,
    },
    /// Build one module of the lab if need be, and print where one of its programs is.
    Program {
        /// The module, a folder of e2e/lab/programs.
        module: String,
        /// The program.
        program: String,
    },
    /// Make an image of a static program and push it as mainstay/operator.
    PushOperator {
        /// The program.
        program: PathBuf,
        /// The tag.
        #[arg(long, default_value = "lab")]
        tag: String,
    },
    /// Take the lab down and, with --cache, remove the built programs and images too.
    Clean {
        /// Remove the cache.
        #[arg(long)]
        cache: bool,
        /// Also if it is another checkout's.
        #[arg(long)]
        take_over: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::say_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Gives whether all is well.
async fn run(command: What) -> Result<bool> {
    let paths = Paths::from_env()?;
    let mut out = std::io::stdout();
    match command {
        What::Up { take_over } => {
            let begun = Instant::now();
            let lab = machine::up(&paths, &machine::checkout()?, take_over).await?;
            report::say(&format!("the lab is up after {:.1} s", begun.elapsed().as_secs_f64()));
            report::say(&format!("  registry {}   forge {}", lab.registry().address(), lab.forge().url()));
            report::say("  kubectl and everything else: eval \"$(cargo lab env)\"");
        }
        What::Down { take_over } => machine::down(&paths, &machine::checkout()?, take_over).await?,
        What::Status => return machine::status(&paths, &mut out),
        What::Env => machine::env(&paths, &machine::checkout()?, &mut out).await?,
        What::Program { module, program } => {
            let path = machine::program(&paths, &machine::checkout()?, &module, &program).await?;
            writeln!(out, "{}", path.display()).context("print the program's path")?;
        }
        What::Logs { name, follow } => machine::logs(&paths, name.as_deref(), follow, &mut out).await?,
        What::PushOperator { program, tag } => {
            let lab = Lab::of_machine(&paths)?;
            let digest = machine::push_program(&paths, lab.registry(), &program, "mainstay", &tag).await?;
            writeln!(out, "{}@{digest}", lab.image("mainstay/operator")).context("print the image's name")?;
        }
        What::Clean { cache, take_over } => {
            machine::down(&paths, &machine::checkout()?, take_over).await?;
            if cache {
                machine::clean_cache(&paths)?;
            }
        }
    }
    Ok(true)
}
