//! Writes the tree of a commit: modes, symbolic links and names exactly as they are. Directories are made by us and entered by name, so that no
//! entry is ever written through a link of the tree.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use git2::{ObjectType, Oid, Repository, Tree};

use crate::clients::git::GitError;

/// File modes of Git.
const EXECUTABLE: i32 = 0o100_755;
const SYMLINK: i32 = 0o120_000;

/// Deepest directory that is written: deeper paths are longer than any system takes.
const MAX_DEPTH: usize = 1000;

/// What stops an export.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error(transparent)]
    Git(#[from] git2::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ExportError> for super::SourceError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Git(error) => super::SourceError::Git(GitError::from(error)),
            ExportError::Io(error) => super::SourceError::Disk(error),
        }
    }
}

/// Writes the tree of `commit` as `destination`, in place of what is there. Says how many files there are.
pub(super) fn export(repository: &Repository, commit: &str, destination: &Path) -> Result<usize, ExportError> {
    let commit = repository.find_commit(Oid::from_str(commit)?)?;
    if destination.exists() {
        // Of a pod that was restarted: what is half there is made anew.
        fs::remove_dir_all(destination)?;
    }
    fs::create_dir_all(destination)?;
    let seconds = u64::try_from(commit.time().seconds()).unwrap_or_default();
    let writer = Writer { repository, time: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) };
    writer.directory(&commit.tree()?, destination, 0)
}

struct Writer<'r> {
    repository: &'r Repository,
    /// Time of the commit: the same commit gives the same files (layers are cached by their times in some builders).
    time: SystemTime,
}

impl Writer<'_> {
    fn directory(&self, tree: &Tree<'_>, path: &Path, depth: usize) -> Result<usize, ExportError> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other("directories are nested too deep").into());
        }
        let mut files = 0;
        for entry in tree {
            let name = entry.name_bytes();
            // git2 reads what a hostile server sent: names that lead elsewhere are no files of ours.
            if name.is_empty()
                || name == b"."
                || name == b".."
                || name.contains(&b'/')
                || name.contains(&0)
                || name.eq_ignore_ascii_case(b".git")
            {
                return Err(io::Error::other(format!("the tree has an entry named {:?}", String::from_utf8_lossy(name))).into());
            }
            let target = path.join(OsStr::from_bytes(name));
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    fs::create_dir(&target)?;
                    files += self.directory(&self.repository.find_tree(entry.id())?, &target, depth + 1)?;
                }
                // A submodule: its directory is there and empty, as in a clone without submodules.
                Some(ObjectType::Commit) => fs::create_dir(&target)?,
                _ => {
                    self.file(entry.id(), entry.filemode(), &target)?;
                    files += 1;
                }
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        File::open(path)?.set_modified(self.time)?;
        Ok(files)
    }

    fn file(&self, id: Oid, mode: i32, target: &Path) -> Result<(), ExportError> {
        let blob = self.repository.find_blob(id)?;
        if mode == SYMLINK {
            symlink(OsStr::from_bytes(blob.content()), target)?;
            return Ok(());
        }
        let mode = if mode == EXECUTABLE { 0o755 } else { 0o644 };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(target)?;
        file.write_all(blob.content())?;
        // The umask has no say.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.set_modified(self.time)?;
        Ok(())
    }
}
