//! The image with our labels: configuration, manifest, and the blobs in the order in which they are pushed.

use std::collections::BTreeMap;
use std::path::Path;

use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde_json::{Map, Value};

use super::archive::{ArchiveError, Contents, digest};
use crate::clients::registry::Blob;

/// Everything that is pushed.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) blobs: Vec<Blob>,
    pub(super) manifest: Vec<u8>,
    pub(super) media_type: String,
    pub(super) digest: String,
}

/// Sets the labels on the configuration and on the manifest as annotations; the builder's own labels stay. The same contents and labels
/// give the same digest.
pub(super) fn prepare(contents: Contents, labels: &[(String, String)], spool: &Path) -> Result<Ready, ArchiveError> {
    let invalid = |text: &str| ArchiveError::Invalid(text.to_owned());
    let mut config = contents.config;
    let root = config.as_object_mut().ok_or_else(|| invalid("the configuration is not an object"))?;
    let inner = object(root, "config").ok_or_else(|| invalid("config of the configuration is not an object"))?;
    let target = object(inner, "Labels").ok_or_else(|| invalid("Labels of the configuration is not an object"))?;
    target.extend(labels.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))));

    let bytes = serde_json::to_vec(&config).map_err(|error| ArchiveError::Invalid(error.to_string()))?;
    let file = spool.join("config.json");
    std::fs::write(&file, &bytes)?;
    let config = Blob { digest: digest(bytes.as_slice())?, size: bytes.len() as u64, file, offset: 0 };
    let descriptor = |blob: &Blob, media_type: &str| OciDescriptor {
        media_type: media_type.to_owned(),
        digest: blob.digest.clone(),
        size: i64::try_from(blob.size).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    };
    let annotations: BTreeMap<String, String> = contents.annotations.into_iter().chain(labels.iter().cloned()).collect();
    let manifest = OciImageManifest {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: descriptor(&config, IMAGE_CONFIG_MEDIA_TYPE),
        layers: contents.layers.iter().map(|layer| descriptor(&layer.blob, &layer.media_type)).collect(),
        subject: None,
        artifact_type: None,
        annotations: Some(annotations),
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|error| ArchiveError::Invalid(error.to_string()))?;
    let digest = digest(manifest.as_slice())?;
    let mut blobs: Vec<Blob> = contents.layers.into_iter().map(|layer| layer.blob).collect();
    blobs.push(config);
    Ok(Ready { blobs, manifest, media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(), digest })
}

/// The object under a key, made where it is absent or null.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}
