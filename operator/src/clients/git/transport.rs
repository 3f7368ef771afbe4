//! libgit2's smart protocol over our own HTTP (reqwest, rustls). libgit2's own transport knows one CA and one time limit for the whole process
//! and asks for credentials 15 times (note crates, section 3); here each fetch has its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret;

use super::auth::{Auth, Remote};
use super::error::GitError;
use crate::clients::authorities;

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest text of an error page that is looked at.
const MAX_ERROR_BODY: u64 = 4096;

/// Longest report of a push.
const MAX_REPORT: u64 = 1 << 20;

/// How long a connection is kept for the next call, and certificate authorities for which a client is kept.
const IDLE: Duration = Duration::from_secs(20);
const MAX_CLIENTS: usize = 64;

/// One client for each certificate authority: making one reads all authorities of the system, and its connections serve a push after a fetch.
static CLIENTS: Mutex<BTreeMap<Option<Vec<u8>>, Client>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// The fetch or push that runs on this thread: libgit2 makes transports without telling for whom.
    static CURRENT: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

/// One fetch or push: its client, its credentials, and what went wrong.
pub(super) struct Session {
    client: Client,
    until: Instant,
    auth: Auth,
    origin: Option<url::Origin>,
    shown: String,
    failure: Mutex<Option<GitError>>,
    /// Where the server redirected the repository to.
    base: Mutex<Option<String>>,
}

/// Makes the session the current one of this thread, for as long as the guard lives.
pub(super) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        CURRENT.with(|current| current.borrow_mut().take());
    }
}

impl Session {
    /// A session for a remote whose calls end by `until`.
    pub(super) fn new(remote: &Remote, until: Instant) -> Result<Arc<Self>, GitError> {
        register();
        let shown = remote.url.clone();
        let client = client(remote)?;
        let origin = Url::parse(&remote.url).ok().map(|url| url.origin());
        Ok(Arc::new(Self { client, until, auth: remote.auth.clone(), origin, shown, failure: Mutex::new(None), base: Mutex::new(None) }))
    }

    /// Makes it the current one of this thread.
    pub(super) fn enter(self: &Arc<Self>) -> Guard {
        CURRENT.with(|current| *current.borrow_mut() = Some(self.clone()));
        Guard
    }

    /// What went wrong in our half, more exactly than libgit2 can say it.
    pub(super) fn take_failure(&self) -> Option<GitError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: GitError) -> git2::Error {
        let message = error.to_string();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        git2::Error::from_str(&message)
    }

    fn authorized(&self, request: RequestBuilder, url: &str) -> RequestBuilder {
        // Only to the host that the Secret was given for.
        if Url::parse(url).ok().map(|url| url.origin()) != self.origin {
            return request;
        }
        match &self.auth {
            Auth::Basic { username, password } => request.basic_auth(username, Some(password.expose_secret())),
            Auth::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Auth::None | Auth::Ssh { .. } => request,
        }
    }

    fn send(&self, request: RequestBuilder, url: &str) -> Result<Response, git2::Error> {
        let request = request.timeout(self.until.saturating_duration_since(Instant::now()));
        let response = self.authorized(request, url).send().map_err(|error| self.fail(self.unreachable(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|s| s.parse().ok()).map(Duration::from_secs);
        let mut body = String::new();
        // A page that cannot be read says nothing, which is fine.
        let _ = response.take(MAX_ERROR_BODY).read_to_string(&mut body);
        let said = body.lines().next().filter(|line| line.is_ascii() && !line.starts_with('<')).unwrap_or_default();
        let message = format!("HTTP {status}{}{said}", if said.is_empty() { "" } else { ": " });
        let url = self.shown.clone();
        Err(self.fail(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GitError::AuthenticationFailed { url, message },
            StatusCode::NOT_FOUND | StatusCode::GONE => GitError::RepositoryNotFound { url },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => GitError::Unreachable { url, message, after },
            _ if status.is_server_error() => GitError::Unreachable { url, message, after },
            _ => GitError::Protocol { url, message },
        }))
    }

    fn unreachable(&self, error: &reqwest::Error) -> GitError {
        let message = innermost(error);
        let url = self.shown.clone();
        if message.contains("certificate") || message.contains("UnknownIssuer") {
            return GitError::CertificateInvalid { url, message };
        }
        let message = if error.is_timeout() { "no answer in time".to_owned() } else { message };
        GitError::Unreachable { url, message, after: None }
    }
}

fn client(remote: &Remote) -> Result<Client, GitError> {
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = clients.get(&remote.ca) {
        return Ok(client.clone());
    }
    let mut builder = Client::builder()
        .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        // Each request has the time that is left for its fetch or push.
        .timeout(None)
        .pool_idle_timeout(IDLE)
        // reqwest itself drops the credentials where the host changes.
        .redirect(reqwest::redirect::Policy::limited(5));
    builder = authorities::of_client(remote.ca.as_deref())
        .map_err(GitError::Credentials)?
        .into_iter()
        .fold(builder, reqwest::blocking::ClientBuilder::add_root_certificate);
    let protocol = |error: reqwest::Error| GitError::Protocol { url: remote.url.clone(), message: error.to_string() };
    let client = builder.build().map_err(protocol)?;
    if clients.len() >= MAX_CLIENTS {
        clients.clear();
    }
    clients.insert(remote.ca.clone(), client.clone());
    Ok(client)
}

