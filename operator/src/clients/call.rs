//! The one thin layer through which every call to the outside goes: it knows the call's site name, gives it a deadline, counts it, and
//! gives its error a class (design section 6.7).

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_crds::Reason;

use crate::clients::forge::ForgeError;
use crate::clients::git::GitError;
use crate::clients::registry::RegistryError;
use crate::error::{Class, Classified, chain};
use crate::metrics::Metrics;

/// A call to the outside that did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server said no, or nothing.
    #[error("{site}: {}", chain(.source))]
    Cluster {
        /// Where.
        site: &'static str,
        /// Why. Boxed: it is large and rare.
        source: Box<kube::Error>,
    },
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// No answer in time.
    #[error("{site} gave no answer within {deadline:?}")]
    Overdue {
        /// Where.
        site: &'static str,
        /// How long we waited.
        deadline: Duration,
    },
}

impl Classified for CallError {
    fn class(&self) -> Class {
        match self {
            // What a person must mend (RBAC, a refused object) is tried again all the same: the mending is not visible to us.
            CallError::Cluster { .. } | CallError::Overdue { .. } => Class::Transient { after: None },
            CallError::Git(error) => error.class(),
            CallError::Registry(error) => error.class(),
            CallError::Forge(error) => error.class(),
        }
    }

    fn reason(&self) -> Reason {
        match self {
            CallError::Cluster { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 403 => Reason::ApiForbidden,
                kube::Error::Api(status) if status.code == 404 => Reason::ApiNotFound,
                kube::Error::Api(status) if status.code == 409 => Reason::ApiConflict,
                kube::Error::Api(status) if status.code == 422 => Reason::ApiInvalid,
                _ => Reason::ApiUnavailable,
            },
            CallError::Git(error) => error.reason(),
            CallError::Registry(error) => error.reason(),
            CallError::Forge(error) => error.reason(),
            CallError::Overdue { .. } => Reason::Overdue,
        }
    }
}

impl CallError {
    /// Whether the API server said that there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Reason::ApiNotFound
    }

    /// Whether the API server said that the object is there already, or has changed.
    pub fn is_conflict(&self) -> bool {
        self.reason() == Reason::ApiConflict
    }
}

/// Makes calls.
#[derive(Debug, Clone)]
pub struct Calls {
    deadline: Duration,
    metrics: Arc<Metrics>,
}

impl Calls {
    /// Calls that have `deadline` unless they say otherwise.
    pub fn new(deadline: Duration, metrics: Arc<Metrics>) -> Self {
        Self { deadline, metrics }
    }

    /// A call to the API server.
    ///
    /// # Errors
    /// What the server said, or [`CallError::Overdue`].
    pub async fn cluster<T>(&self, site: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
        let call = async { call.await.map_err(|source| CallError::Cluster { site, source: Box::new(source) }) };
        self.within(self.deadline, site, call).await
    }

    /// A call to Git, a registry or a forge.
    ///
    /// # Errors
    /// What the other side said, or [`CallError::Overdue`].
    pub async fn outside<T, E: Into<CallError>>(
        &self,
        site: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError> {
        self.within(self.deadline, site, async { call.await.map_err(Into::into) }).await
    }

    /// A call with a deadline of its own, such as a first clone.
    ///
    /// # Errors
    /// What the other side said, or [`CallError::Overdue`].
    pub async fn within<T>(
        &self,
        deadline: Duration,
        site: &'static str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let begun = Instant::now();
        let result = tokio::time::timeout(deadline, call).await.unwrap_or(Err(CallError::Overdue { site, deadline }));
        self.metrics.call(site, result.as_ref().map_or_else(|error| error.reason().as_str(), |_| "ok"), begun.elapsed());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_without_an_answer_ends_and_is_counted() {
        let metrics = Arc::new(Metrics::default());
        let calls = Calls::new(Duration::from_millis(10), metrics.clone());
        let error = calls.cluster("api.get", std::future::pending::<kube::Result<()>>()).await.unwrap_err();
        assert_eq!((error.reason().as_str(), error.class()), ("Overdue", Class::Transient { after: None }));
        assert!(metrics.encode().contains(r#"mainstay_calls_total{site="api.get",outcome="Overdue"} 1"#));
    }
}
