//! From a SourceRepository and its Secrets to a Git remote, a registry client and a client of its forge.

use std::sync::{Arc, PoisonError};

use kube::ResourceExt;
use mainstay_crds::{ForgeProvider, ForgeSettings, LocalReference, Reason, SourceRepository};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::context::Context;
use super::problem::Problem;
use super::secrets::SecretData;
use crate::clients::call::CallError;
use crate::clients::forge::{self, Address, Forge, ForgeKind};
use crate::clients::git::{Auth, Remote};
use crate::clients::registry::{Credential, Registry, Settings};

/// The remote of a SourceRepository, with the credentials of its Secret.
///
/// # Errors
/// Where the Secret is absent or does not hold what the URL needs.
pub async fn remote(ctx: &Context, repository: &SourceRepository) -> Result<Remote, Problem> {
    let spec = &repository.spec;
    let (auth, ca) = match secret(ctx, repository, "spec.credentialsSecretRef", spec.credentials_secret_ref.as_ref()).await? {
        Some(data) => Auth::from_secret(&spec.url, &data).map_err(CallError::from)?,
        None => (Auth::None, None),
    };
    Ok(Remote { url: spec.url.clone(), branch: spec.branch.clone(), auth, ca })
}

/// The client for the registry of an image of a SourceRepository.
///
/// # Errors
/// Where a Secret is absent or not usable, or the image lies on another host than `spec.registry.prefix`.
pub async fn registry(ctx: &Context, repository: &SourceRepository, image: &str) -> Result<(Registry, String), Problem> {
    let settings = &repository.spec.registry;
    let host = |text: &str| text.split('/').next().unwrap_or_default().to_owned();
    let endpoint = host(&settings.prefix);
    let Some(path) = image.strip_prefix(&format!("{endpoint}/")) else {
        let text = format!(
            "image {image} is not on {endpoint}, the host of spec.registry.prefix of SourceRepository {}: its credentials are for that host only",
            repository.name_any()
        );
        return Err(Problem::stuck(Reason::InvalidSpec, text));
    };
    let docker = secret(ctx, repository, "spec.registry.credentialsSecretRef", settings.credentials_secret_ref.as_ref()).await?;
    let credential = match &docker {
        None => None,
        Some(data) => {
            let name = settings.credentials_secret_ref.as_ref().map(|r| r.name.clone()).unwrap_or_default();
            let json = data.get(".dockerconfigjson").ok_or_else(|| {
                Problem::retrying(
                    Reason::SecretInvalid,
                    format!("Secret {name} has no key .dockerconfigjson: it must be of type kubernetes.io/dockerconfigjson"),
                )
            })?;
            let found = Credential::from_docker_config(json, image).map_err(CallError::from)?;
            Some(found.ok_or_else(|| {
                Problem::retrying(Reason::SecretInvalid, format!("Secret {name} has no credentials for {endpoint}: add them under auths"))
            })?)
        }
    };
    let ca = match secret(ctx, repository, "spec.registry.caSecretRef", settings.ca_secret_ref.as_ref()).await? {
        None => None,
        Some(data) => Some(
            data.get("ca.crt")
                .cloned()
                .ok_or_else(|| Problem::retrying(Reason::SecretInvalid, "the Secret of spec.registry.caSecretRef has no key ca.crt"))?,
        ),
    };
    let plain_http = settings.plain_http.unwrap_or(false);
    let key = fingerprint(&endpoint, plain_http, ca.as_deref(), credential.as_ref());
    if let Some(client) = ctx.registries.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok((client.clone(), path.to_owned()));
    }
    let client =
        Registry::new(Settings { endpoint, plain_http, ca, credential, deadline: ctx.config.call_deadline }).map_err(CallError::from)?;
    let mut clients = ctx.registries.lock().unwrap_or_else(PoisonError::into_inner);
    // Credentials change seldom: forgetting all clients now and then is simpler than knowing which one is old.
    if clients.len() >= 64 {
        clients.clear();
    }
    clients.insert(key, client.clone());
    Ok((client, path.to_owned()))
}

