//! `mainstay source`: the exact tree of one commit, without `.git`.

mod tree;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;

use mainstay_crds::Reason;

use crate::clients::authorities;
use crate::clients::git::{self, Auth, GitError, Remote};
use crate::domain::report::Report;
use crate::error::{Class, Classified, chain};
use crate::step;

/// What to fetch, and where to put it.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// The repository.
    #[arg(long)]
    pub url: String,
    /// The commit, 40 hex digits.
    #[arg(long)]
    pub commit: String,
    /// Main: only named in messages.
    #[arg(long)]
    pub branch: Option<String>,
    /// Where the tree goes. What is there is removed first.
    #[arg(long)]
    pub destination: PathBuf,
    /// Directory with the keys of the Git Secret.
    #[arg(long)]
    pub credentials: Option<PathBuf>,
    /// Directory in which the certificate authorities of the environment are left for the build step.
    #[arg(long)]
    pub authorities: Option<PathBuf>,
    /// Longest time for the fetch, in seconds.
    #[arg(long, default_value_t = 600)]
    pub deadline: u64,
    /// Where the last word goes.
    #[arg(long, default_value = step::TERMINATION_LOG)]
    pub termination_log: PathBuf,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("commit {0} is not in {1}: it was rewritten away, or its branch is gone")]
    Gone(String, String),
    #[error("the workspace cannot be written (is it full? see workspace.sizeLimit of the operator)")]
    Disk(#[from] io::Error),
    #[error("{0} cannot be read")]
    Credentials(PathBuf, #[source] io::Error),
}

/// Runs the step.
pub async fn run(args: Args) -> ExitCode {
    let log = args.termination_log.clone();
    let done = tokio::task::spawn_blocking(move || source(&args)).await;
    let (report, ok) = match done {
        Ok(Ok(message)) => (Report { reason: Reason::Cloned, message, digest: None, version: None, transient: false }, true),
        Ok(Err(error)) => {
            let transient = matches!(&error, SourceError::Git(git) if git.class() != Class::Terminal);
            (Report { reason: Reason::CloneFailed, message: chain(&error), digest: None, version: None, transient }, false)
        }
        Err(error) => {
            (Report { reason: Reason::CloneFailed, message: error.to_string(), digest: None, version: None, transient: true }, false)
        }
    };
    step::end(&log, &report, ok)
}

fn source(args: &Args) -> Result<String, SourceError> {
    let (auth, ca) = match &args.credentials {
        None => (Auth::None, None),
        Some(directory) => Auth::from_secret(&args.url, &mounted(directory)?)?,
    };
    let remote = Remote { url: args.url.clone(), branch: args.branch.clone(), auth, ca };
    step::say(&format!("fetching {} from {}", args.commit, args.url));
    let clone = tempfile::tempdir()?;
    let repository = match git::fetch_commit(clone.path(), &remote, &args.commit, Duration::from_secs(args.deadline)) {
        Err(GitError::RefNotFound { .. }) => return Err(SourceError::Gone(args.commit.clone(), args.url.clone())),
        other => other?,
    };
    let files = tree::export(&repository, &args.commit, &args.destination)?;
    if let (Some(directory), Ok(bundle)) = (&args.authorities, std::env::var(authorities::ENVIRONMENT)) {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("bundle.crt"), bundle)?;
    }
    Ok(format!("wrote {files} files of {}", args.commit))
}

/// The keys of a Secret that is mounted as a directory. Kubernetes' own entries begin with two dots.
fn mounted(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
    let unreadable = |error| SourceError::Credentials(directory.to_owned(), error);
    let mut data = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && entry.path().is_file() {
            data.insert(name, std::fs::read(entry.path()).map_err(unreadable)?);
        }
    }
    Ok(data)
}
