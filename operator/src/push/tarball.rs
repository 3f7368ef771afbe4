//! A tar file as a table: names to places. Nothing is unpacked to a path that stands in it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use super::archive::ArchiveError;

/// Most entries that are looked at: an image has some per layer.
const MAX_ENTRIES: usize = 10_000;

/// Hops over links inside the archive (`docker save` of old links layers that are the same).
const MAX_LINKS: usize = 4;

/// A place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u64,
}

enum Entry {
    File(Place),
    Link(String),
}

/// The table of a tar file.
pub(super) struct Tarball {
    pub(super) path: PathBuf,
    entries: HashMap<String, Entry>,
}

impl Tarball {
    /// Reads the table. A gzip-compressed file is unpacked into the spool directory first, so that there are places to speak of.
    pub(super) fn open(path: &Path, spool: &Path) -> Result<Self, ArchiveError> {
        let mut file = File::open(path)?;
        let path = if is_gzip(&mut file)? {
            let plain = spool.join("archive.tar");
            let mut out = File::create(&plain)?;
            io::copy(&mut GzDecoder::new(&mut file), &mut out)?;
            out.flush()?;
            plain
        } else {
            path.to_owned()
        };
        let mut entries = HashMap::new();
        let mut archive = Archive::new(File::open(&path)?);
        for (count, entry) in archive.entries_with_seek()?.enumerate() {
            let entry = entry.map_err(|error| ArchiveError::Invalid(format!("it is not a tar file: {error}")))?;
            if count >= MAX_ENTRIES {
                return Err(ArchiveError::Invalid(format!("it has more than {MAX_ENTRIES} entries")));
            }
            let Some(name) = entry.path().ok().and_then(|path| normal(&path)) else { continue };
            let found = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => Entry::File(Place { offset: entry.raw_file_position(), size: entry.size() }),
                EntryType::Symlink | EntryType::Link => {
                    let hard = entry.header().entry_type() == EntryType::Link;
                    let Some(target) = entry.link_name().ok().flatten() else { continue };
                    let from = if hard { PathBuf::new() } else { Path::new(&name).parent().map(Path::to_owned).unwrap_or_default() };
                    let Some(target) = normal(&from.join(target)) else { continue };
                    Entry::Link(target)
                }
                _ => continue,
            };
            entries.insert(name, found);
        }
        Ok(Self { path, entries })
    }

    /// Where a file stands.
    pub(super) fn find(&self, name: &str) -> Option<Place> {
        let mut name = name;
        for _ in 0..MAX_LINKS {
            match self.entries.get(name)? {
                Entry::File(place) => return Some(*place),
                Entry::Link(target) => name = target,
            }
        }
        None
    }

    /// The bytes of a place.
    pub(super) fn reader(&self, place: Place) -> Result<Take<File>, ArchiveError> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(place.offset))?;
        Ok(file.take(place.size))
    }
}

/// A path without `.`, and none at all where it leaves the archive.
fn normal(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(part) => parts.push(part.to_str()?),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                parts.pop()?;
            }
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

/// Whether a file begins as gzip does; it is left at its beginning.
pub(super) fn is_gzip<R: Read + Seek>(file: &mut R) -> io::Result<bool> {
    let start = file.stream_position()?;
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(magic == [0x1f, 0x8b])
}
