//! What stands in a tree: container directories, and the build files of one of them.

use git2::{ObjectType, Oid, Repository, Tree};
use mainstay_crds::{Nixpkgs, Reason, Variant};

use super::error::GitError;
use crate::domain::version::{self, Version, VersionError};
use crate::domain::{name, nixpkgs};

/// File modes of Git that are neither file nor directory.
pub(super) const SYMLINK: i32 = 0o120_000;

/// Largest lock file that is read, in bytes.
const MAX_LOCK: usize = 4 << 20;

/// The directories under the containers' path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Containers, by name.
    pub found: Vec<Found>,
    /// What is no container, and why.
    pub skipped: Vec<Skipped>,
}

/// A container directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Name of the directory.
    pub name: String,
    /// Path in the repository.
    pub path: String,
    /// Variants by the files found.
    pub variants: Vec<Variant>,
}

/// Something under the containers' path that is no container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Path in the repository; what is not UTF-8 is replaced.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// What is wrong and what to do.
    pub message: String,
}

/// A container at some commit: its variants and their versions. Empty where there is no build file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Variant and version.
    pub variants: Vec<(Variant, Result<Version, VersionError>)>,
    /// The nixpkgs of its default.nix, where that names one.
    pub nixpkgs: Option<Nixpkgs>,
}

/// Lists the containers of a commit. Plain files beside them (a README) are passed over.
pub(super) fn list(repository: &Repository, head: Oid, containers_path: &str) -> Result<Listing, GitError> {
    let mut listing = Listing::default();
    let root = repository.find_commit(head)?.tree()?;
    let Some(directory) = directory(repository, &root, containers_path)? else { return Ok(listing) };
    for entry in &directory {
        let shown = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        let path = format!("{containers_path}/{shown}");
        let mut skip = |reason, message: String| listing.skipped.push(Skipped { path: path.clone(), reason, message });
        match entry.kind() {
            Some(ObjectType::Commit) => {
                skip(Reason::Submodule, "it is a submodule, which is not fetched: put the files into this repository".to_owned());
                continue;
            }
            Some(ObjectType::Tree) => {}
            _ if entry.filemode() == SYMLINK => {
                skip(Reason::Symlink, "it is a symbolic link: make it a directory".to_owned());
                continue;
            }
            _ => continue,
        }
        let Ok(name) = entry.name() else {
            skip(Reason::NameInvalid, "its name is not UTF-8: rename it".to_owned());
            continue;
        };
        if let Err(message) = name::check(name) {
            skip(Reason::NameInvalid, message);
            continue;
        }
        let tree = repository.find_tree(entry.id())?;
        let variants: Vec<Variant> = Variant::ALL.into_iter().filter(|variant| blob(&tree, variant.file()).is_some()).collect();
        if variants.is_empty() {
            skip(Reason::NoBuildFile, "it has neither a Dockerfile nor a default.nix: add one".to_owned());
            continue;
        }
        listing.found.push(Found { name: name.to_owned(), path, variants });
    }
    Ok(listing)
}

/// Reads the build files of a container.
pub(super) fn container(repository: &Repository, commit: Oid, path: &str) -> Result<Container, GitError> {
    let root = repository.find_commit(commit)?.tree()?;
    let Some(tree) = directory(repository, &root, path)? else { return Ok(Container::default()) };
    let read = |variant: Variant| -> Result<Option<Vec<u8>>, GitError> {
        let Some(id) = blob(&tree, variant.file()) else { return Ok(None) };
        let blob = repository.find_blob(id)?;
        Ok(Some(blob.content().to_vec()))
    };
    let (dockerfile, nix) = (read(Variant::Dockerfile)?, read(Variant::Nix)?);
    let mut variants = Vec::new();
    if let Some(text) = &dockerfile {
        variants.push((Variant::Dockerfile, version::dockerfile(text).map(Version::Written)));
    }
    if let Some(text) = &nix {
        // A default.nix without a version of its own takes the Dockerfile's (design section 2).
        let version = match version::nix(text) {
            Ok(Some(version)) => Ok(Version::Written(version)),
            Ok(None) => match dockerfile.as_deref().map(version::dockerfile) {
                None | Some(Err(VersionError::NoArgument)) => Ok(Version::Evaluated),
                Some(found) => found.map(Version::Written),
            },
            Err(error) => Err(error),
        };
        variants.push((Variant::Nix, version));
    }
    let nixpkgs = nix.as_deref().and_then(|text| nixpkgs::find(text, |relative| beside(repository, &root, path, relative)));
    let evaluated = variants.iter().any(|(_, version)| *version == Ok(Version::Evaluated));
    let nixpkgs = nixpkgs.or_else(|| evaluated.then(nixpkgs::of_version));
    Ok(Container { variants, nixpkgs })
}

/// A regular file by its path relative to a directory; none outside of the repository.
fn beside(repository: &Repository, root: &Tree<'_>, directory: &str, relative: &str) -> Option<Vec<u8>> {
    let mut parts: Vec<&str> = directory.split('/').collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    let entry = root.get_path(parts.join("/").as_ref()).ok()?;
    let id = (entry.kind() == Some(ObjectType::Blob) && entry.filemode() != SYMLINK).then(|| entry.id())?;
    let blob = repository.find_blob(id).ok()?;
    (blob.size() <= MAX_LOCK).then(|| blob.content().to_vec())
}

fn directory<'r>(repository: &'r Repository, root: &Tree<'r>, path: &str) -> Result<Option<Tree<'r>>, GitError> {
    match root.get_path(path.as_ref()) {
        Ok(entry) if entry.kind() == Some(ObjectType::Tree) => Ok(Some(repository.find_tree(entry.id())?)),
        _ => Ok(None),
    }
}

/// A regular file: a symbolic link is no build file, it might point anywhere.
fn blob(tree: &Tree<'_>, name: &str) -> Option<Oid> {
    let entry = tree.get_name(name)?;
    (entry.kind() == Some(ObjectType::Blob) && entry.filemode() != SYMLINK).then(|| entry.id())
}
