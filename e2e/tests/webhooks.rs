//! A push is seen because the forge says so, and a stranger's word moves nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::{Duration, Instant};

use mainstay_crds::{ContainerImage, SourceRepository};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;
use support::{is_ready, short, within, world};

const KEY: &str = "a key that only this story has";

/// A repository that is looked at once an hour, with an image that is built, and where its hooks go.
async fn quiet(story: &str) -> (World, String) {
    let world = world(story).await.unwrap();
    world.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "stringData": {"token": KEY}})).await.unwrap();
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({"interval": "1h", "webhook": {"secretRef": {"name": "hook"}}})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    let repository: SourceRepository =
        world.until("ops", "takes hooks", |one| webhook_ready(one) == ("True".into(), "Listening".into())).await.unwrap();
    let path = repository.status.unwrap().webhook.unwrap();
    assert_eq!(path, format!("/hook/{}/ops", world.name));
    let address = format!("{}{path}", operator::webhook(&world.lab).await.unwrap());
    (world, address)
}

fn webhook_ready(repository: &SourceRepository) -> (String, String) {
    let conditions = repository.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    conditions.into_iter().find(|one| one.type_ == "WebhookReady").map(|one| (one.status, one.reason)).unwrap_or_default()
}

fn built(commit: &str) -> impl Fn(&ContainerImage) -> bool + '_ {
    move |image| {
        is_ready(image) && image.status.as_ref().and_then(|status| status.latest.as_deref()).is_some_and(|tag| tag.contains(short(commit)))
    }
}

async fn head(world: &World) -> Option<String> {
    world.api::<SourceRepository>().get("ops").await.unwrap().status.and_then(|status| status.head)
}

/// How many hooks of Gitea ended so.
async fn counted(world: &World, result: &str) -> u64 {
    let line = format!("mainstay_webhook_requests_total{{sender=\"gitea\",answer=\"{result}\"}} ");
    let text = operator::metrics(&world.lab).await.unwrap();
    text.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_push_becomes_an_image_because_the_forge_calls() {
    let (world, address) = quiet("hooked").await;
    world.lab.forge().create_hook(&world.name, &address, KEY).await.unwrap();
    let begun = Instant::now();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
    let seen = |repository: &SourceRepository| repository.status.as_ref().is_some_and(|status| status.head.as_ref() == Some(&commit));
    world.until::<SourceRepository>("ops", "has seen the push", seen).await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "it was seen after {took:?}");
    world.until("cv", "is built from the push", built(&commit)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_wrong_signature_moves_nothing_and_the_right_one_does() {
    let (world, address) = quiet("unhooked").await;
    let forge = world.lab.forge();
    let before = head(&world).await;
    let refused = counted(&world, "refused").await;
    let hook = forge.create_hook(&world.name, &address, "a key that nobody gave us").await.unwrap();
    let unseen = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
    // The forge has called: its hook was counted, and refused.
    within(Duration::from_secs(60), "the forge has called", async || counted(&world, "refused").await != refused).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(head(&world).await, before, "{unseen} was fetched");
    // A name that is taken and one that is not are answered alike.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut answers = Vec::new();
    for target in [address.clone(), format!("{address}-not")] {
        let request = http.post(target).header("X-Gitea-Event", "push").header("X-Gitea-Signature", "ab".repeat(32)).body("{}");
        let answer = request.send().await.unwrap();
        answers.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    assert!(answers[0] == answers[1] && answers[0].0 == 401, "{answers:?}");
    forge.delete_hook(&world.name, hook).await.unwrap();
    forge.create_hook(&world.name, &address, KEY).await.unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.2", "RUN true")))]).await.unwrap();
    world.until("cv", "is built from the push", built(&commit)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_registry_event_makes_the_tags_be_listed_anew() {
    let (world, address) = quiet("events").await;
    let known = world.api::<ContainerImage>().get("cv").await.unwrap().status.unwrap().tags.unwrap().main;
    let (tag, _) = world.publish("cv", "9.9", &head(&world).await.unwrap()).await.unwrap();
    // As distribution sends it, where its configuration names the address and the header.
    let event = json!({"events": [{
        "id": "1", "action": "push",
        "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": world.repository("cv"), "tag": tag},
    }]});
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(&address).header("Content-Type", "application/vnd.docker.distribution.events.v2+json").bearer_auth(KEY);
    assert_eq!(request.body(event.to_string()).send().await.unwrap().status().as_u16(), 202);
    let listed =
        |image: &ContainerImage| image.status.as_ref().and_then(|status| status.tags.as_ref()).is_some_and(|tags| tags.main > known);
    let begun = Instant::now();
    world.until("cv", "knows the tag", listed).await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "it was listed after {took:?}: that was the resync, and not the event");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_missing_key_is_named_and_fetches_go_on() {
    let world = world("keyless").await.unwrap();
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({"webhook": {"secretRef": {"name": "nohook"}}})).await.unwrap();
    let missing = |one: &SourceRepository| webhook_ready(one) == ("False".into(), "SecretNotFound".into());
    let repository = world.until("ops", "misses its key", missing).await.unwrap();
    assert!(repository.status.as_ref().unwrap().conditions.iter().any(|one| one.type_ == "Ready" && one.status != "False"));
    world
        .until::<SourceRepository>("ops", "is fetched all the same", |one| one.status.as_ref().is_some_and(|s| s.head.is_some()))
        .await
        .unwrap();
    let secret =
        |token: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nohook"}, "stringData": {"token": token}});
    world.apply(&secret("short")).await.unwrap();
    let short = |one: &SourceRepository| webhook_ready(one) == ("False".into(), "SecretInvalid".into());
    world.until("ops", "has a short key", short).await.unwrap();
    world.apply(&secret(KEY)).await.unwrap();
    world.until("ops", "takes hooks", |one| webhook_ready(one).0 == "True").await.unwrap();
}
