//! Fetching: all heads of a SourceRepository, or one commit for a build.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, Direction, ErrorClass, ErrorCode, FetchOptions, FetchPrune, RemoteCallbacks, Repository,
};
use secrecy::ExposeSecret;

use super::auth::{Auth, Remote, is_ssh};
use super::error::GitError;
use super::known_hosts;
use super::transport::Session;

/// What a fetch gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The branch that counts as main.
    pub branch: String,
    /// Its newest commit, 40 hex digits.
    pub head: String,
    /// Whether main moved to a commit that does not descend from the one before: history was rewritten.
    pub forced: bool,
}

/// Fetches all heads into a bare repository, and removes those that are gone. No tags.
pub(super) fn heads(repository: &Repository, remote: &Remote, deadline: Duration) -> Result<Synced, GitError> {
    let attempt = Attempt::new(remote, deadline)?;
    let _guard = attempt.session.enter();
    let mut git = repository.remote_anonymous(&remote.url).map_err(|e| attempt.explain(e))?;
    let mut connection = git.connect_auth(Direction::Fetch, Some(attempt.callbacks()), None).map_err(|e| attempt.explain(e))?;
    let named = connection.default_branch().ok().and_then(|name| name.as_str().ok().map(str::to_owned));
    // Its names are not asked for, here or below: git2 panics at one that is not UTF-8.
    if connection.list().map_err(|e| attempt.explain(e))?.is_empty() {
        return Err(GitError::Empty { url: remote.url.clone() });
    }
    let branch = match (&remote.branch, named) {
        (Some(branch), _) => branch.clone(),
        (None, Some(named)) => named.trim_start_matches("refs/heads/").to_owned(),
        (None, None) => "main".to_owned(),
    };
    let full = format!("refs/heads/{branch}");
    let before = repository.refname_to_id(&full).ok();
    let mut options = attempt.options();
    options.prune(FetchPrune::On);
    connection.remote().fetch(&["+refs/heads/*:refs/heads/*"], Some(&mut options), None).map_err(|e| attempt.explain(e))?;
    drop(connection);
    let Ok(head) = repository.refname_to_id(&full) else {
        let url = remote.url.clone();
        let any = repository.references_glob("refs/heads/*")?.next().is_some();
        return Err(if any { GitError::BranchNotFound { url, branch } } else { GitError::Empty { url } });
    };
    // What was fetched must be readable: else the clone is damaged and made anew.
    repository.find_commit(head)?.tree()?;
    let forced = match before {
        Some(before) if before != head => !repository.graph_descendant_of(head, before).unwrap_or(false),
        _ => false,
    };
    Ok(Synced { branch, head: head.to_string(), forced })
}

/// Fetches one commit, without its history, into a new bare repository. Servers that give no commit by its name give their heads.
pub(crate) fn commit(directory: &Path, remote: &Remote, commit: &str, deadline: Duration) -> Result<Repository, GitError> {
    let repository = Repository::init_bare(directory).map_err(|error| GitError::Disk(error.message().to_owned()))?;
    let attempt = Attempt::new(remote, deadline)?;
    {
        let _guard = attempt.session.enter();
        let wanted = git2::Oid::from_str(commit).map_err(|_| GitError::RefNotFound { reference: commit.to_owned() })?;
        let fetch = |refspec: &str, depth: i32| {
            let mut git = repository.remote_anonymous(&remote.url)?;
            let mut options = attempt.options();
            options.depth(depth);
            git.fetch(&[refspec], Some(&mut options), None)
        };
        let exact = fetch(&format!("+{commit}:refs/heads/mainstay"), 1);
        if let Err(error) = exact {
            // Only a server that does not give commits by name is asked for its heads; a refusal or an outage is not asked twice.
            let refused = error.code() == ErrorCode::Auth || Instant::now() >= attempt.until;
            if let Some(failure) = attempt.session.take_failure() {
                return Err(failure);
            } else if refused {
                return Err(attempt.explain(error));
            }
            fetch("+refs/heads/*:refs/heads/*", 0).map_err(|e| attempt.explain(e))?;
        }
        repository
            .find_commit(wanted)
            .and_then(|found| found.tree())
            .map_err(|_| GitError::RefNotFound { reference: commit.to_owned() })?;
    }
    Ok(repository)
}

