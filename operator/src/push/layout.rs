//! An OCI image layout (OCI image specification), as BuildKit writes it: one image, in a tar file or a directory.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use oci_client::manifest::{
    IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE, IMAGE_DOCKER_LAYER_TAR_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex, OciImageManifest,
};

use super::archive::{ArchiveError, Content, Contents, Layer, bytes, digest, json};
use super::tarball::Tarball;
use crate::clients::registry::Blob;

/// Depth of an index in an index.
const MAX_DEPTH: usize = 3;

/// Where the files of a layout are.
pub(super) trait Files {
    /// File, offset and length of a file of the layout.
    fn find(&self, name: &str) -> Option<(PathBuf, u64, u64)>;
    /// Its bytes.
    fn read(&self, name: &str) -> Result<Box<dyn Read>, ArchiveError>;
}

impl Files for Tarball {
    fn find(&self, name: &str) -> Option<(PathBuf, u64, u64)> {
        Tarball::find(self, name).map(|place| (self.path.clone(), place.offset, place.size))
    }

    fn read(&self, name: &str) -> Result<Box<dyn Read>, ArchiveError> {
        let place = Tarball::find(self, name).ok_or_else(|| missing(name))?;
        Ok(Box::new(self.reader(place)?))
    }
}

/// A layout that is a directory. Names in it are digests that were checked, so that none leads out; links are not followed.
pub(super) struct Directory(pub(super) PathBuf);

impl Files for Directory {
    fn find(&self, name: &str) -> Option<(PathBuf, u64, u64)> {
        let path = self.0.join(name);
        let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((path, 0, metadata.len()))
    }

    fn read(&self, name: &str) -> Result<Box<dyn Read>, ArchiveError> {
        let (path, _, _) = self.find(name).ok_or_else(|| missing(name))?;
        Ok(Box::new(File::open(path)?))
    }
}

/// Reads the one image of a layout.
pub(super) fn read(files: &dyn Files) -> Result<Contents, ArchiveError> {
    let mut index: OciImageIndex = json("index.json", files.read("index.json")?)?;
    for _ in 0..MAX_DEPTH {
        let entry = only_image(&index)?;
        let text = checked(files, &entry.digest)?;
        if matches!(entry.media_type.as_str(), OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE) {
            index = json("index", text.as_slice())?;
            continue;
        }
        let manifest: OciImageManifest = json("manifest", text.as_slice())?;
        let config = json("config", checked(files, &manifest.config.digest)?.as_slice())?;
        let layers = manifest.layers.iter().map(|layer| self::layer(files, &layer.digest, &layer.media_type)).collect::<Result<_, _>>()?;
        return Ok(Contents { config, annotations: manifest.annotations.unwrap_or_default().into_iter().collect(), layers });
    }
    Err(ArchiveError::Invalid("indexes are nested too deep".to_owned()))
}

/// The one image in an index; attestations of BuildKit stand there as a platform of their own and are passed over.
fn only_image(index: &OciImageIndex) -> Result<&ImageIndexEntry, ArchiveError> {
    let attestation = |entry: &&ImageIndexEntry| entry.annotations.as_ref().is_some_and(|a| a.contains_key("vnd.docker.reference.type"));
    let mut images = index.manifests.iter().filter(|entry| !attestation(entry));
    match (images.next(), images.count()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(ArchiveError::Invalid("it holds no image".to_owned())),
        (Some(_), more) => Err(ArchiveError::Invalid(format!("it holds {} images: build for one platform", more + 1))),
    }
}

fn layer(files: &dyn Files, wanted: &str, media_type: &str) -> Result<Layer, ArchiveError> {
    let name = blob_name(wanted)?;
    let (file, offset, size) = files.find(&name).ok_or_else(|| missing(&name))?;
    let media_type = match media_type {
        IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE => IMAGE_LAYER_GZIP_MEDIA_TYPE,
        IMAGE_DOCKER_LAYER_TAR_MEDIA_TYPE => IMAGE_LAYER_MEDIA_TYPE,
        other => other,
    };
    let blob = Blob { digest: wanted.to_owned(), size, file, offset, hashed: false };
    Ok(Layer { media_type: media_type.to_owned(), content: Content::Blob(blob) })
}

/// A small blob, checked against its digest.
fn checked(files: &dyn Files, wanted: &str) -> Result<Vec<u8>, ArchiveError> {
    let name = blob_name(wanted)?;
    let bytes = bytes(&name, files.read(&name)?)?;
    let found = digest(&bytes);
    if found == wanted { Ok(bytes) } else { Err(ArchiveError::Invalid(format!("{name} has the digest {found}"))) }
}

/// The file of a digest. Only what is a digest becomes a name.
fn blob_name(digest: &str) -> Result<String, ArchiveError> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(format!("blobs/sha256/{hex}")),
        _ => Err(ArchiveError::Invalid(format!("{digest:?} is not a sha256 digest"))),
    }
}

fn missing(name: &str) -> ArchiveError {
    ArchiveError::Invalid(format!("{name} is missing"))
}
