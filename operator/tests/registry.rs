//! The registry client against distribution, and against a server that misbehaves (a mock: no real registry can be made to).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use mainstay::clients::registry::{Blob, Credential, Registry, Sent, Settings};
use mainstay::error::{Class, Classified};
use sha2::{Digest, Sha256};
use support::proxy::Proxy;
use support::registry_server::Distribution;

fn registry(endpoint: &str, password: Option<&str>) -> Registry {
    support::use_ring();
    let credential = password.map(|word| Credential { username: "mainstay".into(), password: word.to_owned().into() });
    Registry::new(Settings { endpoint: endpoint.to_owned(), plain_http: true, ca: None, credential, deadline: Duration::from_secs(10) })
        .unwrap()
}

/// A server that answers by path and query.
async fn mock(answer: impl Fn(&str, Option<&str>) -> Response<Body> + Send + Sync + 'static) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    let app = Router::new().fallback(move |request: Request| {
        let answer = answer.clone();
        async move {
            let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            answer(&request.uri().to_string(), authorization.as_deref())
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn text(status: u16, body: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_password_is_asked_for_and_a_wrong_one_named() {
    let server = Distribution::with_password().await;
    assert!(registry(&server.endpoint, Some("word")).tags("team/cv").await.unwrap().is_empty());
    assert_eq!(registry(&server.endpoint, Some("word")).image("team/cv", "v1").await.unwrap(), None);
    for password in [Some("wrong"), None] {
        let error = registry(&server.endpoint, password).image("team/cv", "v1").await.unwrap_err();
        assert_eq!((error.reason().as_str(), error.class()), ("RegistryUnauthorized", Class::Terminal));
        let words = error.to_string();
        assert!(words.contains("team/cv") && words.contains("spec.registry.credentialsSecretRef") && !words.contains("wrong"), "{words}");
    }
}

#[tokio::test]
async fn pages_follow_the_link_and_come_to_an_end() {
    let address = mock(|uri, _| match uri {
        "/v2/x/tags/list?n=1000" => Response::builder()
            .header("link", "</v2/x/tags/list?cursor=b>; rel=\"next\"")
            .body(Body::from(r#"{"tags":["a","b"]}"#))
            .unwrap(),
        "/v2/x/tags/list?cursor=b" => Response::builder()
            .header("link", "</v2/x/tags/list?cursor=b>; rel=\"next\"")
            .body(Body::from(r#"{"tags":["b","c"]}"#))
            .unwrap(),
        "/v2/away/tags/list?n=1000" => {
            Response::builder().header("link", "<http://127.0.0.1:9/x>; rel=\"next\"").body(Body::from(r#"{"tags":["a"]}"#)).unwrap()
        }
        "/v2/none/tags/list?n=1000" => text(200, r#"{"tags":null}"#),
        "/v2/cut/tags/list?n=1000" => text(200, r#"{"tags":["a","#),
        "/v2/junk/tags/list?n=1000" => text(200, "<html>"),
        _ => text(404, "{}"),
    })
    .await;
    let registry = registry(&address.to_string(), None);
    // The second page names itself as the next: that it brings nothing new ends it.
    assert_eq!(registry.tags("x").await.unwrap(), ["a", "b", "c"]);
    assert!(registry.tags("none").await.unwrap().is_empty());
    assert!(registry.tags("absent").await.unwrap().is_empty());
    for broken in ["away", "cut", "junk"] {
        assert_eq!(registry.tags(broken).await.unwrap_err().reason(), "RegistryResponseInvalid", "{broken}");
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_passed_on() {
    for (status, reason) in [(429, "RegistryThrottled"), (503, "RegistryUnavailable"), (500, "RegistryUnavailable")] {
        let address = mock(move |_, _| Response::builder().status(status).header("retry-after", "9").body(Body::empty()).unwrap()).await;
        let error = registry(&address.to_string(), None).image("x", "v1").await.unwrap_err();
        assert_eq!((error.reason().as_str(), error.class()), (reason, Class::Transient { after: Some(Duration::from_secs(9)) }));
    }
    let nobody = registry("127.0.0.1:9", None).image("x", "v1").await.unwrap_err();
    assert_eq!(nobody.reason(), "RegistryUnavailable");
}

#[tokio::test]
async fn a_lying_digest_is_found_out() {
    let address = mock(|uri, _| {
        let manifest = r#"{"schemaVersion":2,"config":{"mediaType":"a","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":2},"layers":[]}"#;
        if uri.contains("/manifests/") {
            let lie = format!("sha256:{}", "a".repeat(64));
            Response::builder().header("docker-content-digest", lie).body(Body::from(manifest)).unwrap()
        } else {
            text(200, "{}")
        }
    })
    .await;
    let error = registry(&address.to_string(), None).image("x", "v1").await.unwrap_err();
    assert_eq!(error.reason(), "RegistryResponseInvalid");
    assert!(error.to_string().contains("has the digest"), "{error}");
    let wanted = format!("sha256:{}", "a".repeat(64));
    assert!(registry(&address.to_string(), None).image("x", &wanted).await.is_err());
}

#[tokio::test]
async fn a_password_goes_to_its_own_host_only() {
    // A token server on another host without TLS gets nothing.
    let thief = mock(|_, authorization| panic!("it got {authorization:?}")).await;
    let address = mock(move |_, _| {
        Response::builder()
            .status(401)
            .header("www-authenticate", format!("Bearer realm=\"http://{thief}/token\",service=\"x\""))
            .body(Body::empty())
            .unwrap()
    })
    .await;
    let error = registry(&address.to_string(), Some("word")).image("x", "v1").await.unwrap_err();
    assert!(error.to_string().contains("no credentials are sent there"), "{error}");
}

#[tokio::test]
async fn first_calls_at_the_same_time_all_get_in() {
    let address = mock(|_, authorization| match authorization {
        Some("Basic bWFpbnN0YXk6d29yZA==") => text(200, r#"{"tags":["a"]}"#),
        _ => Response::builder().status(401).header("www-authenticate", "Basic realm=\"r\"").body(Body::empty()).unwrap(),
    })
    .await;
    let registry = registry(&address.to_string(), Some("word"));
    let calls = (0..8).map(|_| registry.tags("x"));
    for tags in futures::future::join_all(calls).await {
        assert_eq!(tags.unwrap(), ["a"]);
    }
}

#[tokio::test]
async fn a_token_is_fetched_and_kept() {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let own = Arc::new(std::sync::OnceLock::new());
    let known = own.clone();
    let address = mock(move |uri, authorization| {
        if uri.starts_with("/token?") {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(authorization, Some("Basic bWFpbnN0YXk6d29yZA=="));
            assert!(uri.contains("scope=repository%3Ax%3Apull") && uri.contains("service=reg"), "{uri}");
            return text(200, r#"{"token":"t0ken","expires_in":300}"#);
        }
        match authorization {
            Some("Bearer t0ken") => text(200, r#"{"tags":["a"]}"#),
            _ => {
                let realm = format!("Bearer realm=\"http://{}/token\",service=\"reg\"", known.get().unwrap());
                Response::builder().status(401).header("www-authenticate", realm).body(Body::empty()).unwrap()
            }
        }
    })
    .await;
    own.set(address).unwrap();
    let registry = registry(&address.to_string(), Some("word"));
    for _ in 0..3 {
        assert_eq!(registry.tags("x").await.unwrap(), ["a"]);
    }
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let address = mock(|_, _| {
        let forever = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
        Response::new(Body::from_stream(forever))
    })
    .await;
    let error = registry(&address.to_string(), None).tags("x").await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn a_slow_upload_goes_on_and_one_that_stands_still_ends() {
    support::use_ring();
    let server = Distribution::open().await;
    let proxy = Proxy::before(&server.endpoint).await;
    let deadline = Duration::from_secs(2);
    let settings = Settings { endpoint: proxy.endpoint.clone(), plain_http: true, ca: None, credential: None, deadline };
    let registry = Registry::new(settings).unwrap();
    let bytes = support::noise(32 << 20, 1);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
    let blob = Blob { digest, size: bytes.len() as u64, file: file.path().to_owned(), offset: 0, hashed: false };

    // Longer than its deadline in all, never that long without a byte.
    proxy.wire.pause.store(10, SeqCst);
    let begun = Instant::now();
    assert_eq!(registry.upload("team/slow", &[], &blob).unwrap().proceed().await.unwrap(), Sent::Pushed);
    assert!(begun.elapsed() > deadline * 2, "{:?}", begun.elapsed());

    proxy.wire.pause.store(0, SeqCst);
    proxy.sent();
    proxy.wire.hang_at.store(1 << 20, SeqCst);
    let begun = Instant::now();
    let error = registry.upload("team/still", &[], &blob).unwrap().proceed().await.unwrap_err();
    assert!(error.to_string().contains("took no byte for 2s"), "{error}");
    assert!(matches!(error.class(), Class::Transient { .. }) && begun.elapsed() < Duration::from_secs(6));
}
