//! Writing: blobs from files, then the manifest.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, StatusCode, Url};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::client::{Registry, check};
use super::error::RegistryError;
use super::image;

/// A blob as a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// The file that it is part of.
    pub file: PathBuf,
    /// Where it begins in the file.
    pub offset: u64,
}

impl Registry {
    /// Uploads a blob, unless it is there. Says whether it was sent.
    ///
    /// # Errors
    /// Where the registry refuses or does not answer.
    pub async fn push_blob(&self, repository: &str, blob: &Blob) -> Result<bool, RegistryError> {
        let Blob { digest, size, file, offset } = blob;
        let what = self.what(repository);
        let invalid = |message: String| RegistryError::ResponseInvalid { what: what.clone(), message };
        let Some(target) = self.begin_upload(repository, digest).await? else { return Ok(false) };
        let open = |http: &reqwest::Client| {
            let unreadable = |error: std::io::Error| invalid(format!("{}: {error}", file.display()));
            let mut opened = File::open(file).map_err(unreadable)?;
            opened.seek(SeekFrom::Start(*offset)).map_err(unreadable)?;
            let part = tokio::fs::File::from_std(opened).take(*size);
            let body = Body::wrap_stream(ReaderStream::with_capacity(part, 256 << 10));
            Ok(http.put(target.clone()).header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, *size).body(body))
        };
        let done = self.send(repository, "pull,push", open).await?;
        check(&what, done).await?;
        Ok(true)
    }

    /// Uploads a small blob from memory, unless it is there.
    ///
    /// # Errors
    /// Where the registry refuses or does not answer.
    pub async fn push_bytes(&self, repository: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let Some(target) = self.begin_upload(repository, &image::digest(bytes)).await? else { return Ok(()) };
        let put =
            |http: &reqwest::Client| Ok(http.put(target.clone()).header(CONTENT_TYPE, "application/octet-stream").body(bytes.to_vec()));
        check(&self.what(repository), self.send(repository, "pull,push", put).await?).await.map(drop)
    }

    /// Where to upload a blob to; `None` where it is there already.
    async fn begin_upload(&self, repository: &str, digest: &str) -> Result<Option<Url>, RegistryError> {
        let what = self.what(repository);
        let invalid = |message: String| RegistryError::ResponseInvalid { what: what.clone(), message };
        let url = format!("{}/v2/{repository}/blobs/{digest}", self.base());
        let there = self.send(repository, "pull,push", |http| Ok(http.head(&url))).await?;
        if there.status().is_success() {
            return Ok(None);
        }
        if there.status() != StatusCode::NOT_FOUND {
            check(&what, there).await?;
        }
        let begin = format!("{}/v2/{repository}/blobs/uploads/", self.base());
        let begun = self.send(repository, "pull,push", |http| Ok(http.post(&begin).header(CONTENT_LENGTH, 0))).await?;
        let begun = check(&what, begun).await?;
        let location = begun.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| invalid("the upload has no Location".to_owned()))?;
        let base = Url::parse(&begin).map_err(|error| invalid(error.to_string()))?;
        let mut target = base.join(location).map_err(|error| invalid(format!("Location {location:?}: {error}")))?;
        if target.host_str() != base.host_str() {
            // The credentials are for the registry alone.
            return Err(invalid(format!("the upload leads to another host: {location:?}")));
        }
        target.query_pairs_mut().append_pair("digest", digest);
        Ok(Some(target))
    }

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
