//! What is attached to an image: artifacts whose `subject` is its manifest (OCI distribution specification 1.1, "Listing Referrers"). A registry
//! without the API keeps them in an index under the tag `sha256-<digits>` instead.

use std::collections::BTreeMap;

use oci_client::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Registry, body, check};
use super::error::RegistryError;
use super::image::{Image, digest};

/// The empty configuration of an artifact (OCI image specification, "Guidance for an empty descriptor").
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

const MAX_INDEX: usize = 4 << 20;

/// An artifact that is attached to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// Its digest.
    pub digest: String,
    /// What it is.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Value>,
}

/// What to attach.
#[derive(Debug, Clone)]
pub struct Artifact<'a> {
    /// What it is: a media type.
    pub artifact_type: &'a str,
    /// Its only content.
    pub payload: &'a [u8],
    /// The media type of that.
    pub payload_type: &'a str,
    /// Annotations, by which it is found again.
    pub annotations: BTreeMap<String, String>,
}

impl Registry {
    /// Attaches an artifact to an image. The same twice is the same artifact.
    ///
    /// # Errors
    /// Where the registry refuses or does not answer.
    pub async fn attach(&self, repository: &str, subject: &Image, artifact: &Artifact<'_>) -> Result<String, RegistryError> {
        self.push_bytes(repository, EMPTY).await?;
        self.push_bytes(repository, artifact.payload).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_MEDIA_TYPE,
            "artifactType": artifact.artifact_type,
            "config": {"mediaType": EMPTY_TYPE, "digest": digest(EMPTY), "size": EMPTY.len()},
            "layers": [{"mediaType": artifact.payload_type, "digest": digest(artifact.payload), "size": artifact.payload.len()}],
            "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
            "annotations": artifact.annotations,
        });
        let bytes = manifest.to_string().into_bytes();
        let name = digest(&bytes);
        if self.push_manifest(repository, &name, OCI_IMAGE_MEDIA_TYPE, &bytes).await? {
            return Ok(name);
        }
        let mut all = self.fallback(repository, &subject.digest).await?;
        if !all.iter().any(|one| one.get("digest").and_then(Value::as_str) == Some(&name)) {
            all.push(json!({
                "mediaType": OCI_IMAGE_MEDIA_TYPE, "digest": name, "size": bytes.len(),
                "artifactType": artifact.artifact_type, "annotations": artifact.annotations,
            }));
            let index = json!({"schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "manifests": all}).to_string();
            self.push_manifest(repository, &fallback_tag(&subject.digest), OCI_IMAGE_INDEX_MEDIA_TYPE, index.as_bytes()).await?;
        }
        Ok(name)
    }

    /// The artifacts of one type that are attached to a digest.
    ///
    /// # Errors
    /// Where the registry does not answer, or what it answers is no index.
    pub async fn referrers(&self, repository: &str, subject: &str, artifact_type: &str) -> Result<Vec<Referrer>, RegistryError> {
        let what = self.what(repository);
        let url = format!("{}/v2/{repository}/referrers/{subject}", self.base());
        let response = self.send(repository, "pull", |http| Ok(http.get(&url))).await?;
        let all = if response.status() == StatusCode::NOT_FOUND {
            self.fallback(repository, subject).await?
        } else {
            let bytes = body(&what, check(&what, response).await?, MAX_INDEX).await?;
            self.index(repository, &bytes)?.manifests
        };
        // A filter in the query is allowed to be ignored; ours is not.
        let known = all.into_iter().filter_map(|one| serde_json::from_value::<Referrer>(one).ok());
        Ok(known.filter(|one| one.artifact_type.as_deref() == Some(artifact_type)).collect())
    }

    async fn fallback(&self, repository: &str, subject: &str) -> Result<Vec<Value>, RegistryError> {
        match self.manifest(repository, &fallback_tag(subject)).await? {
            Some((_, _, bytes)) => Ok(self.index(repository, &bytes)?.manifests),
            None => Ok(Vec::new()),
        }
    }

    fn index(&self, repository: &str, bytes: &[u8]) -> Result<Index, RegistryError> {
        let invalid = |error: serde_json::Error| RegistryError::ResponseInvalid { what: self.what(repository), message: error.to_string() };
        serde_json::from_slice(bytes).map_err(invalid)
    }
}

fn fallback_tag(subject: &str) -> String {
    subject.replacen(':', "-", 1)
}