/// The client for the forge of a SourceRepository. `field` is where `settings` have their token, and `purpose` what it must allow: both for errors.
///
/// # Errors
/// Where its address or token cannot be found.
pub async fn forge(
    ctx: &Context,
    repository: &SourceRepository,
    settings: &ForgeSettings,
    field: &'static str,
    purpose: &'static str,
) -> Result<Forge, Problem> {
    let kind = settings.provider.map(|provider| match provider {
        ForgeProvider::Gitea => ForgeKind::Gitea,
        ForgeProvider::GitHub => ForgeKind::GitHub,
    });
    let address = Address::of(&repository.spec.url, kind, settings.api_url.as_deref()).map_err(CallError::from)?;
    let remote = remote(ctx, repository).await?;
    let (token, token_from): (SecretString, String) = match &settings.token_secret_ref {
        Some(reference) => {
            let data = named_secret(ctx, &repository.namespace().unwrap_or_default(), field, &reference.name).await?;
            let token = data.get("token").and_then(|bytes| String::from_utf8(bytes.clone()).ok());
            let token = token
                .ok_or_else(|| Problem::retrying(Reason::SecretInvalid, format!("Secret {} ({field}) has no key token", reference.name)))?;
            (token.trim().to_owned().into(), format!("key token of Secret {} ({field})", reference.name))
        }
        None => {
            let from = "the Secret of spec.credentialsSecretRef of the SourceRepository".to_owned();
            match &remote.auth {
                Auth::Basic { password, .. } => (password.expose_secret().to_owned().into(), from),
                Auth::Bearer(token) => (token.expose_secret().to_owned().into(), from),
                Auth::None | Auth::Ssh { .. } => {
                    let text = format!("a token is needed to {purpose}: name a Secret with key token in {field}");
                    return Err(Problem::stuck(Reason::SecretNotFound, text));
                }
            }
        }
    };
    let settings = forge::Settings { address, token, token_from, purpose, ca: remote.ca, deadline: ctx.config.call_deadline };
    Ok(Forge::new(settings).map_err(CallError::from)?)
}

/// A Secret that a field names; `None` where the field is not set.
async fn secret(
    ctx: &Context,
    repository: &SourceRepository,
    field: &str,
    reference: Option<&LocalReference>,
) -> Result<Option<Arc<SecretData>>, Problem> {
    let Some(reference) = reference else { return Ok(None) };
    let field = format!("{field} of SourceRepository {}", repository.name_any());
    named_secret(ctx, &repository.namespace().unwrap_or_default(), &field, &reference.name).await.map(Some)
}

/// The Secret that a field names.
///
/// # Errors
/// Where there is none.
pub async fn named_secret(ctx: &Context, namespace: &str, field: &str, name: &str) -> Result<Arc<SecretData>, Problem> {
    let found = ctx.secrets.get(&ctx.cluster, namespace, name).await?;
    found.ok_or_else(|| Problem::retrying(Reason::SecretNotFound, format!("Secret {namespace}/{name} ({field}) does not exist: create it")))
}

/// Looks whether the Secret that signs provenance is there and holds a key: a pod that waits for it says little.
///
/// # Errors
/// Where there is none.
pub async fn signing_key(ctx: &Context, repository: &SourceRepository, name: &str) -> Result<(), Problem> {
    let field = format!("spec.provenance.signingKeySecretRef of SourceRepository {}", repository.name_any());
    let data = named_secret(ctx, &repository.namespace().unwrap_or_default(), &field, name).await?;
    if data.contains_key("signing.key") {
        return Ok(());
    }
    Err(Problem::retrying(Reason::SecretInvalid, format!("Secret {name} ({field}) has no key signing.key")))
}

fn fingerprint(endpoint: &str, plain_http: bool, ca: Option<&[u8]>, credential: Option<&Credential>) -> String {
    let mut hash = Sha256::new();
    for part in [endpoint.as_bytes(), &[u8::from(plain_http)], ca.unwrap_or_default()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    if let Some(credential) = credential {
        hash.update(&credential.username);
        hash.update([0]);
        hash.update(credential.password.expose_secret());
    }
    hex::encode(hash.finalize())
}