/// The last cause says it best: the outer ones repeat the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[allow(unsafe_code, reason = "git2 marks process-wide settings as unsafe; they are made once, before any other call of ours")]
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for scheme in ["http", "https"] {
            // SAFETY: registered once, before any transport is in use.
            let registered = unsafe {
                git2::transport::register(scheme, |remote| {
                    let session = CURRENT.with(|current| current.borrow().clone());
                    let session = session.ok_or_else(|| git2::Error::from_str("no session on this thread"))?;
                    Transport::smart(remote, true, Http { session })
                })
            };
            if let Err(error) = registered {
                tracing::error!(%error, "cannot register the HTTP transport");
            }
        }
        // SAFETY: as above. These serve SSH, which goes through libgit2's own sockets.
        let limits = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(10_000)
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(60_000))
        };
        if let Err(error) = limits {
            tracing::error!(%error, "cannot set the time limits of SSH");
        }
    });
}

struct Http {
    session: Arc<Session>,
}

impl SmartSubtransport for Http {
    fn action(&self, url: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let (name, listing) = match service {
            Service::UploadPackLs => ("git-upload-pack", true),
            Service::UploadPack => ("git-upload-pack", false),
            Service::ReceivePackLs => ("git-receive-pack", true),
            Service::ReceivePack => ("git-receive-pack", false),
        };
        let moved = self.session.base.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let base = moved.unwrap_or_else(|| url.trim_end_matches('/').to_owned());
        if listing {
            let url = format!("{base}/info/refs?service={name}");
            let response = self.session.send(self.session.client.get(&url), &url)?;
            let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
            if kind != format!("application/x-{name}-advertisement") {
                let message = format!("it is not a Git server (content type {kind:?})");
                return Err(self.session.fail(GitError::Protocol { url: self.session.shown.clone(), message }));
            }
            if let Some((there, _)) = response.url().as_str().split_once("/info/refs") {
                *self.session.base.lock().unwrap_or_else(PoisonError::into_inner) = Some(there.to_owned());
            }
            return Ok(Box::new(Exchange {
                session: self.session.clone(),
                url,
                service: name,
                request: Vec::new(),
                response: Some(Box::new(response)),
            }));
        }
        let url = format!("{base}/{name}");
        Ok(Box::new(Exchange { session: self.session.clone(), url, service: name, request: Vec::new(), response: None }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// What git2 passes on as text without looking whether it is: the report of a push (band 1, or no bands at all). Its other bytes become `?`,
/// one by one; what people are told (bands 2 and 3) stays as it is.
fn plain(report: &mut [u8]) {
    let mut rest = report;
    while !rest.is_empty() {
        let length = rest.get(..4).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| usize::from_str_radix(hex, 16).ok());
        // A flush has the length 0; what is no packet at all is one piece.
        let length = length.map_or(rest.len(), |length| length.max(4)).min(rest.len());
        let (packet, after) = rest.split_at_mut(length);
        if !matches!(packet.get(4), Some(2 | 3)) {
            packet.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
        rest = after;
    }
}

/// One request, collected while libgit2 writes and sent when it first reads.
struct Exchange {
    session: Arc<Session>,
    url: String,
    service: &'static str,
    request: Vec<u8>,
    response: Option<Box<dyn Read + Send>>,
}

impl Exchange {
    fn send(&mut self) -> io::Result<Box<dyn Read + Send>> {
        let body = std::mem::take(&mut self.request);
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let request = self
            .session
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, format!("application/x-{}-request", self.service))
            .header(ACCEPT, format!("application/x-{}-result", self.service))
            .body(reqwest::blocking::Body::sized(Cursor::new(body), length));
        let response = self.session.send(request, &self.url).map_err(io::Error::other)?;
        if self.service != "git-receive-pack" {
            return Ok(Box::new(response));
        }
        let mut report = Vec::new();
        response.take(MAX_REPORT).read_to_end(&mut report).inspect_err(|error| self.broken(error))?;
        plain(&mut report);
        Ok(Box::new(Cursor::new(report)))
    }

    fn broken(&self, error: &io::Error) {
        let message = innermost(error);
        self.session.fail(GitError::Unreachable { url: self.session.shown.clone(), message, after: None });
    }
}

impl Write for Exchange {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.request.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.response.is_none() {
            self.response = Some(self.send()?);
        }
        let Some(response) = &mut self.response else { return Ok(0) };
        let read = response.read(buffer);
        if let Err(error) = &read {
            self.broken(error);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_made_text_and_what_people_are_told_is_kept() {
        let mut report = b"000b\x01ab\xff\xc3\xa9c000b\x02ab\xff\xc3\xa9c0000\xff".to_vec();
        plain(&mut report);
        assert_eq!(report, b"000b\x01ab???c000b\x02ab\xff\xc3\xa9c0000?");
    }
}
