//! What the image is called: as the operator says, or by the version that the build step evaluated.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use mainstay_crds::Variant;

use super::{Args, PushError};
use crate::domain::tag;
use crate::domain::version::VersionError;

/// Longest version that is read. A tag holds less.
const MAX: u64 = 256;

/// Version and tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) version: String,
    pub(super) tag: String,
    /// Whether the operator learns both from us.
    pub(super) evaluated: bool,
}

impl Name {
    /// The name that the arguments give.
    pub(super) fn new(args: &Args) -> Result<Self, PushError> {
        match (&args.version, &args.tag, &args.version_file) {
            (Some(version), Some(tag), _) => Ok(Self { version: version.clone(), tag: tag.clone(), evaluated: false }),
            (_, _, Some(path)) => {
                let text = read(path)?;
                // As the tag is read back.
                let version = text.strip_prefix('v').unwrap_or(&text).to_owned();
                // Only nix evaluates.
                let tag = tag::format(&version, &args.revision, Variant::Nix)?;
                Ok(Self { version, tag, evaluated: true })
            }
            _ => Err(PushError::Arguments),
        }
    }

    /// The version, where the operator does not know it yet.
    pub(super) fn told(&self) -> Option<String> {
        self.evaluated.then(|| self.version.clone())
    }
}

/// The build step may have left anything: a link would lead to what only this step may read, and a pipe has no end.
fn read(path: &Path) -> Result<String, VersionError> {
    let invalid = |message: &str| VersionError::Syntax { file: "the version that nix evaluated", message: message.to_owned() };
    if !path.symlink_metadata().is_ok_and(|found| found.file_type().is_file()) {
        return Err(invalid("the build step left no plain file"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| invalid(&error.to_string()))?;
    file.take(MAX).read_to_string(&mut text).map_err(|error| invalid(&error.to_string()))?;
    Ok(text.trim().to_owned())
}
