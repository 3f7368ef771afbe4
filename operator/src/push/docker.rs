//! A Docker archive, as kaniko and nix write it: `manifest.json` names a configuration and layers.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::archive::{ArchiveError, Content, Contents, Layer, json};
use super::gzip;
use super::hashed::Hashed;
use super::tarball::{Place, Tarball, is_gzip};
use crate::clients::registry::Blob;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    layers: Vec<String>,
}

/// A layer in the archive, plain or gzip.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    tarball: Arc<PathBuf>,
    place: Place,
    name: String,
    /// Digest of the plain layer, as the configuration says.
    diff_id: String,
}

/// Reads the one image of an archive.
pub(super) fn read(tarball: &Tarball) -> Result<Contents, ArchiveError> {
    let invalid = |text: String| ArchiveError::Invalid(text);
    let find = |name: &str| tarball.find(name.trim_start_matches("./")).ok_or_else(|| invalid(format!("{name} is missing")));
    let mut all: Vec<Manifest> = json("manifest.json", tarball.reader(find("manifest.json")?)?)?;
    let (Some(manifest), true) = (all.pop(), all.is_empty()) else {
        return Err(invalid("manifest.json must name one image, not none or several".to_owned()));
    };
    let config: Value = json(&manifest.config, tarball.reader(find(&manifest.config)?)?)?;
    let diff_ids: Vec<&str> = config
        .pointer("/rootfs/diff_ids")
        .and_then(Value::as_array)
        .map(|ids| ids.iter().filter_map(Value::as_str).collect())
        .ok_or_else(|| invalid("the configuration has no rootfs.diff_ids".to_owned()))?;
    if diff_ids.len() != manifest.layers.len() {
        return Err(invalid(format!("{} layers, but {} diff_ids", manifest.layers.len(), diff_ids.len())));
    }
    let path = Arc::new(tarball.path.clone());
    let mut layers = Vec::new();
    for (name, diff_id) in manifest.layers.into_iter().zip(diff_ids) {
        let saved = Saved { tarball: path.clone(), place: find(&name)?, name, diff_id: diff_id.to_owned() };
        layers.push(Layer { media_type: super::archive::GZIP_LAYER.to_owned(), content: Content::Saved(saved) });
    }
    Ok(Contents { config, annotations: Vec::new(), layers })
}

impl Saved {
    /// Where the layer stands in the archive. Old ones link layers that are the same.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The layer as registries want it, read once: a plain one is compressed into `spool`, a file that is made for it.
    pub(super) fn blob(&self, spool: PathBuf) -> Result<Blob, ArchiveError> {
        let mut file = File::open(self.tarball.as_path())?;
        file.seek(SeekFrom::Start(self.place.offset))?;
        let gzipped = self.place.size >= 2 && is_gzip(&mut file)?;
        let part = BufReader::with_capacity(BUFFER, file.take(self.place.size));
        if gzipped { self.compressed(part) } else { self.plain(part, spool) }
    }

    /// What is in a layer that is compressed is the builder's word, as in a layout: who runs the image checks it.
    fn compressed(&self, part: impl Read) -> Result<Blob, ArchiveError> {
        let mut part = Hashed::new(part);
        io::copy(&mut part, &mut io::sink())?;
        let file = self.tarball.as_path().to_owned();
        Ok(Blob { digest: part.digest(), size: self.place.size, file, offset: self.place.offset, hashed: true })
    }

    fn plain(&self, part: impl Read, spool: PathBuf) -> Result<Blob, ArchiveError> {
        let mut part = Hashed::new(part);
        let mut out = BufWriter::with_capacity(BUFFER, Hashed::new(File::create(&spool)?));
        gzip::compress(&mut part, &mut out)?;
        out.flush()?;
        let digest = out.into_inner().map_err(io::IntoInnerError::into_error)?.digest();
        let (found, Self { name, diff_id, .. }) = (part.digest(), self);
        if found != *diff_id {
            return Err(ArchiveError::Invalid(format!("layer {name} has the digest {found}, and the configuration says {diff_id}")));
        }
        let size = spool.metadata()?.len();
        Ok(Blob { digest, size, file: spool, offset: 0, hashed: true })
    }
}
