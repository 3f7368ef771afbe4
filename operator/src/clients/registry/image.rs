//! What a tag names: digest, labels, and the commit that the image was built from.

use std::collections::BTreeMap;

use mainstay_crds::Variant;
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciImageIndex,
    OciImageManifest,
};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::client::{Registry, body, check};
use super::error::RegistryError;
use crate::domain::tag;

/// The full commit that an image was built from (OCI image specification, pre-defined annotation keys).
pub const REVISION: &str = "org.opencontainers.image.revision";

const MAX_MANIFEST: usize = 4 << 20;
const MAX_CONFIG: usize = 8 << 20;

/// An image that a tag or digest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of the manifest or index, computed from its bytes.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: usize,
    /// Commit it was built from, by annotation or label.
    pub revision: Option<String>,
}

type Words = BTreeMap<String, String>;

/// What manifests and indexes have in common.
#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    config: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Registry {
    /// The image of a tag or digest; `None` where there is none. One request where its manifest names the commit.
    ///
    /// # Errors
    /// Where the registry does not answer, or what it answers is not an image.
    pub async fn image(&self, repository: &str, reference: &str) -> Result<Option<Image>, RegistryError> {
        let Some((digest, media_type, bytes)) = self.manifest(repository, reference).await? else { return Ok(None) };
        let annotated: Annotated = self.parse(repository, &bytes)?;
        let revision = match annotated.annotations.and_then(|mut all| all.remove(REVISION)) {
            Some(revision) => Some(revision),
            None => {
                let (mut annotations, mut labels) = self.described(repository, &media_type, &bytes).await?;
                annotations.remove(REVISION).or_else(|| labels.remove(REVISION))
            }
        };
        Ok(Some(Image { digest, media_type, size: bytes.len(), revision }))
    }

    /// The image of a commit whatever its version, with its tag: only one that names the full commit itself counts.
    ///
    /// # Errors
    /// Where the registry does not answer.
    pub async fn image_at(&self, repository: &str, commit: &str, variant: Variant) -> Result<Option<(String, Image)>, RegistryError> {
        let tags = self.tags(repository).await?;
        for (tag, _) in tag::at_commit(tags.iter().map(String::as_str), commit, variant) {
            if let Some(image) = self.image(repository, tag).await?.filter(|image| image.revision.as_deref() == Some(commit)) {
                return Ok(Some((tag.to_owned(), image)));
            }
        }
        Ok(None)
    }

    /// The labels in the configuration of an image; of an index, those of its first platform. None where there is no image.
    ///
    /// # Errors
    /// Where the registry does not answer, or what it answers is not an image.
    pub async fn labels(&self, repository: &str, reference: &str) -> Result<BTreeMap<String, String>, RegistryError> {
        match self.manifest(repository, reference).await? {
            Some((_, media_type, bytes)) => Ok(self.described(repository, &media_type, &bytes).await?.1),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Annotations of the manifest and labels of the configuration.
    async fn described(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Result<(Words, Words), RegistryError> {
        let child;
        let mut manifest_bytes = bytes;
        if matches!(media_type, OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE) {
            let index: OciImageIndex = self.parse(repository, bytes)?;
            let Some(first) = index.manifests.first() else { return Ok(Default::default()) };
            let found = self.manifest(repository, &first.digest).await?;
            child = found.ok_or_else(|| self.invalid(repository, format!("the index names {}, which is not there", first.digest)))?.2;
            manifest_bytes = &child;
        }
        let manifest: OciImageManifest = self.parse(repository, manifest_bytes)?;
        let config = self.blob(repository, &manifest.config.digest, MAX_CONFIG).await?;
        let config: Configuration = self.parse(repository, &config)?;
        Ok((manifest.annotations.unwrap_or_default(), config.config.and_then(|inner| inner.labels).unwrap_or_default()))
    }

    /// Digest, media type and bytes of a manifest. A digest in a header is not believed (note crates, section 2).
    pub(super) async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<(String, String, Vec<u8>)>, RegistryError> {
        let what = self.what(repository);
        let url = format!("{}/v2/{repository}/manifests/{reference}", self.base());
        let accept =
            [OCI_IMAGE_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE].join(", ");
        let response = self.send(repository, "pull", |http| Ok(http.get(&url).header(ACCEPT, &accept))).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let bytes = body(&what, check(&what, response).await?, MAX_MANIFEST).await?;
        let digest = digest(&bytes);
        if reference.starts_with("sha256:") && reference != digest {
            return Err(self.invalid(repository, format!("the manifest {reference} has the digest {digest}")));
        }
        let value: serde_json::Value = self.parse(repository, &bytes)?;
        let said = value.get("mediaType").and_then(serde_json::Value::as_str);
        let media_type = said.unwrap_or(if value.get("manifests").is_some() { OCI_IMAGE_INDEX_MEDIA_TYPE } else { OCI_IMAGE_MEDIA_TYPE });
        Ok(Some((digest, media_type.to_owned(), bytes)))
    }

    /// The bytes of a blob, checked against its digest.
    async fn blob(&self, repository: &str, wanted: &str, limit: usize) -> Result<Vec<u8>, RegistryError> {
        let what = self.what(repository);
        let url = format!("{}/v2/{repository}/blobs/{wanted}", self.base());
        let response = self.send(repository, "pull", |http| Ok(http.get(&url))).await?;
        let bytes = body(&what, check(&what, response).await?, limit).await?;
        if digest(&bytes) != wanted {
            return Err(self.invalid(repository, format!("the blob {wanted} has the digest {}", digest(&bytes))));
        }
        Ok(bytes)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, repository: &str, bytes: &[u8]) -> Result<T, RegistryError> {
        serde_json::from_slice(bytes).map_err(|error| self.invalid(repository, error.to_string()))
    }

    fn invalid(&self, repository: &str, message: String) -> RegistryError {
        RegistryError::ResponseInvalid { what: self.what(repository), message }
    }
}

/// `sha256:` and the hash of the bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