/// What one fetch or push needs: session, credentials, deadline.
pub(super) struct Attempt<'a> {
    remote: &'a Remote,
    pub(super) session: Arc<Session>,
    until: Instant,
    /// What SSH's checks found wrong.
    refused: Arc<Mutex<Option<GitError>>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(remote: &'a Remote, deadline: Duration) -> Result<Self, GitError> {
        if is_ssh(&remote.url) && !matches!(remote.auth, Auth::Ssh { .. }) {
            return Err(GitError::Credentials("an SSH URL needs a Secret with the keys identity and known_hosts".to_owned()));
        }
        let until = Instant::now() + deadline;
        Ok(Self { remote, session: Session::new(remote, until)?, until, refused: Arc::default() })
    }

    /// When it must be over.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    fn options(&self) -> FetchOptions<'_> {
        let mut options = FetchOptions::new();
        options.remote_callbacks(self.callbacks()).download_tags(AutotagOption::None).update_fetchhead(false);
        options
    }

    pub(super) fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        let until = self.until;
        callbacks.transfer_progress(move |_| Instant::now() < until);
        let mut asked = false;
        callbacks.credentials(move |_, user, _| {
            // libgit2 asks again with the same answer for as long as it is given one.
            if std::mem::replace(&mut asked, true) {
                return Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Ssh, "the key was refused"));
            }
            match &self.remote.auth {
                Auth::Ssh { identity, passphrase, .. } => Cred::ssh_key_from_memory(
                    user.unwrap_or("git"),
                    None,
                    identity.expose_secret(),
                    passphrase.as_ref().map(|p| p.expose_secret()),
                ),
                _ => Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Http, "no credentials")),
            }
        });
        callbacks.certificate_check(move |certificate, host| {
            let Auth::Ssh { known_hosts, .. } = &self.remote.auth else { return Ok(CertificateCheckStatus::CertificatePassthrough) };
            let key = certificate.as_hostkey().and_then(git2::cert::CertHostkey::hostkey).unwrap_or_default();
            if known_hosts::trusts(known_hosts, host, port(&self.remote.url), key) {
                return Ok(CertificateCheckStatus::CertificateOk);
            }
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(GitError::HostKeyUnknown { host: host.to_owned() });
            Err(git2::Error::from_str("unknown host key"))
        });
        callbacks
    }

    /// The most exact words for an error of libgit2.
    pub(super) fn explain(&self, error: git2::Error) -> GitError {
        if let Some(refused) = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return refused;
        }
        if let Some(failure) = self.session.take_failure() {
            return failure;
        }
        let url = self.remote.url.clone();
        let message = error.message().to_owned();
        match (error.class(), error.code()) {
            _ if Instant::now() >= self.until => GitError::Unreachable { url, message: "no end in time".to_owned(), after: None },
            (_, ErrorCode::Auth) => GitError::AuthenticationFailed { url, message },
            (ErrorClass::Ssh, _) if message.contains("authenticat") || message.contains("key") => {
                GitError::AuthenticationFailed { url, message }
            }
            (ErrorClass::Net | ErrorClass::Ssh, _) => GitError::Unreachable { url, message, after: None },
            (ErrorClass::Os | ErrorClass::Filesystem, _) if message.contains("No space") => GitError::Disk(message),
            (ErrorClass::Odb | ErrorClass::Object | ErrorClass::Zlib | ErrorClass::Reference | ErrorClass::Os, _) => {
                GitError::Damaged(message)
            }
            _ => GitError::Protocol { url, message },
        }
    }
}

/// The port in an `ssh://` URL.
fn port(url: &str) -> Option<u16> {
    url::Url::parse(url).ok().and_then(|url| url.port())
}
