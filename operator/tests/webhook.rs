//! The webhook port on a real socket: what it takes, what it refuses, and what a flood costs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::runtime::{reflector, watcher};
use mainstay::controllers::hints::{Asked, Hints};
use mainstay::domain::hook::Keys;
use mainstay::metrics::Metrics;
use mainstay::webhook::Webhook;
use mainstay_crds::{ContainerImage, SourceRepository};
use reqwest::{Client, StatusCode};
use ring::hmac;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "correct horse battery staple";

struct World {
    address: SocketAddr,
    http: Client,
    metrics: Arc<Metrics>,
    asked: Asked,
}

async fn world() -> World {
    support::use_ring();
    let (repositories, mut fill) = reflector::store::<SourceRepository>();
    let (images, mut fill_images) = reflector::store::<ContainerImage>();
    let spec = "{url: 'https://git.example/team/ops.git', registry: {prefix: 'r.example/team'}, webhook: {secretRef: {name: hook}}}";
    let repository: SourceRepository = serde_json::from_value(
        serde_saphyr::from_str(&format!("{{apiVersion: a, kind: b, metadata: {{name: ops, namespace: builds}}, spec: {spec}}}")).unwrap(),
    )
    .unwrap();
    let image: ContainerImage =
        serde_json::from_value(json!({"apiVersion": "a", "kind": "b", "metadata": {"name": "cv", "namespace": "builds"}, "spec": {}}))
            .unwrap();
    fill.apply_watcher_event(&watcher::Event::Apply(repository.clone()));
    fill_images.apply_watcher_event(&watcher::Event::Apply(image));
    let (hints, asked) = Hints::new(repositories, images);
    hints.set_keys(&repository, Keys::of(&[("token".to_owned(), KEY.as_bytes().to_vec())].into()).ok());
    let metrics = Arc::new(Metrics::default());
    let webhook = Webhook::new(Arc::new(hints), metrics.clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // As in the program: with a thread of its own.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = listener.into_std().unwrap();
        runtime.block_on(async { webhook.serve(TcpListener::from_std(listener).unwrap()).await.unwrap() });
    });
    World { address, http: Client::builder().no_proxy().build().unwrap(), metrics, asked }
}

fn signature(body: &str) -> String {
    hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), body.as_bytes()))
}

fn push() -> String {
    json!({"ref": "refs/heads/main", "repository": {"full_name": "team/ops"}, "commits": []}).to_string()
}

impl World {
    async fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, String) {
        let request = self.http.post(format!("http://{}{path}", self.address)).body(body.to_owned());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn fetch_is_asked(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(1500), self.asked.repositories.next()).await.is_ok()
    }

    fn counted(&self, sender: &str, result: &str) -> u64 {
        let line = format!("mainstay_webhook_requests_total{{sender=\"{sender}\",answer=\"{result}\"}} ");
        self.metrics.encode().lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_hook_of_each_sender_asks_for_a_look() {
    let mut w = world().await;
    let body = push();
    let (bare, hub) = (signature(&body), format!("sha256={}", signature(&body)));
    for headers in [
        &[("x-github-event", "push"), ("x-hub-signature-256", &hub)][..],
        &[("x-gitea-event", "push"), ("x-gitea-signature", &bare)],
        &[("x-forgejo-event", "push"), ("x-forgejo-signature", &bare)],
        &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", KEY)],
    ] {
        assert_eq!(w.send("/hook/builds/ops", headers, &body).await.0, StatusCode::ACCEPTED, "{headers:?}");
        assert!(w.fetch_is_asked().await, "{headers:?}");
    }
    let event = json!({"events": [{"action": "push", "target": {"repository": "team/cv", "tag": "v1"}}]}).to_string();
    let bearer = format!("Bearer {KEY}");
    let registry = [("content-type", "application/vnd.docker.distribution.events.v2+json"), ("authorization", bearer.as_str())];
    assert_eq!(w.send("/hook/builds/ops", &registry, &event).await.0, StatusCode::ACCEPTED);
    let (image, name) = tokio::time::timeout(Duration::from_secs(2), w.asked.images.next()).await.unwrap().unwrap();
    assert_eq!((image.name.as_str(), name.as_str()), ("cv", "r.example/team/cv"));
    let other = event.replace("team/cv", "team/unknown");
    let (status, text) = w.send("/hook/builds/ops", &registry, &other).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("no image"), "{text}");
    assert_eq!((w.counted("github", "asked"), w.counted("distribution", "asked"), w.counted("distribution", "ignored")), (1, 1, 1));
}

