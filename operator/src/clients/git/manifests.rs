//! The regular files of a commit that some rule selects.

use git2::{ObjectType, Oid, Repository, Tree};

use mainstay_crds::Reason;

use super::error::GitError;
use super::listing::{SYMLINK, Skipped};

/// Largest file that is read.
pub(super) const MAX_FILE: usize = 4 << 20;

/// Most files, and most bytes of them together.
const MAX_FILES: usize = 20_000;
const MAX_TOTAL: usize = 256 << 20;

/// Most entries that are looked at. Trees that name the same tree again and again look endless.
const MAX_ENTRIES: usize = 2_000_000;

/// Files of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifests {
    /// What was selected and read, by path.
    pub files: Vec<Manifest>,
    /// What was selected and not read, and every submodule, by path.
    pub skipped: Vec<Skipped>,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Path in the repository.
    pub path: String,
    /// Git's name for the content, 40 digits: equal names are equal bytes.
    pub blob: String,
    /// Git's mode: 0o100644 or 0o100755.
    pub mode: i32,
    /// The content.
    pub bytes: Vec<u8>,
}

/// A regular file in a tree.
pub(super) struct Regular {
    pub(super) id: Oid,
    pub(super) executable: bool,
}

/// The regular file at a path. A symbolic link might point anywhere, and is none.
pub(super) fn regular(tree: &Tree<'_>, path: &str) -> Option<Regular> {
    let entry = tree.get_path(path.as_ref()).ok()?;
    (entry.kind() == Some(ObjectType::Blob) && entry.filemode() != SYMLINK)
        .then(|| Regular { id: entry.id(), executable: entry.filemode() & 0o100 != 0 })
}

/// The content of a blob, unless it is too large.
pub(super) fn content(repository: &Repository, id: Oid) -> Result<Option<Vec<u8>>, GitError> {
    // Asked first: a blob is in memory as soon as it is found.
    let (size, _) = repository.odb()?.read_header(id)?;
    if size > MAX_FILE {
        return Ok(None);
    }
    Ok(Some(repository.find_blob(id)?.content().to_vec()))
}

/// Reads the regular files of a commit that `select` wants by their paths.
pub(super) fn read(repository: &Repository, commit: Oid, select: &dyn Fn(&str) -> bool) -> Result<Manifests, GitError> {
    let mut found = Manifests::default();
    let (mut entries, mut total) = (0_usize, 0_usize);
    // A stack of our own: the depth of a tree is the choice of whoever made it.
    let mut pending = vec![(String::new(), repository.find_commit(commit)?.tree_id())];
    while let Some((directory, id)) = pending.pop() {
        let tree = repository.find_tree(id)?;
        for entry in &tree {
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(GitError::TooLarge(format!("more than {MAX_ENTRIES} files and directories")));
            }
            let shown = String::from_utf8_lossy(entry.name_bytes());
            let path = if directory.is_empty() { shown.into_owned() } else { format!("{directory}/{shown}") };
            let skip = |reason, message: &str| Skipped { path: path.clone(), reason, message: message.to_owned() };
            let skipped = match entry.kind() {
                Some(ObjectType::Commit) => {
                    skip(Reason::Submodule, "it is a submodule, which is not fetched: put the files into this repository")
                }
                Some(ObjectType::Tree) if entry.name().is_ok() => {
                    pending.push((path, entry.id()));
                    continue;
                }
                Some(ObjectType::Tree) => skip(Reason::NameInvalid, "its name is not UTF-8: rename it"),
                Some(ObjectType::Blob) if !select(&path) => continue,
                Some(ObjectType::Blob) if entry.name().is_err() => skip(Reason::NameInvalid, "its name is not UTF-8: rename it"),
                Some(ObjectType::Blob) if entry.filemode() == SYMLINK => {
                    skip(Reason::Symlink, "it is a symbolic link: name the file that it points to")
                }
                Some(ObjectType::Blob) => match content(repository, entry.id())? {
                    Some(bytes) => {
                        total += bytes.len();
                        found.files.push(Manifest { path, blob: entry.id().to_string(), mode: entry.filemode(), bytes });
                        if found.files.len() > MAX_FILES || total > MAX_TOTAL {
                            let most = MAX_TOTAL >> 20;
                            return Err(GitError::TooLarge(format!(
                                "more than {MAX_FILES} files or {most} MiB are selected: select fewer"
                            )));
                        }
                        continue;
                    }
                    None => skip(Reason::FileTooLarge, "it is larger than 4 MiB: split it, or exclude it"),
                },
                _ => continue,
            };
            found.skipped.push(skipped);
            if found.skipped.len() > MAX_FILES {
                return Err(GitError::TooLarge(format!("more than {MAX_FILES} files cannot be read")));
            }
        }
    }
    found.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    found.skipped.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
