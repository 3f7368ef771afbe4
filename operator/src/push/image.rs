//! The image with our labels: configuration and manifest. The same contents and labels give the same digest.

use std::collections::BTreeMap;

use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde_json::{Map, Value};

use super::archive::{ArchiveError, digest};
use crate::clients::registry::Blob;

/// What makes the blobs an image.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) manifest: Vec<u8>,
    pub(super) media_type: String,
    pub(super) digest: String,
}

/// The configuration with the labels; the builder's own stay.
pub(super) fn config(mut config: Value, labels: &[(String, String)]) -> Result<Vec<u8>, ArchiveError> {
    let invalid = |text: &str| ArchiveError::Invalid(text.to_owned());
    let root = config.as_object_mut().ok_or_else(|| invalid("the configuration is not an object"))?;
    let inner = object(root, "config").ok_or_else(|| invalid("config of the configuration is not an object"))?;
    let target = object(inner, "Labels").ok_or_else(|| invalid("Labels of the configuration is not an object"))?;
    target.extend(labels.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))));
    serde_json::to_vec(&config).map_err(|error| ArchiveError::Invalid(error.to_string()))
}

/// How a manifest names a layer.
pub(super) fn layer(blob: &Blob, media_type: &str) -> OciDescriptor {
    descriptor(&blob.digest, blob.size, media_type)
}

/// The manifest; its annotations are the labels, after those that the builder set.
pub(super) fn manifest(
    config: &[u8],
    layers: Vec<OciDescriptor>,
    annotations: Vec<(String, String)>,
    labels: &[(String, String)],
) -> Result<Ready, ArchiveError> {
    let annotations: BTreeMap<String, String> = annotations.into_iter().chain(labels.iter().cloned()).collect();
    let manifest = OciImageManifest {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: descriptor(&digest(config), config.len() as u64, IMAGE_CONFIG_MEDIA_TYPE),
        layers,
        subject: None,
        artifact_type: None,
        annotations: Some(annotations),
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|error| ArchiveError::Invalid(error.to_string()))?;
    Ok(Ready { digest: digest(&manifest), manifest, media_type: OCI_IMAGE_MEDIA_TYPE.to_owned() })
}

fn descriptor(digest: &str, size: u64, media_type: &str) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_owned(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

/// The object under a key, made where it is absent or null.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}
