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
    /// It does not run where it was built.
    #[error(
        "the image is for {image}, and it was built on a node of {node}: nothing was pushed. Build it on a node of its architecture (nodeSelector in \
         spec.build, or of the engine in the chart), or mend the file that asks for another one"
    )]
    Architecture {
        /// What the image says.
        image: String,
        /// Where this runs.
        node: String,
    },
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
    // The build step may have left anything: a link would lead to what only this step may read, and a pipe has no end.
    let kind = match path.symlink_metadata() {
        Ok(found) => found.file_type(),
        Err(_) => return Err(ArchiveError::Invalid(format!("the build step left no {}", path.display()))),
    };
    if kind.is_dir() {
        return layout::read(&layout::Directory(path.to_owned()));
    }
    if !kind.is_file() {
        return Err(ArchiveError::Invalid(format!("{} is neither a file nor a directory", path.display())));
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

/// Looks whether the image can run where it was built.
pub(super) fn check(contents: &Contents) -> Result<(), ArchiveError> {
    if contents.layers.is_empty() {
        return Err(ArchiveError::Invalid(
            "the image is empty: it has no layer, so that nothing in it could run. Copy something into it".to_owned(),
        ));
    }
    let word = |key: &str| contents.config.get(key).and_then(Value::as_str);
    let Some(architecture) = word("architecture") else {
        return Err(ArchiveError::Invalid("the configuration names no architecture".to_owned()));
    };
    let (image, node) = (format!("{}/{architecture}", word("os").unwrap_or("linux")), format!("linux/{}", architecture_here()));
    if image == node { Ok(()) } else { Err(ArchiveError::Architecture { image, node }) }
}

/// The architecture of this node, as images name it: this step runs in the pod of the build.
pub(super) fn architecture_here() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
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
