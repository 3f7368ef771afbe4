//! A Docker archive, as kaniko and nix write it: `manifest.json` names a configuration and layers.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE;
use serde::Deserialize;
use serde_json::Value;

use super::archive::{ArchiveError, Contents, Layer, digest, json};
use super::tarball::{Place, Tarball, is_gzip};
use crate::clients::registry::Blob;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    layers: Vec<String>,
}

/// Reads the one image of an archive. Layers are compressed as registries want them, always to the same bytes.
pub(super) fn read(tarball: &Tarball, spool: &Path) -> Result<Contents, ArchiveError> {
    let invalid = |text: String| ArchiveError::Invalid(text);
    let find = |name: &str| tarball.find(name.trim_start_matches("./")).ok_or_else(|| invalid(format!("{name} is missing")));
    let mut all: Vec<Manifest> = json("manifest.json", tarball.reader(find("manifest.json")?)?)?;
    let (Some(manifest), true) = (all.pop(), all.is_empty()) else {
        return Err(invalid("manifest.json must name one image".to_owned()));
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
    let mut layers = Vec::new();
    for (number, (name, wanted)) in manifest.layers.iter().zip(diff_ids).enumerate() {
        let (found, blob) = layer(tarball, find(name)?, &spool.join(format!("layer-{number}.tar.gz")))?;
        if found != wanted {
            return Err(invalid(format!("layer {name} has the digest {found}, and the configuration says {wanted}")));
        }
        layers.push(Layer { media_type: IMAGE_LAYER_GZIP_MEDIA_TYPE.to_owned(), blob });
    }
    Ok(Contents { config, annotations: Vec::new(), layers })
}

/// Digest of the uncompressed layer, and the compressed layer.
fn layer(tarball: &Tarball, place: Place, spooled: &Path) -> Result<(String, Blob), ArchiveError> {
    let mut start = File::open(&tarball.path)?;
    start.seek(SeekFrom::Start(place.offset))?;
    if place.size >= 2 && is_gzip(&mut start)? {
        let plain = digest(GzDecoder::new(tarball.reader(place)?))?;
        let blob = Blob { digest: digest(tarball.reader(place)?)?, size: place.size, file: tarball.path.clone(), offset: place.offset };
        return Ok((plain, blob));
    }
    let plain = digest(tarball.reader(place)?)?;
    // Without a time and a name in its header, the same layer is always the same blob.
    let mut encoder = GzBuilder::new().mtime(0).write(File::create(spooled)?, Compression::default());
    io::copy(&mut tarball.reader(place)?, &mut encoder)?;
    encoder.finish()?.flush()?;
    let size = spooled.metadata()?.len();
    let blob = Blob { digest: digest(File::open(spooled)?.take(size))?, size, file: spooled.to_owned(), offset: 0 };
    Ok((plain, blob))
}
