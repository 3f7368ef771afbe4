//! Without a cluster: a repository and a registry, read by the library's own clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mainstay::clients::git::{Auth, GitError, Remote, Store, Synced};
use mainstay::clients::registry::{Credential, Registry, RegistryError, Settings};
use mainstay::domain::build::short;
use mainstay::domain::graph::Graph;
use tempfile::TempDir;

use crate::cli;
use crate::failure::{Failure, one_line};
use crate::output::remark;
use crate::show::print_tags;
use crate::tags;

/// Longest time for a fetch.
const FETCH: Duration = Duration::from_secs(300);

/// Longest time between two pieces of a registry's answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The only repository of its store.
pub(crate) const KEY: &str = "repository";

/// A repository that is read: a directory where it lies, or what was fetched from an address.
pub(crate) struct Checkout {
    pub(crate) store: Store,
    /// The branch that counts as main.
    pub(crate) branch: String,
    /// Its newest commit, 40 hex digits.
    pub(crate) head: String,
    /// Whether it was fetched, and not found on the disk.
    fetched: bool,
    /// Removed when all is done.
    _clone: TempDir,
}

impl Checkout {
    /// A directory, or an address that wants no credentials.
    pub(crate) async fn open(place: &str, branch: Option<&str>) -> Result<Self, GitError> {
        let clone = tempfile::tempdir().map_err(|error| GitError::Disk(error.to_string()))?;
        let store = Store::new(clone.path().to_owned(), FETCH);
        let fetched = is_address(place);
        let Synced { branch, head, .. } = if fetched {
            remark(&format!("fetching {place} ..."));
            let remote = Remote { url: place.to_owned(), branch: branch.map(str::to_owned), auth: Auth::None, ca: None };
            store.sync(KEY, &remote).await?
        } else {
            store.open(KEY, Path::new(place), branch).await?
        };
        Ok(Self { store, branch, head, fetched, _clone: clone })
    }

    /// First seven digits of main's newest commit.
    pub(crate) fn short(&self) -> &str {
        short(&self.head)
    }

    async fn graph(&self) -> Result<Arc<Graph>, GitError> {
        self.store.graph(KEY).await
    }
}

/// Whether it is no directory: it has a scheme, or the form `user@host:path`.
fn is_address(place: &str) -> bool {
    !Path::new(place).exists() && (place.contains("://") || place.split_once(':').is_some_and(|(host, _)| host.contains('@')))
}

/// In the words of somebody who has no SourceRepository before him.
pub(crate) fn explain(error: GitError) -> Failure {
    let local = "clone it with git, and name the directory";
    let text = match error {
        GitError::AuthenticationFailed { url, message } => format!("{url} wants credentials ({message}): {local}"),
        GitError::Credentials(_) => format!("only addresses with http:// or https:// are fetched here: {local}"),
        GitError::RepositoryNotFound { url } => format!("there is no Git repository at {url}, or it wants credentials: then {local}"),
        GitError::CertificateInvalid { url, message } => format!("the certificate of {url} is not trusted ({message}): {local}"),
        GitError::BranchNotFound { url, branch } => format!("{url} has no branch {branch}: name another with --branch"),
        other => other.to_string(),
    };
    Failure::Failed(one_line(&text))
}

/// The tags of an image in its registry.
pub(crate) async fn tags_of(image: &str, plain_http: bool, credential: Option<Credential>) -> Result<Vec<String>, RegistryError> {
    let invalid =
        || RegistryError::NotFound { what: image.to_owned(), message: "write it as registry.example/team/cv, without a tag".to_owned() };
    let (endpoint, path) = image.split_once('/').ok_or_else(invalid)?;
    let settings = Settings { endpoint: endpoint.to_owned(), plain_http, ca: None, credential, deadline: ANSWER };
    Registry::new(settings)?.tags(path).await
}

/// What `docker login` has left for an image. What is kept by a helper program is not asked for.
fn login(image: &str) -> Option<Credential> {
    let named = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    let json = std::fs::read(folder.join("config.json")).ok()?;
    match Credential::from_docker_config(&json, image) {
        Ok(found) => found,
        Err(error) => {
            remark(&format!("without credentials: {}: {}", folder.join("config.json").display(), one_line(&error.to_string())));
            None
        }
    }
}

/// `tags --repo`.
pub(crate) async fn tags(asked: &cli::Tags, repo: &str, image: &str) -> Result<(), Failure> {
    let (checkout, listed) = tokio::join!(Checkout::open(repo, asked.branch.as_deref()), tags_of(image, asked.plain_http, login(image)));
    let checkout = checkout.map_err(explain)?;
    let listed = listed.map_err(|error| match error {
        RegistryError::Unauthorized { what, message } | RegistryError::Forbidden { what, message } => {
            Failure::Failed(one_line(&format!("{what} wants other credentials ({message}): docker login")))
        }
        RegistryError::CertificateInvalid { what, message } => {
            Failure::Failed(one_line(&format!("{what}: the certificate is not trusted ({message}): give its authority to this system")))
        }
        other => Failure::Failed(one_line(&other.to_string())),
    })?;
    let graph = checkout.graph().await.map_err(explain)?;
    print_tags(&tags::of_registry(image, &listed, &graph), asked.output)?;
    let (branch, head) = (&checkout.branch, checkout.short());
    let age = if checkout.fetched { "" } else { ", as it lies there: nothing was fetched" };
    remark(&format!("by {branch} of {repo} at {head}{age}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_directory() {
        for address in ["https://g/x.git", "ssh://git@g/x", "git@g:team/x.git"] {
            assert!(is_address(address), "{address}");
        }
        for directory in [".", "/srv/ops", "ops", "a:b"] {
            assert!(!is_address(directory), "{directory}");
        }
    }

    #[tokio::test]
    async fn what_is_no_repository_is_said_in_words_that_fit_here() {
        let nowhere = tempfile::tempdir().unwrap();
        let of = |place: String| async move { explain(Checkout::open(&place, None).await.err().unwrap()).to_string() };
        let said = of(nowhere.path().display().to_string()).await;
        assert!(said.starts_with("there is no Git repository at ") && !said.contains("spec."), "{said}");
        let said = of("git@forge.invalid:team/ops.git".to_owned()).await;
        assert!(said.ends_with("name the directory") && !said.contains("Secret"), "{said}");
        let said = tags_of("cv", false, None).await.unwrap_err().to_string();
        assert!(said.contains("registry.example/team/cv"), "{said}");
    }
}
