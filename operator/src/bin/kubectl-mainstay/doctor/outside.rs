//! A repository or a registry that somebody names: whether it answers without credentials. Those of Secrets are tried by the operator.

use mainstay::clients::git::GitError;
use mainstay::clients::registry::RegistryError;

use super::Check;
use crate::cli;
use crate::offline;

/// What was asked for.
pub(super) async fn checks(asked: &cli::Doctor) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(place) = &asked.repo {
        checks.push(repository(place).await);
    }
    if let Some(prefix) = &asked.registry {
        checks.push(registry(prefix, asked.plain_http).await);
    }
    checks
}

async fn repository(place: &str) -> Check {
    const NAME: &str = "repository";
    match offline::Checkout::open(place, None).await {
        Ok(checkout) => Check::ok(NAME, format!("{place} is read without credentials: {} is at {}", checkout.branch, checkout.short())),
        Err(GitError::AuthenticationFailed { url, message }) => {
            let todo = "make a Secret with username and password, and name it in spec.credentialsSecretRef of the SourceRepository";
            Check::warn(NAME, format!("{url} answers, and wants credentials ({message})"), todo)
        }
        Err(GitError::Credentials(_)) => {
            let todo = "make a Secret with identity and known_hosts for it; the operator says whether they serve";
            Check::warn(NAME, format!("{place} is not tried: SSH wants a key"), todo)
        }
        Err(error) => Check::problem(NAME, offline::explain(error).to_string(), "check the address, DNS and what lies between"),
    }
}

async fn registry(prefix: &str, plain_http: bool) -> Check {
    const NAME: &str = "registry";
    // Whether there is such an image does not matter: a registry that is reached says that it has no tags.
    match offline::tags_of(&format!("{prefix}/mainstay-doctor"), plain_http, None).await {
        Ok(_) => Check::ok(NAME, format!("{prefix} answers without credentials")),
        Err(RegistryError::Unauthorized { what, .. } | RegistryError::Forbidden { what, .. }) => {
            let todo = "make a Secret of type kubernetes.io/dockerconfigjson, and name it in spec.registry.credentialsSecretRef";
            Check::warn(NAME, format!("{what} answers, and wants credentials"), todo)
        }
        Err(RegistryError::Unavailable { what, message, .. }) => {
            let todo = if plain_http { "check the address" } else { "check the address; a registry without TLS wants --plain-http" };
            Check::problem(NAME, format!("{what} is not reached: {message}"), todo)
        }
        Err(error) => Check::problem(NAME, error.to_string(), "check the address"),
    }
}
