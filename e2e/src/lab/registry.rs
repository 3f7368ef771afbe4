//! The registry as a story sees it: what is in it, and putting and removing things. With a user and a password.

use std::{collections::BTreeMap, path::Path};

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::Value;

use super::{Context, Error, Result, connect::http_client};

/// What a manifest may be.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A registry with basic authentication.
#[derive(Clone)]
pub struct Registry {
    http: reqwest::Client,
    address: String,
    base: String,
    user: String,
    password: String,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Registry").field("address", &self.address).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A manifest with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `sha256:…`.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its content.
    pub content: Value,
}

impl Registry {
    /// The registry at `address` (`host:port`).
    pub fn new(address: &str, plain_http: bool, user: &str, password: &str) -> Result<Self> {
        let scheme = if plain_http { "http" } else { "https" };
        Ok(Self {
            http: http_client(None)?,
            address: address.into(),
            base: format!("{scheme}://{address}"),
            user: user.into(),
            password: password.into(),
        })
    }

    /// `host:port`, as in an image name.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Who we are.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Our password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// A `config.json` as Docker keeps it, with our credentials: what a push Secret holds.
    pub fn docker_config(&self) -> String {
        use base64::Engine;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.user, self.password));
        let server = serde_json::json!({"username": self.user, "password": self.password, "auth": auth});
        serde_json::json!({"auths": {self.address.clone(): server}}).to_string()
    }

    /// The tags of a repository; none if there is no such repository.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        let what = format!("list the tags of {repository}");
        let mut next = format!("/v2/{repository}/tags/list?n=500");
        let mut tags = Vec::new();
        loop {
            let answer = self.ask(Method::GET, &next).send().await.context(&what)?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(tags);
            }
            let answer = checked(answer, &what).await?;
            let more = answer.headers().get(header::LINK).and_then(|link| next_page(link.to_str().ok()?));
            let page: Value = answer.json().await.context(&what)?;
            let names = page.get("tags").and_then(Value::as_array).into_iter().flatten();
            tags.extend(names.filter_map(Value::as_str).map(str::to_owned));
            match more {
                Some(more) => next = more,
                None => return Ok(tags),
            }
        }
    }

    /// The manifest behind a tag or digest; `None` if there is none.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Manifest>> {
        let what = format!("read the manifest of {repository} at {reference}");
        let ask = self.ask(Method::GET, &format!("/v2/{repository}/manifests/{reference}")).header(header::ACCEPT, MANIFESTS);
        let answer = ask.send().await.context(&what)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = checked(answer, &what).await?;
        let of = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (digest, media_type) = (of("docker-content-digest"), of("content-type"));
        Ok(Some(Manifest { digest, media_type, content: answer.json().await.context(&what)? }))
    }

    /// The configuration of an image (`config.Labels`, `config.Entrypoint`, …). Of an index, that of its first image.
    pub async fn config(&self, repository: &str, reference: &str) -> Result<Value> {
        let what = format!("read the configuration of {repository} at {reference}");
        let missing = |which: &str| Error::new(&what, format!("there is no {which}"));
        let mut manifest = self.manifest(repository, reference).await?.ok_or_else(|| missing("such image"))?;
        if let Some(first) = manifest.content.pointer("/manifests/0/digest").and_then(Value::as_str) {
            manifest = self.manifest(repository, first).await?.ok_or_else(|| missing("image in the index"))?;
        }
        let digest = manifest.content.pointer("/config/digest").and_then(Value::as_str);
        self.blob(repository, digest.ok_or_else(|| missing("configuration in the manifest"))?).await
    }

    /// A blob as JSON.
    pub async fn blob(&self, repository: &str, digest: &str) -> Result<Value> {
        let what = format!("read blob {digest} of {repository}");
        let answer = self.ask(Method::GET, &format!("/v2/{repository}/blobs/{digest}")).send().await.context(&what)?;
        checked(answer, &what).await?.json().await.context(&what)
    }

    /// The labels of an image.
    pub async fn labels(&self, repository: &str, reference: &str) -> Result<BTreeMap<String, String>> {
        let config = self.config(repository, reference).await?;
        let labels = config.pointer("/config/Labels").and_then(Value::as_object).into_iter().flatten();
        Ok(labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect())
    }

    /// Removes a manifest and with it every tag on it. No manifest is fine.
    pub async fn delete(&self, repository: &str, digest: &str) -> Result<()> {
        let what = format!("delete {repository}@{digest}");
        let answer = self.ask(Method::DELETE, &format!("/v2/{repository}/manifests/{digest}")).send().await.context(&what)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        checked(answer, &what).await.map(drop)
    }

    /// Puts a manifest under a tag or its digest: also how a tag is moved, as a meddler would.
    pub async fn put_manifest(&self, repository: &str, reference: &str, media_type: &str, content: Vec<u8>) -> Result<()> {
        let what = format!("write the manifest of {repository} at {reference}");
        let ask = self.ask(Method::PUT, &format!("/v2/{repository}/manifests/{reference}"));
        let answer = ask.header(header::CONTENT_TYPE, media_type).body(content).send().await.context(&what)?;
        checked(answer, &what).await.map(drop)
    }

    /// Pushes the image in an OCI layout folder (see [`super::image`]) unless the tag is on it already. Gives its digest.
    pub async fn push(&self, layout: &Path, repository: &str, tag: &str) -> Result<String> {
        let image = super::image::read(layout)?;
        if self.manifest(repository, tag).await?.is_some_and(|found| found.digest == image.digest) {
            return Ok(image.digest);
        }
        for blob in &image.blobs {
            self.push_blob(repository, blob, &super::image::blob_file(layout, blob)).await?;
        }
        let manifest = super::image::blob_file(layout, &image.digest);
        let content = std::fs::read(&manifest).context(format!("read {}", manifest.display()))?;
        self.put_manifest(repository, tag, &image.media_type, content).await?;
        Ok(image.digest)
    }

    async fn push_blob(&self, repository: &str, digest: &str, file: &Path) -> Result<()> {
        let what = format!("push {digest} to {repository}");
        let there = self.ask(Method::HEAD, &format!("/v2/{repository}/blobs/{digest}")).send().await.context(&what)?;
        if there.status() == StatusCode::OK {
            return Ok(());
        }
        let begun = self.ask(Method::POST, &format!("/v2/{repository}/blobs/uploads/")).send().await.context(&what)?;
        let begun = checked(begun, &what).await?;
        let place = begun.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
        let place = place.ok_or_else(|| Error::new(&what, "the registry does not say where to"))?;
        let sign = if place.contains('?') { '&' } else { '?' };
        let content = tokio::fs::File::open(file).await.context(&what)?;
        let size = content.metadata().await.context(&what)?.len();
        let put = self.ask(Method::PUT, &format!("{place}{sign}digest={digest}"));
        let put = put.header(header::CONTENT_TYPE, "application/octet-stream").header(header::CONTENT_LENGTH, size);
        checked(put.body(content).send().await.context(&what)?, &what).await.map(drop)
    }

    /// A request to a path of the registry, or to an address that it gave.
    fn ask(&self, method: Method, at: &str) -> RequestBuilder {
        let url = if at.starts_with("http") { at.to_owned() } else { format!("{}{at}", self.base) };
        self.http.request(method, url).basic_auth(&self.user, Some(&self.password))
    }
}

async fn checked(answer: reqwest::Response, what: &str) -> Result<reqwest::Response> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let words = answer.text().await.unwrap_or_default();
    Err(Error::new(what, format!("the registry answers {status}: {}", words.chars().take(300).collect::<String>())))
}

/// The address in `<…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (address, relation) = link.split_once(';')?;
    relation.contains("next").then(|| address.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_secrets() {
        assert_eq!(next_page("</v2/a/tags/list?last=x&n=5>; rel=\"next\"").unwrap(), "/v2/a/tags/list?last=x&n=5");
        assert_eq!(next_page("</v2/a>; rel=\"prev\""), None);
        let registry = Registry::new("r:5000", true, "u", "hidden").unwrap();
        assert!(!format!("{registry:?}").contains("hidden"));
        assert!(registry.docker_config().contains("\"r:5000\""));
    }
}
