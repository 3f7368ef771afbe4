//! What a commit says of itself, and which commits a branch has before it is merged.

use git2::{Oid, Repository, Sort};

use super::error::GitError;
use super::trace::{Change, change};

/// Commits of a branch that are looked at: more than a person makes on a branch of ours.
const MOST: usize = 200;

/// Author, time and message of a commit.
pub(super) fn about(repository: &Repository, commit: Oid) -> Result<Change, GitError> {
    Ok(change(&repository.find_commit(commit)?))
}

/// The commits that `tip` has and `main` has not, the newest first.
pub(super) fn unmerged(repository: &Repository, main: Oid, tip: Oid) -> Result<Vec<Change>, GitError> {
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL)?;
    walk.push(tip)?;
    walk.hide(main)?;
    walk.take(MOST).map(|commit| about(repository, commit?)).collect()
}

/// The change of one file as a unified diff; empty where it is none, or no text.
pub fn unified_diff(path: &str, old: &[u8], new: &[u8]) -> String {
    let path = std::path::Path::new(path);
    let patch = git2::Patch::from_buffers(old, Some(path), new, Some(path), None);
    let text = patch.and_then(|mut patch| Ok(patch.to_buf()?.to_vec()));
    text.ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_one_that_patch_reads() {
        let diff = unified_diff("a/k.yaml", b"x: 1\ntag: v1\n", b"x: 1\ntag: v2\n");
        assert!(diff.contains("--- a/a/k.yaml\n+++ b/a/k.yaml\n@@ -1,2 +1,2 @@\n x: 1\n-tag: v1\n+tag: v2\n"), "{diff}");
        assert_eq!(unified_diff("a", b"x", b"x"), "");
    }
}