#[tokio::test]
async fn a_stranger_learns_nothing_and_moves_nothing() {
    let mut w = world().await;
    let body = push();
    let (right, wrong) = (signature(&body), signature("other"));
    let mut answers = Vec::new();
    for (path, headers) in [
        // No such object, no such namespace, a wrong signature, one for another body, none, an empty one, no sender.
        ("/hook/builds/nothing", &[("x-gitea-event", "push"), ("x-gitea-signature", &right)][..]),
        ("/hook/nowhere/ops", &[("x-gitea-event", "push"), ("x-gitea-signature", &right)]),
        ("/hook/builds/ops", &[("x-gitea-event", "push"), ("x-gitea-signature", &wrong)]),
        ("/hook/builds/ops", &[("x-gitea-event", "push")]),
        ("/hook/builds/ops", &[("x-gitea-event", "push"), ("x-gitea-signature", "")]),
        ("/hook/builds/ops", &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "correct horse battery stapl")]),
        ("/hook/builds/ops", &[("x-hub-signature-256", &right)]),
    ] {
        answers.push(w.send(path, headers, &body).await);
    }
    assert!(answers.iter().all(|answer| answer.0 == StatusCode::UNAUTHORIZED && *answer == answers[0]), "{answers:?}");
    assert!(!w.fetch_is_asked().await);
    // What is signed and is no hook of ours.
    let signed = |body: &str| signature(body);
    let (status, _) = w.send("/hook/builds/ops", &[("x-gitea-event", "push"), ("x-gitea-signature", &signed("{"))], "{").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let ping = "{\"zen\":\"x\"}";
    let (status, _) =
        w.send("/hook/builds/ops", &[("x-github-event", "ping"), ("x-hub-signature-256", &format!("sha256={}", signed(ping)))], ping).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!w.fetch_is_asked().await);
    for path in ["/", "/metrics", "/hook/builds", "/hook/builds/ops/x", "//hook/builds/ops", "/hook/../builds/ops"] {
        assert_eq!(w.send(path, &[], "").await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let answer = w.http.get(format!("http://{}/hook/builds/ops", w.address)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(w.counted("gitea", "refused"), 5);
}

#[tokio::test]
async fn a_body_a_head_and_a_request_have_an_end() {
    let w = world().await;
    let raw = async |text: String| {
        let mut stream = TcpStream::connect(w.address).await.unwrap();
        let (begun, mut answer) = (Instant::now(), Vec::new());
        // Both may end early: the other side may have hung up.
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("it hangs up");
        (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
    };
    let head = format!("POST /hook/builds/ops HTTP/1.1\r\nHost: x\r\nX-Gitea-Event: push\r\nX-Gitea-Signature: {}\r\n", "ab".repeat(32));
    let (answer, _) = raw(format!("{head}Content-Length: 1073741824\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let (answer, _) = raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(40))).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let (answer, _) = raw(format!("{head}X-Long: {}\r\n\r\n", "x".repeat(64 << 10))).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // Half a head, and half a body: after five seconds nobody waits for the rest.
    let (half_head, half_body) =
        futures::join!(raw("POST /hook/builds/ops HTTP/1.1\r\nHost: x".to_owned()), raw(format!("{head}Content-Length: 10\r\n\r\nfive.")));
    for (answer, took) in [half_head, half_body] {
        assert!(answer.is_empty() && took < Duration::from_secs(10), "{took:?} {answer}");
    }
    assert_eq!((w.counted("unknown", "overdue"), w.counted("gitea", "too_large")), (2, 2));
}

/// Three thousand requests as fast as they can be sent: junk of every kind, and among them real hooks, over and over the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_a_look_a_second_and_nobody_else_waits() {
    let mut w = world().await;
    let body = push();
    let (right, wrong) = (signature(&body), signature("other"));
    let junk: &[(&str, &[(&str, &str)])] = &[
        ("/hook/builds/ops", &[("x-gitea-event", "push"), ("x-gitea-signature", &wrong)]),
        ("/hook/builds/guess", &[("x-gitea-event", "push"), ("x-gitea-signature", &wrong)]),
        ("/hook/builds/ops", &[]),
        ("/wp-login.php", &[]),
        ("/hook/builds/ops", &[("x-gitea-event", "push"), ("x-gitea-signature", &right)]),
    ];
    // What else the program does: a tick on the other runtime, as a reconcile would be.
    let ticking = tokio::spawn(async {
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_millis(5)).await;
            longest = longest.max(begun.elapsed());
        }
        longest
    });
    let begun = Instant::now();
    let world = &w;
    let body = &body;
    futures::stream::iter(0..3000_usize)
        .for_each_concurrent(64, async |n| {
            let (path, headers) = junk[n % junk.len()];
            world.send(path, headers, body).await;
        })
        .await;
    let took = begun.elapsed();
    let longest = ticking.await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let looks = u64::try_from(std::iter::from_fn(|| w.asked.repositories.try_recv().ok()).count()).unwrap();
    assert!(looks >= 1 && looks <= took.as_secs() + 2, "{looks} looks in {took:?}");
    assert_eq!(w.counted("gitea", "refused"), 1200);
    assert_eq!(w.counted("unknown", "refused") + w.counted("unknown", "no_path"), 1200);
    assert_eq!(w.counted("gitea", "asked") + w.counted("gitea", "joined"), 600);
    assert!(longest < Duration::from_secs(1), "a tick of 5 ms took {longest:?}");
}
