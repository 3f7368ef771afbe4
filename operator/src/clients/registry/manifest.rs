//! Writing manifests: what makes blobs an image, and a tag its name.

use reqwest::header::CONTENT_TYPE;

use super::client::{Registry, check};
use super::error::RegistryError;

impl Registry {
    /// Gives an image of the repository a further tag.
    ///
    /// # Errors
    /// Where the registry refuses or does not answer, or the image is gone.
    pub async fn retag(&self, repository: &str, digest: &str, tag: &str) -> Result<(), RegistryError> {
        let gone = || RegistryError::NotFound { what: self.what(repository), message: digest.to_owned() };
        let (_, media_type, bytes) = self.manifest(repository, digest).await?.ok_or_else(gone)?;
        self.push_manifest(repository, tag, &media_type, &bytes).await.map(drop)
    }

    /// Puts a manifest under a tag or its digest. Says whether the registry keeps its `subject` by itself (`OCI-Subject`).
    ///
    /// # Errors
    /// Where the registry refuses or does not answer.
    pub async fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Result<bool, RegistryError> {
        let what = self.what(repository);
        let url = format!("{}/v2/{repository}/manifests/{tag}", self.base());
        let put = |http: &reqwest::Client| Ok(http.put(&url).header(CONTENT_TYPE, media_type).body(bytes.to_vec()));
        let put = check(&what, self.send(repository, "pull,push", put).await?).await?;
        Ok(put.headers().contains_key("oci-subject"))
    }
}
