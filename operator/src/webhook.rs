//! The webhook port: `POST /hook/<namespace>/<name>`, plain HTTP behind what ends TLS. It is reached from outside, so nothing else is there.
//!
//! It has a thread of its own: however many strangers call, what they cost is at most that thread, [`CONNECTIONS`] bodies of [`MAX_BODY`] bytes, and
//! one look a second at what they prove to know the key of. Reconciles go on beside it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::controllers::hints::Hints;
use crate::domain::hook::{self, Hint, Keys, Proof, Sender};
use crate::metrics::Metrics;

/// Connections that are served at once; the kernel keeps the others waiting.
const CONNECTIONS: usize = 32;

/// Longest body. Forges send a few KiB; a push that is longer is found at the interval.
const MAX_BODY: usize = 1 << 20;

/// Longest head of a request, and most headers in it.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;

/// Longest time for one request, from the connection to the answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long to wait where no connection can be taken, as without free file handles.
const BREATH: Duration = Duration::from_millis(100);

/// Answers hooks.
#[derive(Debug)]
pub struct Webhook {
    hints: Arc<Hints>,
    metrics: Arc<Metrics>,
    /// What the hooks of strangers are held against.
    unknown: Keys,
}

/// What became of a request: the word in metrics, what is answered, and in which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    NoPath,
    NoPost,
    /// No such repository, no key, no proof or a wrong one: the answer does not say which.
    Refused,
    TooLarge,
    Malformed,
    Ignored(&'static str),
    /// A look will be taken.
    Asked,
    /// One is awaited already.
    Joined,
}

impl Outcome {
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Outcome::NoPath => ("no_path", StatusCode::NOT_FOUND, "hooks go to /hook/<namespace>/<name>"),
            Outcome::NoPost => ("no_post", StatusCode::METHOD_NOT_ALLOWED, "hooks are sent with POST"),
            Outcome::Refused => ("refused", StatusCode::UNAUTHORIZED, "no SourceRepository takes this hook with this secret"),
            Outcome::TooLarge => {
                ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "the body is too long: what it says is found at the interval")
            }
            Outcome::Malformed => {
                ("malformed", StatusCode::BAD_REQUEST, "the body is not the JSON of this event: set the content type to application/json")
            }
            Outcome::Ignored(why) => ("ignored", StatusCode::OK, why),
            Outcome::Asked => ("asked", StatusCode::ACCEPTED, "it is looked at now"),
            Outcome::Joined => ("joined", StatusCode::ACCEPTED, "it is looked at in a moment"),
        }
    }
}

impl Webhook {
    /// Hooks become `hints`.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new(hints: Arc<Hints>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
        Ok(Self { hints, metrics, unknown: Keys::unknown(&random) })
    }

    /// Serves until the process ends, on a thread of its own.
    ///
    /// # Errors
    /// Where the thread cannot be made or the address cannot be listened on.
    pub async fn apart(self, address: SocketAddr) -> std::io::Result<()> {
        let (ended, end) = oneshot::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = runtime.and_then(|runtime| runtime.block_on(async { self.serve(TcpListener::bind(address).await?).await }));
            // Nobody listens where the program ends.
            let _ = ended.send(result);
        };
        std::thread::Builder::new().name("webhook".to_owned()).spawn(serve)?;
        end.await.unwrap_or(Ok(()))
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// Never by itself; the type is that of what calls it.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let (webhook, places) = (Arc::new(self), Arc::new(Semaphore::new(CONNECTIONS)));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
            let (stream, _) = match listener.accept().await {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::debug!(%error, "webhook: a connection is lost");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let webhook = webhook.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let webhook = webhook.clone();
                    async move { Ok::<_, Infallible>(webhook.answer(request).await) }
                });
                // One request for each connection: idle ones would take the places of others.
                let mut protocol = http1::Builder::new();
                protocol.keep_alive(false).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
                let mut connection = std::pin::pin!(protocol.serve_connection(TokioIo::new(stream), service));
                if tokio::time::timeout(DEADLINE, connection.as_mut()).await.is_err() {
                    webhook.metrics.webhook("unknown", "overdue");
                }
                drop(place);
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let sender = Sender::of(request.headers());
        let (word, status, text) = self.judge(sender, request).await.unwrap_or_else(|refusal| refusal).parts();
        self.metrics.webhook(sender.map_or("unknown", Sender::as_str), word);
        let mut response = Response::new(Body::from(format!("{text}\n")));
        *response.status_mut() = status;
        response
    }

    /// The cheap questions first: what has no proof is refused before its body is read.
    async fn judge(&self, sender: Option<Sender>, request: Request<Incoming>) -> Result<Outcome, Outcome> {
        let (head, body) = request.into_parts();
        let (namespace, name) = hook::target(head.uri.path()).ok_or(Outcome::NoPath)?;
        if head.method != Method::POST {
            return Err(Outcome::NoPost);
        }
        let sender = sender.ok_or(Outcome::Refused)?;
        let proof = Proof::of(sender, &head.headers).ok_or(Outcome::Refused)?;
        let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > MAX_BODY) {
            return Err(Outcome::TooLarge);
        }
        let body = read(Body::new(body)).await?;
        let found = self.hints.find(namespace, name);
        let keys = found.as_ref().map_or(&self.unknown, |(_, keys)| keys.as_ref());
        let (true, Some((repository, _))) = (keys.accept(&proof, &body), &found) else { return Err(Outcome::Refused) };
        let hint = hook::read(sender, sender.event(&head.headers), &body, &repository.spec.url).map_err(|_| Outcome::Malformed)?;
        let asked = match hint {
            Hint::Nothing(why) => return Ok(Outcome::Ignored(why)),
            Hint::Branches => self.hints.branches(repository),
            Hint::Images(names) => match self.hints.tags(repository, &names) {
                (0, _) => return Ok(Outcome::Ignored("it is about no image of this SourceRepository")),
                (_, asked) => asked,
            },
        };
        tracing::debug!(namespace, name, sender = sender.as_str(), asked, "hook");
        Ok(if asked { Outcome::Asked } else { Outcome::Joined })
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Outcome> {
    let mut all = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| Outcome::Malformed)?;
        if all.len() + piece.len() > MAX_BODY {
            return Err(Outcome::TooLarge);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}
