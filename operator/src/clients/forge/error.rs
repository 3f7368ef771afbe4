use std::time::Duration;

use mainstay_crds::Reason;

use crate::error::{Class, Classified};

/// What goes wrong with a forge. `what` names host, owner and repository.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ForgeError {
    /// 401, 403.
    #[error("{what}: the forge refused the token ({message}): give {token_from} a token that may {purpose}")]
    Unauthorized {
        /// Where.
        what: String,
        /// What it said.
        message: String,
        /// Which field of which Secret.
        token_from: String,
        /// What the token must allow.
        purpose: &'static str,
    },
    /// 404.
    #[error("{what}: not found ({message}), or the token of {token_from} may not see it")]
    NotFound {
        /// Where.
        what: String,
        /// What it said.
        message: String,
        /// Which field of which Secret.
        token_from: String,
    },
    /// A redirect: the token is for this host and this repository only.
    #[error("{what}: it has moved ({message}): put its new address into spec.url")]
    Moved {
        /// Where.
        what: String,
        /// What it said.
        message: String,
    },
    /// 409, or 422 because it is there already.
    #[error("{what}: somebody else was there first ({message})")]
    Conflict {
        /// Where.
        what: String,
        /// What it said.
        message: String,
    },
    /// 422 and other refusals.
    #[error("{what}: the forge refused the request: {message}")]
    Rejected {
        /// Where.
        what: String,
        /// What it said.
        message: String,
    },
    /// 429, or 403 with a spent quota.
    #[error("{what}: too many requests")]
    Throttled {
        /// Where.
        what: String,
        /// The pause that it asked for.
        after: Option<Duration>,
    },
    /// 5xx, no connection, no answer in time.
    #[error("{what}: the forge is not available: {message}")]
    Unavailable {
        /// Where.
        what: String,
        /// Why.
        message: String,
        /// The pause that it asked for.
        after: Option<Duration>,
    },
    /// TLS.
    #[error("{what}: the certificate is not trusted ({message}): put the certificate authority into key ca.crt of the forge's Secret")]
    CertificateInvalid {
        /// Where.
        what: String,
        /// Why.
        message: String,
    },
    /// An answer that cannot be right.
    #[error("{what}: the forge's answer makes no sense: {message}")]
    ResponseInvalid {
        /// Where.
        what: String,
        /// Why.
        message: String,
    },
    /// A URL that names no repository on a forge.
    #[error("{0}: check spec.url")]
    AddressInvalid(String),
    /// A Secret that does not serve.
    #[error("the forge's Secret does not serve: {0}")]
    Credentials(String),
}

impl Classified for ForgeError {
    fn class(&self) -> Class {
        match self {
            ForgeError::Throttled { after, .. } | ForgeError::Unavailable { after, .. } => Class::Transient { after: *after },
            ForgeError::ResponseInvalid { .. } | ForgeError::Conflict { .. } => Class::Transient { after: None },
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            ForgeError::Unauthorized { .. } => Reason::ForgeUnauthorized,
            ForgeError::NotFound { .. } => Reason::ForgeRepositoryNotFound,
            ForgeError::Moved { .. } => Reason::ForgeRepositoryMoved,
            ForgeError::Conflict { .. } => Reason::ForgeConflict,
            ForgeError::Rejected { .. } => Reason::ForgeRejected,
            ForgeError::Throttled { .. } => Reason::ForgeThrottled,
            ForgeError::Unavailable { .. } => Reason::ForgeUnavailable,
            ForgeError::CertificateInvalid { .. } => Reason::ForgeCertificateInvalid,
            ForgeError::ResponseInvalid { .. } => Reason::ForgeResponseInvalid,
            ForgeError::AddressInvalid(_) => Reason::ForgeAddressInvalid,
            ForgeError::Credentials(_) => Reason::SecretInvalid,
        }
    }
}
