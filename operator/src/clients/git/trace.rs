//! Who changed something in a file last, and when: for many files in one walk.

use std::collections::HashMap;

use git2::{Commit, Oid, Repository, Tree};

use super::error::GitError;
use super::index::{self, Trie};
use super::manifests;

/// The commit on main's first-parent line that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// 40 digits.
    pub commit: String,
    /// What is not UTF-8 in a commit is replaced.
    pub author_name: String,
    /// Address of the author.
    pub author_email: String,
    /// When it was written, in seconds since 1970, if the author's clock was right.
    pub time_seconds: i64,
    /// The whole message.
    pub message: String,
    /// The first parent; `None` at the root.
    pub parent: Option<String>,
}

/// Whether what is looked for in a file changed between two contents of it; before is `None` where the file was not there.
pub(super) type Step<'s> = dyn FnMut(&str, Option<&[u8]>, &[u8], &Change) -> bool + 's;

/// For each path the newest commit of the first-parent line that touches the file and of which `step` says so.
pub(super) fn trace(repository: &Repository, head: Oid, paths: &[String], step: &mut Step<'_>) -> Result<Vec<Option<Change>>, GitError> {
    let mut changes: HashMap<&str, Change> = HashMap::new();
    index::walk(repository, head, Trie::new(paths.iter().map(String::as_str)), |visit, path| {
        // A commit that removed the file, or put something else there: what is looked for came with an older or a newer one.
        let Some(after) = content(repository, visit.tree, path)? else { return Ok(false) };
        let before = visit.before.map(|tree| content(repository, tree, path)).transpose()?.flatten();
        let change = change(visit.commit);
        let found = step(path, before.as_deref(), &after, &change);
        if found {
            changes.insert(path, change);
        }
        Ok(found)
    })?;
    Ok(paths.iter().map(|path| changes.get(path.as_str()).cloned()).collect())
}

fn content(repository: &Repository, tree: &Tree<'_>, path: &str) -> Result<Option<Vec<u8>>, GitError> {
    match manifests::regular(tree, path) {
        Some(file) => manifests::content(repository, file.id),
        None => Ok(None),
    }
}

pub(super) fn change(commit: &Commit<'_>) -> Change {
    let author = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Change {
        commit: commit.id().to_string(),
        author_name: text(author.name_bytes()),
        author_email: text(author.email_bytes()),
        time_seconds: author.when().seconds(),
        message: text(commit.message_bytes()),
        parent: commit.parent_id(0).ok().map(|parent| parent.to_string()),
    }
}
