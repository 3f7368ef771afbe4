//! Uploading blobs (OCI distribution specification 1.1, "Pushing blobs"): skipped where they are there, mounted where a neighbour has them, else
//! sent as a stream that goes on after a broken connection from where the registry is.
//!
//! A blob goes in one request, which every registry takes. After a break the registry is asked what it has (`GET`, `Range`) and gets the rest
//! (`PATCH`, `Content-Range`). distribution keeps what arrived; zot forgets the upload: then the blob begins anew.

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::blob::{Blob, Content};
use super::client::{Registry, check};
use super::error::RegistryError;
use super::image;

const OCTETS: &str = "application/octet-stream";

/// Smaller blobs are sent sooner than neighbours are asked for them.
const WORTH_A_MOUNT: u64 = 64 << 10;

/// Bytes of a request to a registry that takes no large ones (413): it stands behind a proxy with a limit, 100 MB at the usual ones.
const CHUNK: u64 = 32 << 20;

/// What became of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It was sent.
    Pushed,
    /// The repository had it.
    Present,
    /// The registry took it from this repository of its own.
    Mounted(String),
}

/// A blob on its way. It outlives broken connections.
pub struct Upload<'a> {
    registry: &'a Registry,
    repository: &'a str,
    /// Repositories of the same registry that may have the blob.
    neighbours: &'a [String],
    content: Content,
    /// Where the registry takes it, once it has said so.
    session: Option<Url>,
    /// Bytes that the registry was seen to have.
    confirmed: u64,
    /// Bytes of one request, where there is a limit.
    chunk: Option<u64>,
}

enum Begun {
    Done(Sent),
    At(Url),
}

impl Registry {
    /// A blob to upload. `neighbours` are repositories of this registry that may have it.
    ///
    /// # Errors
    /// Where its file cannot be opened.
    pub fn upload<'a>(&'a self, repository: &'a str, neighbours: &'a [String], blob: &Blob) -> Result<Upload<'a>, RegistryError> {
        let content = Content::open(blob.clone()).map_err(|error| RegistryError::Content(format!("{}: {error}", blob.file.display())))?;
        Ok(Upload { registry: self, repository, neighbours, content, session: None, confirmed: 0, chunk: None })
    }

    /// Uploads a small blob from memory, unless it is there.
    ///
    /// # Errors
    /// Where the registry refuses or does not answer.
    pub async fn push_bytes(&self, repository: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let digest = image::digest(bytes);
        if self.has_blob(repository, &digest, "pull,push").await? {
            return Ok(());
        }
        let begun = self.begin(repository).await?;
        let target = with_digest(self.location(repository, &begun)?, &digest);
        let put = |http: &reqwest::Client| Ok(http.put(target.clone()).header(CONTENT_TYPE, OCTETS).body(bytes.to_vec()));
        check(&self.what(repository), self.send(repository, "pull,push", put).await?).await.map(drop)
    }

    async fn has_blob(&self, repository: &str, digest: &str, actions: &str) -> Result<bool, RegistryError> {
        let url = format!("{}/v2/{repository}/blobs/{digest}", self.base());
        let there = self.send(repository, actions, |http| Ok(http.head(&url))).await?;
        if there.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        check(&self.what(repository), there).await.map(|_| true)
    }

    /// Begins an upload.
    async fn begin(&self, repository: &str) -> Result<Response, RegistryError> {
        let begin = format!("{}/v2/{repository}/blobs/uploads/", self.base());
        let begun = self.send(repository, "pull,push", |http| Ok(http.post(&begin).header(CONTENT_LENGTH, 0))).await?;
        check(&self.what(repository), begun).await
    }

    /// Where an upload goes on.
    fn location(&self, repository: &str, response: &Response) -> Result<Url, RegistryError> {
        let invalid = |message: String| RegistryError::ResponseInvalid { what: self.what(repository), message };
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| invalid("the upload has no Location".to_owned()))?;
        let base = response.url();
        let target = base.join(location).map_err(|error| invalid(format!("Location {location:?}: {error}")))?;
        if target.host_str() != base.host_str() {
            // The credentials are for the registry alone.
            return Err(invalid(format!("the upload leads to another host: {location:?}")));
        }
        Ok(target)
    }
}

