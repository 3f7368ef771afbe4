//! A commit made in a bare clone: no work tree, no index, nothing but the named files changes.

use std::collections::HashSet;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Signature, Time, Tree};

use super::error::GitError;
use super::manifests;
use super::sign::SigningKey;

/// What shall stand on a branch.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The commit that the branch is at, 40 digits; `None` where there is no such branch. Anything else there is a lost race.
    pub expected: Option<String>,
    /// Parents, the branch's own first. `expected` is one of them or an ancestor of one: no push of ours is forced.
    pub parents: Vec<String>,
    /// The commit whose files stay as they are, but for `files`.
    pub base: String,
    /// Regular files of `base`, and what they shall hold. Their modes stay.
    pub files: Vec<(String, Vec<u8>)>,
    /// The whole message.
    pub message: String,
    /// Author and committer.
    pub author: Author,
    /// Seconds since 1970. The same request at the same time is the same commit.
    pub when: i64,
    /// Signs the commit.
    pub signing: Option<SigningKey>,
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

/// A commit that is ready to be pushed.
pub(super) struct Prepared {
    pub(super) commit: Oid,
    pub(super) expected: Option<Oid>,
}

/// Makes the commit. `None` where the clone no longer has what was observed: it was made anew after a rewrite of history.
pub(super) fn commit(repository: &Repository, request: &WriteRequest) -> Result<Option<Prepared>, GitError> {
    if !git2::Reference::is_valid_name(&format!("refs/heads/{}", request.branch)) {
        return Err(GitError::WriteInvalid(format!("{:?} is no name for a branch", request.branch)));
    }
    let author = signature(&request.author, request.when)?;
    let message = request.message.as_str();
    if message.trim().is_empty() || message.contains('\0') {
        return Err(GitError::WriteInvalid("the message is empty, or has a zero byte".to_owned()));
    }
    let expected = request.expected.as_deref().map(id).transpose()?;
    let mut parents = Vec::with_capacity(request.parents.len());
    for parent in &request.parents {
        let Ok(parent) = repository.find_commit(id(parent)?) else { return Ok(None) };
        parents.push(parent);
    }
    let Ok(base) = repository.find_commit(id(&request.base)?) else { return Ok(None) };
    if let Some(expected) = expected {
        if repository.find_commit(expected).is_err() {
            return Ok(None);
        }
        let follows =
            |parent: &git2::Commit<'_>| parent.id() == expected || repository.graph_descendant_of(parent.id(), expected) == Ok(true);
        if !parents.iter().any(follows) {
            return Err(GitError::WriteInvalid(format!(
                "it would not descend from {expected}, where the branch is: that is a forced push"
            )));
        }
    }
    let before = base.tree()?;
    let after = tree(repository, &before, &request.files)?;
    if after.id() == before.id() {
        return Err(GitError::WriteInvalid("it changes nothing".to_owned()));
    }
    let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
    let buffer = repository.commit_create_buffer(&author, &author, message, &after, &parents)?;
    let text = buffer.as_str().map_err(|_| GitError::WriteInvalid("it is not UTF-8".to_owned()))?;
    let commit = match &request.signing {
        Some(key) => repository.commit_signed(text, &key.sign(text)?, None)?,
        None => repository.odb()?.write(git2::ObjectType::Commit, text.as_bytes())?,
    };
    Ok(Some(Prepared { commit, expected }))
}

/// The tree with other bytes in some of its files.
fn tree<'r>(repository: &'r Repository, base: &Tree<'r>, files: &[(String, Vec<u8>)]) -> Result<Tree<'r>, GitError> {
    let mut update = TreeUpdateBuilder::new();
    let mut seen = HashSet::new();
    for (path, bytes) in files {
        let Some(file) = manifests::regular(base, path) else {
            return Err(GitError::WriteInvalid(format!("{path:?} is no regular file of the branch")));
        };
        if !seen.insert(path.as_str()) {
            return Err(GitError::WriteInvalid(format!("{path:?} is named twice")));
        }
        // Git knows two kinds of regular files; a group-writable one is of old times, and git itself writes it as a plain one.
        let mode = if file.executable { FileMode::BlobExecutable } else { FileMode::Blob };
        update.upsert(path.as_str(), repository.blob(bytes)?, mode);
    }
    Ok(repository.find_tree(update.create_updated(repository, base)?)?)
}

fn signature(author: &Author, when: i64) -> Result<Signature<'static>, GitError> {
    // A line break would be a header of the commit.
    if author.name.chars().chain(author.email.chars()).any(char::is_control) {
        return Err(GitError::WriteInvalid("the author's name or address has a control character".to_owned()));
    }
    Signature::new(&author.name, &author.email, &Time::new(when, 0))
        .map_err(|error| GitError::WriteInvalid(format!("the author's name or address does not serve: {}", error.message())))
}

fn id(commit: &str) -> Result<Oid, GitError> {
    let full = commit.len() == 40;
    Oid::from_str(commit).ok().filter(|_| full).ok_or_else(|| GitError::WriteInvalid(format!("{commit:?} is no full commit")))
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
