use std::time::Duration;

use mainstay_crds::Reason;

use crate::error::{Class, Classified};

/// What goes wrong with a registry. `what` names host and repository.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// 401.
    #[error("{what}: the registry wants other credentials ({message}): check the Secret that spec.registry.credentialsSecretRef names")]
    Unauthorized {
        /// Where.
        what: String,
        /// What it said.
        message: String,
    },
    /// 403.
    #[error(
        "{what}: the credentials may not do this ({message}): give them the right, or name another Secret in spec.registry.credentialsSecretRef"
    )]
    Forbidden {
        /// Where.
        what: String,
        /// What it said.
        message: String,
    },
    /// 404 where something must be.
    #[error("{what}: not found ({message})")]
    NotFound {
        /// Where.
        what: String,
        /// What it said.
        message: String,
    },
    /// 429.
    #[error("{what}: too many requests")]
    Throttled {
        /// Where.
        what: String,
        /// The pause that it asked for.
        after: Option<Duration>,
    },
    /// 5xx, no connection, no answer in time.
    #[error("{what}: the registry is not available: {message}")]
    Unavailable {
        /// Where.
        what: String,
        /// Why.
        message: String,
        /// The pause that it asked for.
        after: Option<Duration>,
    },
    /// TLS.
    #[error(
        "{what}: the certificate is not trusted ({message}): put the certificate authority into key ca.crt of the Secret of spec.registry.caSecretRef"
    )]
    CertificateInvalid {
        /// Where.
        what: String,
        /// Why.
        message: String,
    },
    /// An answer that cannot be right.
    #[error("{what}: the registry's answer makes no sense: {message}")]
    ResponseInvalid {
        /// Where.
        what: String,
        /// Why.
        message: String,
    },
    /// What was to be sent does not serve.
    #[error("{0}")]
    Content(String),
    /// A Secret that does not serve.
    #[error("the registry's Secret does not serve: {0}")]
    Credentials(String),
}

impl Classified for RegistryError {
    fn class(&self) -> Class {
        match self {
            RegistryError::Throttled { after, .. } | RegistryError::Unavailable { after, .. } => Class::Transient { after: *after },
            RegistryError::ResponseInvalid { .. } => Class::Transient { after: None },
            _ => Class::Terminal,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            RegistryError::Unauthorized { .. } => Reason::RegistryUnauthorized,
            RegistryError::Forbidden { .. } => Reason::RegistryForbidden,
            RegistryError::NotFound { .. } => Reason::RegistryNotFound,
            RegistryError::Throttled { .. } => Reason::RegistryThrottled,
            RegistryError::Unavailable { .. } => Reason::RegistryUnavailable,
            RegistryError::CertificateInvalid { .. } => Reason::RegistryCertificateInvalid,
            RegistryError::ResponseInvalid { .. } => Reason::RegistryResponseInvalid,
            RegistryError::Content(_) => Reason::ArchiveInvalid,
            RegistryError::Credentials(_) => Reason::SecretInvalid,
        }
    }
}