impl Upload<'_> {
    /// Uploads the blob, or goes on with it: after an error that may pass, call it again.
    ///
    /// # Errors
    /// Where the registry refuses, breaks off or takes nothing for as long as its settings say; [`RegistryError::Content`] where the bytes are not
    /// those of the digest.
    pub async fn proceed(&mut self) -> Result<Sent, RegistryError> {
        let result = match self.resume().await? {
            Some((target, from)) => self.send(target, from).await,
            None => match self.begin().await? {
                Begun::Done(sent) => return Ok(sent),
                Begun::At(target) => self.send(target, 0).await,
            },
        };
        match (result, self.content.fault()) {
            (_, Some(fault)) => Err(RegistryError::Content(fault)),
            (Err(error), None) => {
                if !matches!(error, RegistryError::Unavailable { .. } | RegistryError::Throttled { .. }) {
                    // What it has is not what the digest says. Where that is not our fault, the next attempt begins anew.
                    self.verified().await?;
                    self.session = None;
                }
                Err(error)
            }
            (Ok(()), None) => Ok(Sent::Pushed),
        }
    }

    /// Bytes that the registry was seen to have after a break.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Where a broken upload goes on; `None` where there is none, or the registry does not know it any more.
    async fn resume(&mut self) -> Result<Option<(Url, u64)>, RegistryError> {
        let Some(session) = self.session.take() else { return Ok(None) };
        let answer = self.registry.send(self.repository, "pull,push", |http| Ok(http.get(session.clone()))).await;
        let answer = match answer {
            Ok(answer) => check(&self.registry.what(self.repository), answer).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                let got = received(answer.headers()).filter(|got| (2..=self.content.read_to()).contains(got));
                let Some(got) = got else { return Ok(None) };
                let next = self.registry.location(self.repository, &answer).unwrap_or(session);
                self.session = Some(next.clone());
                self.confirmed = self.confirmed.max(got);
                Ok(Some((next, got)))
            }
            Err(error @ (RegistryError::Unavailable { .. } | RegistryError::Throttled { .. })) => {
                self.session = Some(session);
                Err(error)
            }
            Err(_) => Ok(None),
        }
    }

    /// Whether the blob is there, or a neighbour has it, or else where it is taken.
    async fn begin(&mut self) -> Result<Begun, RegistryError> {
        let (registry, repository, neighbours) = (self.registry, self.repository, self.neighbours);
        let Blob { digest, size, .. } = self.content.blob().clone();
        if registry.has_blob(repository, &digest, "pull,push").await? {
            self.verified().await?;
            return Ok(Begun::Done(Sent::Present));
        }
        let near = if size < WORTH_A_MOUNT { &[] } else { neighbours };
        for neighbour in near {
            // One that may not be read has nothing for us.
            if !registry.has_blob(neighbour, &digest, "pull").await.unwrap_or(false) {
                continue;
            }
            self.verified().await?;
            let mut url = self.url("blobs/uploads/")?;
            url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", neighbour);
            let actions = format!("pull,push repository:{neighbour}:pull");
            let answer = registry.send(repository, &actions, |http| Ok(http.post(url.clone()).header(CONTENT_LENGTH, 0))).await?;
            match answer.status() {
                StatusCode::CREATED => return Ok(Begun::Done(Sent::Mounted(neighbour.clone()))),
                // It would rather have the bytes.
                StatusCode::ACCEPTED => return self.keep(&answer).map(Begun::At),
                _ => break,
            }
        }
        let begun = registry.begin(repository).await?;
        self.keep(&begun).map(Begun::At)
    }

    /// Keeps in mind where the upload goes on.
    fn keep(&mut self, answer: &Response) -> Result<Url, RegistryError> {
        let target = self.registry.location(self.repository, answer)?;
        self.session = Some(target.clone());
        Ok(target)
    }

    /// Who names a blob has to have it: else a hostile archive could take another's by its digest.
    async fn verified(&self) -> Result<(), RegistryError> {
        self.content.verify().await.map_err(|error| RegistryError::Content(error.to_string()))
    }

    /// Sends what the registry does not have.
    async fn send(&mut self, target: Url, from: u64) -> Result<(), RegistryError> {
        let size = self.content.blob().size;
        let (mut target, mut at) = (target, from);
        if at == 0 && self.chunk.is_none() {
            let whole = self.request(&Method::PUT, &self.finished(&target), 0, size).await?;
            if whole.status() != StatusCode::PAYLOAD_TOO_LARGE {
                return check(&self.registry.what(self.repository), whole).await.map(drop);
            }
            self.chunk = Some(CHUNK);
            let begun = self.registry.begin(self.repository).await?;
            target = self.keep(&begun)?;
        }
        while at < size {
            let end = self.chunk.map_or(size, |chunk| size.min(at + chunk));
            let answer = self.request(&Method::PATCH, &target, at, end).await?;
            let answer = check(&self.registry.what(self.repository), answer).await?;
            target = self.keep(&answer)?;
            at = received(answer.headers()).filter(|got| (at + 1..end).contains(got)).unwrap_or(end);
            self.confirmed = self.confirmed.max(at);
        }
        let answer = self.request(&Method::PUT, &self.finished(&target), size, size).await?;
        check(&self.registry.what(self.repository), answer).await.map(drop)
    }

    /// One request with a part of the bytes. It may take as long as it likes while bytes flow.
    async fn request(&self, method: &Method, target: &Url, from: u64, to: u64) -> Result<Response, RegistryError> {
        self.content.touch();
        let make = |_: &reqwest::Client| {
            let request = self.registry.patient().request(method.clone(), target.clone());
            let request = request.header(CONTENT_TYPE, OCTETS).header(CONTENT_LENGTH, to - from);
            if from == to {
                return Ok(request);
            }
            let body = Body::wrap_stream(self.content.stream(from, to));
            let range = format!("{from}-{}", to - 1);
            Ok(if method == Method::PATCH { request.header(CONTENT_RANGE, range).body(body) } else { request.body(body) })
        };
        let idle = self.registry.deadline();
        let send = self.registry.send(self.repository, "pull,push", make);
        tokio::pin!(send);
        loop {
            let overdue = self.content.overdue(idle);
            tokio::select! {
                answer = &mut send => return answer,
                () = tokio::time::sleep_until(overdue) => {
                    if self.content.overdue(idle) <= overdue {
                        let message = format!("it took no byte for {}s", idle.as_secs());
                        return Err(RegistryError::Unavailable { what: self.registry.what(self.repository), message, after: None });
                    }
                }
            }
        }
    }

    fn finished(&self, target: &Url) -> Url {
        with_digest(target.clone(), &self.content.blob().digest)
    }

    fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let what = self.registry.what(self.repository);
        let url = Url::parse(&format!("{}/v2/{}/{path}", self.registry.base(), self.repository));
        url.map_err(|error| RegistryError::ResponseInvalid { what, message: error.to_string() })
    }
}

fn with_digest(mut target: Url, digest: &str) -> Url {
    target.query_pairs_mut().append_pair("digest", digest);
    target
}

/// How many bytes a registry has: `Range: 0-<last>`, with a unit before it at some.
fn received(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let range = range.trim().trim_start_matches("bytes").trim_start_matches(['=', ' ']);
    let (first, last) = range.split_once('-')?;
    (first == "0").then(|| last.parse::<u64>().ok()?.checked_add(1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_has_is_read() {
        let read = |range: &str| received(&HeaderMap::from_iter([(RANGE, range.parse().unwrap())]));
        assert_eq!([read("0-99"), read("bytes=0-99"), read("bytes 0-99"), read("0-0")], [Some(100), Some(100), Some(100), Some(1)]);
        assert_eq!([read("0--1"), read("5-99"), read("junk"), read("0-18446744073709551615")], [None; 4]);
    }
}
