//! What a builder leaves: an OCI layout or a Docker archive. Both become the same thing: a configuration and layers, every digest checked, here or by the registry.
//! The archive comes from a build that may be hostile.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::docker::{self, Saved};
use super::layout;
use super::tarball::Tarball;
use crate::clients::registry::Blob;

pub(super) use oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE as GZIP_LAYER;

/// Largest JSON document in an archive.
pub(super) const MAX_JSON: u64 = 8 << 20;

/// Why an archive does not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    /// It is not what it should be.
    #[error("the image archive is not valid: {0}")]
    Invalid(String),
    /// It cannot be read, or its volume is full.
    #[error("the image archive cannot be read")]
    Io(#[from] io::Error),
}

/// An image before it gets our labels.
#[derive(Debug)]
pub(super) struct Contents {
    /// The image's configuration (OCI image specification).
    pub(super) config: Value,
    /// Annotations of its manifest.
    pub(super) annotations: Vec<(String, String)>,
    /// Layers in order.
    pub(super) layers: Vec<Layer>,
}

/// A layer.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Its media type as it is pushed.
    pub(super) media_type: String,
    pub(super) content: Content,
}

/// The bytes of a layer.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// As they are pushed. That they are what their digest says is checked by the registry, or where they are not sent.
    Blob(Blob),
    /// In a Docker archive: to be hashed, and compressed where they are not.
    Saved(Saved),
}

impl Layer {
    /// File and offset: one layer may stand in an image more than once.
    pub(super) fn place(&self) -> (Option<PathBuf>, u64) {
        match &self.content {
            Content::Blob(blob) => (Some(blob.file.clone()), blob.offset),
            Content::Saved(saved) => (None, saved.place().offset),
        }
    }

    /// The layer as a blob. `spool` names a file that is made where the layer has to be compressed.
    pub(super) fn blob(&self, spool: PathBuf) -> Result<Blob, ArchiveError> {
        match &self.content {
            Content::Blob(blob) => Ok(blob.clone()),
            Content::Saved(saved) => saved.blob(spool),
        }
    }
}

/// Opens an archive.
pub(super) fn open(path: &Path, spool: &Path) -> Result<Contents, ArchiveError> {
    if !path.exists() {
        return Err(ArchiveError::Invalid(format!("the build step left no {}", path.display())));
    }
    if path.is_dir() {
        return layout::read(&layout::Directory(path.to_owned()));
    }
    let tarball = Tarball::open(path, spool)?;
    if tarball.find("index.json").is_some() && tarball.find("oci-layout").is_some() {
        return layout::read(&tarball);
    }
    if tarball.find("manifest.json").is_some() {
        return docker::read(&tarball);
    }
    Err(ArchiveError::Invalid("it holds neither index.json (an OCI layout) nor manifest.json (a Docker archive)".to_owned()))
}

/// Reads and parses a JSON document.
pub(super) fn json<T: serde::de::DeserializeOwned>(name: &str, reader: impl Read) -> Result<T, ArchiveError> {
    serde_json::from_slice(&bytes(name, reader)?).map_err(|error| ArchiveError::Invalid(format!("{name}: {error}")))
}

/// Reads a small file.
pub(super) fn bytes(name: &str, reader: impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut all = Vec::new();
    reader.take(MAX_JSON + 1).read_to_end(&mut all)?;
    if all.len() as u64 > MAX_JSON {
        return Err(ArchiveError::Invalid(format!("{name} is longer than {MAX_JSON} bytes")));
    }
    Ok(all)
}

/// `sha256:` and the hash of the bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
