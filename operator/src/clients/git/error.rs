use std::time::Duration;

use mainstay_crds::Reason;

use crate::error::{Class, Classified};

/// How soon to look again for a clone that is being made.
const SOON: Duration = Duration::from_secs(2);

/// What goes wrong with Git.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// No connection, or none in time.
    #[error("{url} cannot be reached: {message}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        message: String,
        /// The pause that the server asked for.
        after: Option<Duration>,
    },
    /// 401, 403, or a refused key.
    #[error("{url} refused the credentials ({message}): check the Secret that spec.credentialsSecretRef names")]
    AuthenticationFailed {
        /// Where.
        url: String,
        /// What it said.
        message: String,
    },
    /// 404.
    #[error("{url} does not exist, or the credentials may not see it: check spec.url and spec.credentialsSecretRef")]
    RepositoryNotFound {
        /// Where.
        url: String,
    },
    /// TLS.
    #[error(
        "the certificate of {url} is not trusted ({message}): put the certificate authority into key ca.crt of the Secret of spec.credentialsSecretRef"
    )]
    CertificateInvalid {
        /// Where.
        url: String,
        /// Why.
        message: String,
    },
    /// SSH.
    #[error(
        "the host key of {host} is not in known_hosts: add the line of `ssh-keyscan {host}` to key known_hosts of the Secret of spec.credentialsSecretRef"
    )]
    HostKeyUnknown {
        /// Which host.
        host: String,
    },
    /// A Secret that does not serve.
    #[error("the Secret of spec.credentialsSecretRef does not serve: {0}")]
    Credentials(String),
    /// No commit at all.
    #[error("{url} has no commit yet: push one")]
    Empty {
        /// Where.
        url: String,
    },
    /// No such branch.
    #[error("branch {branch} does not exist in {url}: check spec.branch")]
    BranchNotFound {
        /// Where.
        url: String,
        /// Which.
        branch: String,
    },
    /// A reference that names nothing.
    #[error("{reference} is neither a branch nor a commit of the repository's branches: check spec.ref")]
    RefNotFound {
        /// Which.
        reference: String,
    },
    /// A short commit that names several.
    #[error("{reference} is the beginning of more than one commit: write more digits")]
    RefAmbiguous {
        /// Which.
        reference: String,
    },
    /// A clone that is not there yet.
    #[error("the repository has not been fetched yet")]
    NotCloned,
    /// A clone with missing or broken objects.
    #[error("the clone is damaged and is made anew: {0}")]
    Damaged(String),
    /// The volume of the clones.
    #[error("the clone cannot be written: {0}")]
    Disk(String),
    /// A push that the server will not take, now or later.
    #[error(
        "{url} refused the push to branch {branch} ({message}): give the credentials of spec.credentialsSecretRef the right to write (a deploy key may be read-only) and, where the branch is protected, to push to it; or write by pull requests"
    )]
    PushRefused {
        /// Where.
        url: String,
        /// Which branch.
        branch: String,
        /// What the server said, in one line.
        message: String,
    },
    /// A push that failed inside the server.
    #[error("{url} could not take the push: {message}")]
    PushFailed {
        /// Where.
        url: String,
        /// What the server said, in one line.
        message: String,
    },
    /// A commit that cannot be made.
    #[error("the commit cannot be made: {0}")]
    WriteInvalid(String),
    /// A key for signatures that does not serve.
    #[error("the Secret of the signing key does not serve: {0}")]
    SigningKey(String),
    /// A tree that is too large to be read.
    #[error("there is more than is read: {0}")]
    TooLarge(String),
    /// Everything else that the other side may do.
    #[error("{url} answered in a way that is not understood: {message}")]
    Protocol {
        /// Where.
        url: String,
        /// What.
        message: String,
    },
}

impl Classified for GitError {
    fn class(&self) -> Class {
        match self {
            GitError::Unreachable { after, .. } => Class::Transient { after: *after },
            GitError::NotCloned => Class::Waiting(SOON),
            GitError::Damaged(_) | GitError::Disk(_) | GitError::Protocol { .. } | GitError::PushFailed { .. } => {
                Class::Transient { after: None }
            }
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            GitError::Unreachable { .. } => Reason::RepositoryUnreachable,
            GitError::AuthenticationFailed { .. } => Reason::AuthenticationFailed,
            GitError::RepositoryNotFound { .. } => Reason::RepositoryNotFound,
            GitError::CertificateInvalid { .. } => Reason::CertificateInvalid,
            GitError::HostKeyUnknown { .. } => Reason::HostKeyUnknown,
            GitError::Credentials(_) => Reason::SecretInvalid,
            GitError::Empty { .. } => Reason::RepositoryEmpty,
            GitError::BranchNotFound { .. } => Reason::BranchNotFound,
            GitError::RefNotFound { .. } => Reason::RefNotFound,
            GitError::RefAmbiguous { .. } => Reason::RefAmbiguous,
            GitError::NotCloned => Reason::SourceUnavailable,
            GitError::Damaged(_) => Reason::CloneDamaged,
            GitError::Disk(_) => Reason::CloneNotWritable,
            GitError::PushRefused { .. } => Reason::PushRejected,
            GitError::PushFailed { .. } => Reason::PushFailed,
            GitError::WriteInvalid(_) => Reason::WriteInvalid,
            GitError::SigningKey(_) => Reason::SigningKeyInvalid,
            GitError::TooLarge(_) => Reason::TooManyFiles,
            GitError::Protocol { .. } => Reason::GitProtocol,
        }
    }
}

impl From<git2::Error> for GitError {
    /// An error while reading the clone: what libgit2 cannot read there is damaged.
    fn from(error: git2::Error) -> Self {
        match error.class() {
            git2::ErrorClass::Os | git2::ErrorClass::Filesystem if error.message().contains("space") => {
                GitError::Disk(error.message().to_owned())
            }
            _ => GitError::Damaged(error.message().to_owned()),
        }
    }
}
