//! A registry with the habits that distribution does not have (a mock: it cannot be made to): it forgets what broke off, takes no large request,
//! is not there at first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use futures::StreamExt;
use sha2::{Digest, Sha256};

#[derive(Default)]
pub struct Habits {
    /// Bytes of the largest body that is taken; 0 for any.
    pub limit: AtomicU64,
    /// So many requests are answered by 503 with `Retry-After: 3`.
    pub busy: AtomicUsize,
    /// So many uploads are broken off after the first bytes, and forgotten.
    pub forgets: AtomicUsize,
    /// Once after such a break the wrong number of bytes is said to be there.
    pub lies: AtomicBool,
    /// Bodies that were taken, in order: method and length.
    pub bodies: Mutex<Vec<(String, u64)>>,
    uploads: Mutex<HashMap<String, Vec<u8>>>,
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    manifests: Mutex<HashMap<String, Vec<u8>>>,
    count: AtomicUsize,
}

impl Habits {
    pub fn has(&self, bytes: &[u8]) -> bool {
        self.blobs.lock().unwrap().contains_key(&digest(bytes))
    }
}

pub async fn start() -> (String, Arc<Habits>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let habits = Arc::new(Habits::default());
    let app = Router::new().fallback(serve).with_state(habits.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (endpoint, habits)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn answer(status: u16) -> Response<Body> {
    Response::builder().status(status).header("retry-after", "3").body(Body::empty()).unwrap()
}

fn error(status: u16, code: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#))).unwrap()
}

fn down(counter: &AtomicUsize) -> bool {
    counter.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok()
}

async fn serve(State(habits): State<Arc<Habits>>, request: Request) -> Response<Body> {
    if down(&habits.busy) {
        return answer(503);
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if path.contains("/manifests/") {
        if parts.method == Method::PUT {
            let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
            let mut manifests = habits.manifests.lock().unwrap();
            manifests.insert(digest(&bytes), bytes.clone());
            manifests.insert(last, bytes);
            return answer(201);
        }
        let found = habits.manifests.lock().unwrap().get(&last).cloned();
        return found.map_or_else(|| answer(404), |bytes| Response::new(Body::from(bytes)));
    }
    if !path.contains("/uploads/") {
        let there = habits.blobs.lock().unwrap().contains_key(&last);
        return answer(if there { 200 } else { 404 });
    }
    let at = |id: &str, got: usize, status: u16| {
        let location = format!("/v2/x/blobs/uploads/{id}");
        let range = format!("0-{}", got.saturating_sub(1));
        Response::builder().status(status).header("location", location).header("range", range).body(Body::empty()).unwrap()
    };
    if parts.method == Method::POST {
        let id = habits.count.fetch_add(1, SeqCst).to_string();
        habits.uploads.lock().unwrap().insert(id.clone(), Vec::new());
        return at(&id, 0, 202);
    }
    let Some(got) = habits.uploads.lock().unwrap().get(&last).map(Vec::len) else { return error(404, "BLOB_UPLOAD_UNKNOWN") };
    if parts.method == Method::GET {
        return at(&last, if habits.lies.swap(false, SeqCst) { got + 1000 } else { got }, 204);
    }
    let length: u64 = header("content-length").and_then(|text| text.parse().ok()).unwrap_or_default();
    let limit = habits.limit.load(SeqCst);
    if limit > 0 && length > limit {
        // As proxies do: it is read to the end, and thrown away.
        let _ = body.into_data_stream().for_each(|_| async {}).await;
        return answer(413);
    }
    if parts.method == Method::PATCH && header("content-range") != Some(format!("{got}-{}", got as u64 + length - 1)) {
        return error(416, "RANGE_INVALID");
    }
    let breaks = length > 0 && down(&habits.forgets);
    let mut bytes = Vec::new();
    let mut body = body.into_data_stream();
    while let Some(Ok(piece)) = body.next().await {
        bytes.extend_from_slice(&piece);
        if breaks && bytes.len() as u64 > length / 2 {
            if habits.lies.load(SeqCst) {
                habits.uploads.lock().unwrap().entry(last).or_default().extend(bytes);
            } else {
                habits.uploads.lock().unwrap().remove(&last);
            }
            // The handler ends the connection with the rest unread.
            return answer(502);
        }
    }
    if length > 0 {
        habits.bodies.lock().unwrap().push((parts.method.to_string(), length));
    }
    let mut uploads = habits.uploads.lock().unwrap();
    let all = uploads.entry(last.clone()).or_default();
    all.extend(bytes);
    if parts.method == Method::PATCH {
        return at(&last, all.len(), 202);
    }
    let all = uploads.remove(&last).unwrap_or_default();
    let wanted = parts.uri.query().unwrap_or_default().rsplit("digest=").next().unwrap_or_default().replace("%3A", ":");
    if digest(&all) != wanted {
        return error(400, "DIGEST_INVALID");
    }
    habits.blobs.lock().unwrap().insert(wanted, all);
    answer(201)
}
