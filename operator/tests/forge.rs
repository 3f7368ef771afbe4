//! Pull requests and commit statuses against a small server that stands in for GitHub, which cannot be had here, and that shows the shape of what is sent to
//! Gitea. The real Gitea has its own story in `e2e`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, Response, Uri};
use mainstay::clients::forge::{Address, CommitStatus, Forge, ForgeError, ForgeKind, Settings, State};
use mainstay::error::{Class, Classified};
use serde_json::{Value, json};

/// What the server got, and what it answers, one after the other.
#[derive(Default)]
struct Script {
    requests: Vec<String>,
    headers: Vec<HeaderMap>,
    answers: Vec<Response<Body>>,
}

struct World {
    script: Arc<Mutex<Script>>,
    forge: Forge,
    address: std::net::SocketAddr,
}

const TOKEN: &str = "s3cr3t-t0ken";

async fn serve(Shared(script): Shared<Arc<Mutex<Script>>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut script = script.lock().unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    script.requests.push(format!("{method} {uri} {body}").trim().to_owned());
    script.headers.push(headers);
    if script.answers.is_empty() { Response::builder().status(500).body(Body::empty()).unwrap() } else { script.answers.remove(0) }
}

async fn world(kind: ForgeKind) -> World {
    support::use_ring();
    let script = Arc::new(Mutex::new(Script::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(serve).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings = Settings {
        address: Address::of("https://forge/o/r.git", Some(kind), Some(&format!("http://{address}/api"))).unwrap(),
        token: format!("{TOKEN}\n").into(),
        token_from: "key token of the Secret of spec.forgeSecret".to_owned(),
        purpose: "read and write pull requests",
        ca: None,
        deadline: Duration::from_secs(5),
    };
    World { script, forge: Forge::new(settings).unwrap(), address }
}

impl World {
    fn answer(&self, status: u16, body: &Value) {
        self.answer_with(status, &[], Body::from(body.to_string()));
    }

    fn answer_with(&self, status: u16, headers: &[(&str, &str)], body: Body) {
        let response = headers.iter().fold(Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
        self.script.lock().unwrap().answers.push(response.body(body).unwrap());
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.script.lock().unwrap().requests)
    }

    fn header(&self, name: &str) -> Vec<String> {
        let script = self.script.lock().unwrap();
        script.headers.iter().map(|headers| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned()).collect()
    }
}

/// A pull request as both forges answer it.
fn pull(number: u64, state: &str, label: &str, name: &str, full_name: &str) -> Value {
    json!({
        "number": number, "html_url": format!("https://forge/{number}"), "state": state, "title": "t", "body": null, "merged_at": null,
        "head": {"label": label, "ref": name, "sha": "1".repeat(40), "repo": {"full_name": full_name}}, "other": {},
    })
}

#[tokio::test]
async fn github_is_asked_for_one_branch() {
    let w = world(ForgeKind::GitHub).await;
    let mut merged = pull(1, "closed", "o:mainstay/pins", "mainstay/pins", "o/r");
    merged["merged_at"] = json!("2026-01-01T00:00:00Z");
    let stranger = pull(9, "open", "x:mainstay/pins", "mainstay/pins", "x/r");
    w.answer(200, &json!([merged, stranger, pull(2, "open", "o:mainstay/pins", "mainstay/pins", "O/R")]));
    let found = w.forge.find("mainstay/pins").await.unwrap();
    let short: Vec<(u64, State, bool, &str)> = found.iter().map(|one| (one.number, one.state, one.merged, one.body.as_str())).collect();
    assert_eq!(short, [(2, State::Open, false, ""), (1, State::Closed, true, "")]);
    let created = pull(3, "open", "o:b", "b", "o/r");
    w.answer(201, &created);
    let opened = w.forge.open("Pin \"cv\"", "body", "b", "main").await.unwrap();
    assert_eq!((opened.number, opened.url.as_str(), opened.head_sha), (3, "https://forge/3", "1".repeat(40)));
    w.answer(200, &created);
    w.forge.update(3, "t2", "b2").await.unwrap();
    w.answer(200, &pull(3, "closed", "o:b", "b", "o/r"));
    w.answer(201, &json!({"id": 1}));
    assert_eq!(w.forge.close(3, "Obsolete").await.unwrap().state, State::Closed);
    assert_eq!(
        w.requests(),
        [
            "GET /api/repos/o/r/pulls?state=all&head=o%3Amainstay%2Fpins&sort=updated&direction=desc&per_page=20&page=1",
            r#"POST /api/repos/o/r/pulls {"base":"main","body":"body","head":"b","title":"Pin \"cv\""}"#,
            r#"PATCH /api/repos/o/r/pulls/3 {"body":"b2","title":"t2"}"#,
            r#"PATCH /api/repos/o/r/pulls/3 {"state":"closed"}"#,
            r#"POST /api/repos/o/r/issues/3/comments {"body":"Obsolete"}"#,
        ]
    );
    assert!(w.header("authorization").iter().all(|value| *value == format!("Bearer {TOKEN}")));
    assert!(w.header("accept").iter().all(|value| value == "application/vnd.github+json"));
    assert!(w.header("x-github-api-version").iter().all(|value| value == "2022-11-28"));
    assert!(w.header("user-agent").iter().all(|value| value.starts_with("mainstay/")));
}

#[tokio::test]
async fn gitea_is_looked_through_for_the_branch() {
    let w = world(ForgeKind::Gitea).await;
    // Its branch was deleted when it was merged; a fork has a branch of that name; the open one was not touched for long.
    let mut merged = pull(1, "closed", "pins", "refs/pull/1/head", "o/r");
    merged["merged"] = json!(true);
    let mut orphan = pull(4, "open", "pins", "pins", "x/r");
    orphan["head"]["repo"] = json!(null);
    w.answer(200, &json!([merged, pull(2, "open", "pins", "pins", "x/r"), pull(3, "open", "other", "other", "o/r"), orphan]));
    w.answer(200, &json!([pull(3, "open", "other", "other", "o/r")]));
    w.answer(200, &json!([pull(5, "open", "pins", "pins", "o/r")]));
    let found = w.forge.find("pins").await.unwrap();
    let short: Vec<(u64, State, bool)> = found.iter().map(|one| (one.number, one.state, one.merged)).collect();
    assert_eq!(short, [(5, State::Open, false), (1, State::Closed, true)]);
    // None at all; and one on the first page.
    w.answer(200, &json!([]));
    assert_eq!(w.forge.find("pins").await.unwrap(), []);
    w.answer(200, &json!([pull(5, "open", "pins", "pins", "o/r")]));
    assert_eq!(w.forge.find("pins").await.unwrap().len(), 1);
    w.answer(201, &pull(6, "open", "b", "b", "o/r"));
    w.forge.open("t", "b", "b", "main").await.unwrap();
    let list = "GET /api/repos/o/r/pulls";
    assert_eq!(
        w.requests(),
        [
            format!("{list}?state=all&sort=recentupdate&limit=20&page=1"),
            format!("{list}?state=open&sort=recentupdate&limit=20&page=1"),
            format!("{list}?state=open&sort=recentupdate&limit=20&page=2"),
            format!("{list}?state=all&sort=recentupdate&limit=20&page=1"),
            format!("{list}?state=all&sort=recentupdate&limit=20&page=1"),
            r#"POST /api/repos/o/r/pulls {"base":"main","body":"b","head":"b","title":"t"}"#.to_owned(),
        ]
    );
    assert!(w.header("authorization").iter().all(|value| *value == format!("token {TOKEN}")));
}

#[tokio::test]
async fn a_commit_status_is_read_and_written_as_each_forge_wants_it() {
    let commit = "1".repeat(40);
    let wanted = CommitStatus {
        context: "mainstay/cv".into(),
        state: "success".into(),
        description: "v1.0-1111111 in 34s".into(),
        target_url: Some("https://d.example/cv".into()),
    };
    for (kind, state, size) in [(ForgeKind::GitHub, "state", "per_page"), (ForgeKind::Gitea, "status", "limit")] {
        let w = world(kind).await;
        let one = |context: &str| json!({"id": 1, "context": context, state: "success", "description": wanted.description, "target_url": wanted.target_url, "url": "u"});
        let full: Vec<Value> = (0..50).map(|n| one(&format!("ci/{n}"))).collect();
        w.answer(200, &json!({"state": "success", "statuses": full, "repository": {}}));
        w.answer(200, &json!({"state": "success", "statuses": [one("mainstay/other"), one("mainstay/cv")]}));
        assert_eq!(w.forge.commit_status(&commit, "mainstay/cv").await.unwrap(), Some(wanted.clone()));
        // A commit without any; and one that is bare of all but what must be.
        w.answer(200, &json!({"state": "", "statuses": null}));
        assert_eq!(w.forge.commit_status(&commit, "mainstay/cv").await.unwrap(), None);
        w.answer(200, &json!({"statuses": [{"context": "mainstay/cv", state: "pending", "description": null, "target_url": ""}]}));
        let bare = CommitStatus { context: "mainstay/cv".into(), state: "pending".into(), description: String::new(), target_url: None };
        assert_eq!(w.forge.commit_status(&commit, "mainstay/cv").await.unwrap(), Some(bare.clone()));
        w.answer(201, &one("mainstay/cv"));
        w.forge.set_commit_status(&commit, &wanted).await.unwrap();
        w.answer(201, &one("mainstay/cv"));
        w.forge.set_commit_status(&commit, &bare).await.unwrap();
        let read = |page: u8| format!("GET /api/repos/o/r/commits/{commit}/status?{size}=50&page={page}");
        assert_eq!(
            w.requests(),
            [
                read(1),
                read(2),
                read(1),
                read(1),
                format!(
                    r#"POST /api/repos/o/r/statuses/{commit} {{"context":"mainstay/cv","description":"v1.0-1111111 in 34s","state":"success","target_url":"https://d.example/cv"}}"#
                ),
                format!(r#"POST /api/repos/o/r/statuses/{commit} {{"context":"mainstay/cv","description":"","state":"pending"}}"#),
            ]
        );
    }
}

#[tokio::test]
async fn what_a_forge_says_has_a_class() {
    for kind in [ForgeKind::GitHub, ForgeKind::Gitea] {
        let w = world(kind).await;
        let wait = |seconds| Class::Transient { after: Some(Duration::from_secs(seconds)) };
        let soon = Class::Transient { after: None };
        let quota: &[(&str, &str)] = &[("x-ratelimit-remaining", "0"), ("retry-after", "9")];
        let exists = r#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists for o:b."}]}"#;
        for (status, headers, body, reason, class) in [
            (401, &[][..], r#"{"message":"Bad credentials"}"#, "ForgeUnauthorized", Class::Terminal),
            (403, &[], r#"{"message":"no"}"#, "ForgeUnauthorized", Class::Terminal),
            (403, quota, "{}", "ForgeThrottled", wait(9)),
            (404, &[], "", "ForgeRepositoryNotFound", Class::Terminal),
            (409, &[], r#"{"message":"pull request already exists"}"#, "ForgeConflict", soon),
            (422, &[], exists, "ForgeConflict", soon),
            (422, &[], r#"{"message":"no commits between main and b"}"#, "ForgeRejected", Class::Terminal),
            (423, &[], r#"{"message":"archived"}"#, "ForgeRejected", Class::Terminal),
            (429, &[("retry-after", "7")], "", "ForgeThrottled", wait(7)),
            (503, &[("retry-after", "7")], "", "ForgeUnavailable", wait(7)),
            (500, &[], "<html>", "ForgeUnavailable", soon),
            (200, &[], "<html>s3cr3t-t0ken", "ForgeResponseInvalid", soon),
            (200, &[], r#"{"message":"s3cr3t-t0ken"}"#, "ForgeResponseInvalid", soon),
        ] {
            w.answer_with(status, headers, Body::from(body.to_owned()));
            let error = w.forge.open("t", "b", "b", "main").await.unwrap_err();
            assert_eq!((error.reason().as_str(), error.class()), (reason, class), "{status}: {error}");
            assert!(error.to_string().contains("127.0.0.1/o/r"), "{error}");
            assert!(!format!("{error} {error:?} {:?}", w.forge).contains(TOKEN), "{error:?} {:?}", w.forge);
        }
        assert_eq!(w.requests().len(), 13, "nothing is asked twice");
        w.answer(401, &json!({"message": "Bad credentials"}));
        let error = w.forge.find("b").await.unwrap_err().to_string();
        assert!(error.contains("spec.forgeSecret") && error.contains("Bad credentials"), "{error}");
    }
}

#[tokio::test]
async fn no_answer_takes_longer_or_more_than_it_may() {
    let w = world(ForgeKind::Gitea).await;
    w.answer_with(200, &[], Body::from(vec![b' '; (1 << 20) + 1]));
    let error = w.forge.find("b").await.unwrap_err();
    assert!(matches!(&error, ForgeError::ResponseInvalid { message, .. } if message.contains("longer")), "{error}");
    w.answer_with(200, &[], Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()));
    let error = w.forge.find("b").await.unwrap_err();
    assert_eq!((error.reason().as_str(), error.class()), ("ForgeUnavailable", Class::Transient { after: None }), "{error}");
}

#[tokio::test]
async fn the_token_goes_to_no_other_place() {
    let (w, other) = (world(ForgeKind::GitHub).await, world(ForgeKind::GitHub).await);
    for status in [301, 302, 307, 308] {
        for there in [format!("http://{}/api/repos/o/r/pulls?x=s3cr3t-t0ken", other.address), "/api/repositories/1/pulls".to_owned()] {
            w.answer_with(status, &[("location", &there)], Body::empty());
            let error = w.forge.open("t", "b", "b", "main").await.unwrap_err();
            assert_eq!((error.reason().as_str(), error.class()), ("ForgeRepositoryMoved", Class::Terminal), "{error}");
            assert!(error.to_string().contains("/api/repo") && !error.to_string().contains(TOKEN), "{error}");
        }
    }
    assert_eq!((w.requests().len(), other.requests().len()), (8, 0));
}
