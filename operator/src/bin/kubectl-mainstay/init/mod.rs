//! `init`: the first objects for a repository, from what is in it. The cluster is not asked, and nothing is applied.
//!
//! Pure: [`manifests`] finds out where the manifests are and how they name images; [`objects`] writes what is to be applied.

mod manifests;
mod objects;

use std::path::Path;

use mainstay::clients::git::{GitError, Listing};
use mainstay::domain::version::Version;
use mainstay_crds::Variant;

use self::manifests::Images;
use crate::cli;
use crate::failure::{Failure, one_line};
use crate::offline::{Checkout, KEY, explain};
use crate::output::{print, remark};

/// What was found in a repository.
pub(crate) struct Found {
    /// What it is called, for the name of the SourceRepository.
    name: String,
    /// Its address, where that is known.
    url: Option<String>,
    branch: String,
    /// First seven digits of main's newest commit.
    head: String,
    containers_path: String,
    containers: Vec<Container>,
    /// Directories that are no containers, and why.
    skipped: Vec<String>,
    images: Images,
}

/// A container directory.
struct Container {
    path: String,
    /// Each variant with its version, or what is wrong with it.
    variants: Vec<(Variant, Result<String, String>)>,
}

/// Reads the repository and writes the objects.
pub(crate) async fn init(asked: &cli::Init, namespace: Option<&str>) -> Result<(), Failure> {
    let found = read(asked).await?;
    let text = objects::write(&found, namespace);
    objects::check(&text)?;
    print(&text)?;
    let fill = text.matches(objects::FILL_IN).count();
    remark(&match fill {
        0 => "nothing was applied: read it, make the Secrets that it names, and kubectl apply -f it".to_owned(),
        _ => {
            format!("nothing was applied: write in what is marked {} ({fill}), make the Secrets, and kubectl apply -f it", objects::FILL_IN)
        }
    });
    Ok(())
}

async fn read(asked: &cli::Init) -> Result<Found, Failure> {
    let place = asked.directory.display().to_string();
    let checkout = Checkout::open(&place, asked.branch.as_deref()).await.map_err(explain)?;
    let containers_path = asked.containers_path.trim_matches('/').to_owned();
    let Listing { found, skipped } = checkout.store.list(KEY, &checkout.head, &containers_path).await.map_err(explain)?;
    if found.is_empty() {
        let at = format!("{} of {place} at {}", checkout.branch, checkout.short());
        return Err(Failure::Failed(format!(
            "{at} has no directory {containers_path}/<name> with a Dockerfile or a default.nix: commit one, or name another place with --containers-path"
        )));
    }
    let mut containers = Vec::new();
    for one in &found {
        let files = checkout.store.container(KEY, &checkout.head, &one.path).await.map_err(explain)?;
        let told = |version: &Version| version.written().unwrap_or("evaluated when it is built").to_owned();
        let variants = files.variants.iter().map(|(variant, version)| (*variant, version.as_ref().map(told).map_err(ToString::to_string)));
        containers.push(Container { path: one.path.clone(), variants: variants.collect() });
    }
    let inside = format!("{containers_path}/");
    let wanted = move |path: &str| !path.starts_with(&inside) && [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending));
    let files = match checkout.store.blobs(KEY, &checkout.head, wanted).await {
        Ok(manifests) => manifests.files,
        Err(GitError::TooLarge(text)) => {
            remark(&format!("the manifests are not looked at: {text}"));
            Vec::new()
        }
        Err(error) => return Err(explain(error)),
    };
    let names: Vec<String> = found.iter().map(|one| one.name.clone()).collect();
    let origin = match &asked.url {
        Some(url) => Some(url.clone()),
        None => checkout.store.origin(KEY).await.map_err(explain)?.and_then(|url| address(&url)),
    };
    Ok(Found {
        name: name(origin.as_deref(), &asked.directory),
        url: origin,
        head: checkout.short().to_owned(),
        branch: checkout.branch,
        containers_path,
        containers,
        skipped: skipped.iter().map(|one| one_line(&format!("{}: {}", one.path, one.message))).collect(),
        images: manifests::images(&names, &files, asked.registry.as_deref()),
    })
}

/// The address of a remote as a SourceRepository takes it: without a password, which belongs into a Secret. `None` for a path on a disk.
fn address(remote: &str) -> Option<String> {
    let Some((scheme, rest)) = remote.split_once("://") else {
        return remote.split_once(':').filter(|(host, _)| host.contains('@')).map(|_| remote.to_owned());
    };
    let (user, host) = rest.split_once('@').filter(|(user, _)| !user.contains('/')).map_or((None, rest), |(user, host)| (Some(user), host));
    match (scheme, user) {
        ("http" | "https", _) => Some(format!("{scheme}://{host}")),
        ("ssh", Some(user)) => Some(format!("ssh://{}@{host}", user.split(':').next().unwrap_or(user))),
        ("ssh", None) => Some(remote.to_owned()),
        _ => None,
    }
}

/// A name for the SourceRepository: that of the repository, as object names are.
fn name(url: Option<&str>, directory: &Path) -> String {
    let folder = directory.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let last = url.and_then(|url| url.trim_end_matches('/').rsplit(['/', ':']).next().map(|last| last.trim_end_matches(".git").to_owned()));
    let text = last.or(folder).unwrap_or_default().to_lowercase();
    let clean: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let clean = clean.trim_matches('-');
    if clean.is_empty() { "source".to_owned() } else { clean.to_owned() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
