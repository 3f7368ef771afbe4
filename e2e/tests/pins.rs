//! The newest image from main, in the manifest: what a ManifestPin writes, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use mainstay_crds::{Class, ContainerImage, ManifestPin, names};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;
use support::{is_ready, pinned, short, world};

const PATH: &str = "apps/cv/kustomization.yaml";

/// A manifest that is not written as a machine would: comments, quotes, CRLF, no line break at its end.
fn manifest(world: &World, tag: &str) -> String {
    format!(
        "# who runs here\r\nkind: Kustomization\r\nimages:   # pinned\r\n  - name: {}\r\n    newTag: \"{tag}\"   # by hand, once\r\nresources: []",
        world.lab.image(&world.repository("cv"))
    )
}

/// A world with container `cv` at version 1.0, its image in the registry, and a manifest that names it. Gives its commit and tag.
async fn published(story: &str) -> (World, String, String) {
    let world = world(story).await.unwrap();
    let commit = touch(&world, "one").await;
    let (tag, _) = world.publish("cv", "1.0", &commit).await.unwrap();
    commit_tag(&world, "Pin cv", &tag).await;
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({"suspend": true})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    (world, commit, tag)
}

/// Changes the container on main.
async fn touch(world: &World, line: &str) -> String {
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", &format!("RUN echo {line}"))))]).await.unwrap()
}

/// Writes a tag into the manifest, as a person.
async fn commit_tag(world: &World, message: &str, tag: &str) -> String {
    world.lab.forge().commit(&world.name, "main", message, &[(PATH, Some(&manifest(world, tag)))]).await.unwrap()
}

/// Changes the container and puts its image into the registry, as a build does. Gives its tag.
async fn release(world: &World, line: &str) -> String {
    let commit = touch(world, line).await;
    let (tag, _) = world.publish("cv", "1.0", &commit).await.unwrap();
    look(world).await;
    tag
}

/// Lets the ContainerImage look at the registry now: its tag was put there by us, and not by a build that it would notice.
async fn look(world: &World) {
    world.annotate::<ContainerImage>("cv", names::RECONCILE_AT, &format!("{:?}", std::time::SystemTime::now())).await.unwrap();
}

async fn text(world: &World, branch: &str) -> String {
    world.lab.forge().read_file(&world.name, branch, PATH).await.unwrap().unwrap()
}

/// Messages of the commits that Mainstay made on main.
async fn ours(world: &World) -> Vec<String> {
    let commits = world.lab.forge().commits(&world.name, "main").await.unwrap();
    commits.into_iter().map(|commit| commit.message).filter(|message| message.contains("\nMainstay-pin: ")).collect()
}

/// Waits until a pin names this tag and is as it should be.
async fn follows(world: &World, name: &str, tag: &str) -> ManifestPin {
    let follows = |pin: &ManifestPin| {
        let status = pin.status.as_ref();
        status.is_some_and(|status| status.pins.iter().any(|pin| pin.tag == tag)) && pinned(pin).0 == "True"
    };
    world.until(name, &format!("follows {tag}"), follows).await.unwrap()
}

fn because(reason: &str) -> impl Fn(&ManifestPin) -> bool + '_ {
    move |pin| pinned(pin).1 == reason
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_new_image_from_main_becomes_one_commit_that_changes_its_tag_alone() {
    let (world, _, first) = published("pin").await;
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();
    world.until::<ManifestPin>("all", "is up to date", because("UpToDate")).await.unwrap();
    assert!(ours(&world).await.is_empty(), "a pin that is current is left alone");

    let second = release(&world, "two").await;
    let pin = follows(&world, "all", &second).await;
    assert_eq!(text(&world, "main").await, manifest(&world, &second), "no other byte");
    let messages = ours(&world).await;
    assert_eq!(messages.len(), 1, "{messages:#?}");
    let message = &messages[0];
    assert!(message.starts_with(&format!("Pin cv to {second}\n")), "{message}");
    assert!(message.contains(&format!("{first} [main] -> {second} [main]")), "{message}");
    assert!(message.contains("Mainstay-pin: story-pin/all\nArgocd-reference-commit-repourl: "), "{message}");
    let status = pin.status.unwrap();
    assert_eq!((status.up_to_date.as_deref(), status.violations), (Some("1/1"), Some(0)));
    let one = &status.pins[0];
    assert_eq!((one.class, one.reason.as_str(), one.line, one.field.as_str()), (Class::Main, "UpToDate", Some(5), "images[0].newTag"));
    assert_eq!(status.last_commit.as_deref(), one.changed_in.as_deref().map(short));
    assert_eq!(one.changed_by.as_deref(), Some("Mainstay"));
    let image: ContainerImage =
        world.until("cv", "counts its tags", |i: &ContainerImage| i.status.as_ref().is_some_and(|s| s.tags.is_some())).await.unwrap();
    let tags = image.status.unwrap().tags.unwrap();
    // What an earlier run left in the registry has no commit any more, and is [unknown].
    assert_eq!((tags.main, tags.branch, tags.foreign), (2, 0, 1));
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_branch_image_is_reported_and_repaired_where_the_spec_says_so() {
    let (world, _, first) = published("orphan").await;
    let forge = world.lab.forge();
    forge.create_branch(&world.name, "feature", "main").await.unwrap();
    let files = [("containers/cv/Dockerfile", Some(dockerfile("1.0", "RUN echo branch")))];
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (*path, text.as_deref())).collect();
    let commit = world.commit("feature", &files).await.unwrap();
    let (orphan, _) = world.publish("cv", "1.0", &commit).await.unwrap();
    commit_tag(&world, "Try the branch in production", &orphan).await;
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();
    let pin: ManifestPin = world.until("all", "reports it", because("NotFromMain")).await.unwrap();
    let (status, _, message) = pinned(&pin);
    assert_eq!(status, "False");
    assert!(message.contains(&format!("{orphan} is [branch]")) && message.contains("spec.violations"), "{message}");
    let image: ContainerImage = world
        .until("cv", "reports it too", |i: &ContainerImage| i.status.as_ref().is_some_and(|s| !s.violations.is_empty()))
        .await
        .unwrap();
    assert_eq!(image.status.unwrap().violations[0].at, format!("{PATH}:5"));
    assert!(ours(&world).await.is_empty(), "reported, and nothing more");

    // Its branch is squashed and deleted: now nobody has its commit.
    forge.delete_branch(&world.name, "feature").await.unwrap();
    let unknown = |pin: &ManifestPin| pin.status.as_ref().is_some_and(|s| s.pins.iter().any(|pin| pin.class == Class::Unknown));
    world.until("all", "knows that it is gone", unknown).await.unwrap();
    world.pin("all", json!({"paths": ["apps"], "violations": "Repair"})).await.unwrap();
    follows(&world, "all", &first).await;
    assert_eq!(text(&world, "main").await, manifest(&world, &first));
    assert!(ours(&world).await[0].contains(&format!("{orphan} [unknown] -> {first} [main]")));
    world.until("cv", "is clean", |i: &ContainerImage| i.status.as_ref().is_some_and(|s| s.violations.is_empty())).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_persons_rollback_is_held_until_the_next_touch_or_until_it_is_lifted() {
    let (world, _, first) = published("hold").await;
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();
    let second = release(&world, "two").await;
    follows(&world, "all", &second).await;
    commit_tag(&world, "Put cv back", &first).await;
    let pin: ManifestPin = world.until("all", "holds", because("Held")).await.unwrap();
    let held = &pin.status.as_ref().unwrap().pins[0];
    assert_eq!((held.reason.as_str(), held.changed_by.as_deref()), ("Held", Some(world.lab.forge().user())));
    assert!(held.message.as_deref().unwrap().contains(names::RESUME_AT), "{held:?}");
    assert_eq!(pinned(&pin).0, "True", "a person's decision is no failure");

    world.annotate::<ManifestPin>("all", names::RESUME_AT, "now").await.unwrap();
    follows(&world, "all", &second).await;
    commit_tag(&world, "Put cv back again", &first).await;
    world.until::<ManifestPin>("all", "holds again", because("Held")).await.unwrap();
    let third = release(&world, "three").await;
    follows(&world, "all", &third).await;
    assert_eq!(ours(&world).await.len(), 3);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_dry_run_shows_the_exact_change_and_makes_none() {
    let (world, _, first) = published("dry").await;
    world.pin("all", json!({"paths": ["apps"], "write": "DryRun"})).await.unwrap();
    let second = release(&world, "two").await;
    let pin: ManifestPin = world.until("all", "would write", because("DryRun")).await.unwrap();
    let diff = pin.status.unwrap().diff.unwrap();
    assert!(
        diff.contains(&format!("-    newTag: \"{first}\"   # by hand, once\r\n+    newTag: \"{second}\"   # by hand, once\r\n")),
        "{diff}"
    );
    assert_eq!(text(&world, "main").await, manifest(&world, &first));
    assert!(ours(&world).await.is_empty());
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn one_pull_request_is_kept_up_to_date_and_a_persons_commit_makes_it_theirs() {
    let (world, _, first) = published("pullrequest").await;
    let forge = world.lab.forge();
    world.pin("all", json!({"paths": ["apps"], "write": "PullRequest", "pullRequest": {"branch": "mainstay/pins"}})).await.unwrap();
    let second = release(&world, "two").await;
    let pin: ManifestPin = world.until("all", "has opened one", because("PullRequestOpen")).await.unwrap();
    let number = pin.status.unwrap().pull_request.unwrap().number;
    assert_eq!(text(&world, "mainstay/pins").await, manifest(&world, &second));
    assert_eq!(text(&world, "main").await, manifest(&world, &first));

    // A newer image: the same request, one commit more, and main's other changes are in it.
    let third = release(&world, "three").await;
    let tag = third.clone();
    let updated = move |p: &ManifestPin| pinned(p).1 == "PullRequestOpen" && pinned(p).2.contains(&tag);
    world.until("all", "has updated it", updated).await.unwrap();
    assert_eq!(text(&world, "mainstay/pins").await, manifest(&world, &third));
    let open = forge.pull_requests(&world.name).await.unwrap();
    assert_eq!(open.iter().map(|one| (one.number, one.state.as_str())).collect::<Vec<_>>(), [(number, "open")], "{open:?}");
    assert_eq!(open[0].title, format!("Pin cv to {third}"));

    forge.commit(&world.name, "mainstay/pins", "A person's own", &[("NOTES.md", Some("mine\n"))]).await.unwrap();
    let fourth = release(&world, "four").await;
    let pin: ManifestPin = world.until("all", "leaves it alone", because("PullRequestEdited")).await.unwrap();
    assert!(pinned(&pin).2.contains(forge.user()), "{}", pinned(&pin).2);
    assert_eq!(text(&world, "mainstay/pins").await, manifest(&world, &third));

    // Merged by a person: what is left to do comes as the next request.
    forge.merge_pull_request(&world.name, number, "squash").await.unwrap();
    forge.delete_branch(&world.name, "mainstay/pins").await.unwrap();
    let next = move |p: &ManifestPin| {
        p.status.as_ref().and_then(|s| s.pull_request.as_ref()).is_some_and(|r| r.number != number && r.state == "Open")
    };
    let pin: ManifestPin = world.until("all", "has opened the next", next).await.unwrap();
    let number = pin.status.unwrap().pull_request.unwrap().number;
    assert_eq!(text(&world, "mainstay/pins").await, manifest(&world, &fourth));
    // Obsolete: somebody wrote it to main by hand.
    commit_tag(&world, "By hand", &fourth).await;
    let closed = |p: &ManifestPin| p.status.as_ref().and_then(|s| s.pull_request.as_ref()).is_some_and(|r| r.state == "Closed");
    world.until("all", "has closed it", closed).await.unwrap();
    let all = forge.pull_requests(&world.name).await.unwrap();
    assert!(all.iter().any(|one| one.number == number && one.state == "closed"), "{all:?}");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn two_manifest_pins_over_one_place_are_both_told_and_neither_writes() {
    let (world, _, first) = published("rivals").await;
    world.pin("one", json!({"paths": ["apps"]})).await.unwrap();
    world.pin("two", json!({"paths": [PATH]})).await.unwrap();
    let pin: ManifestPin = world.until("one", "sees the other", because("PinConflict")).await.unwrap();
    assert!(pinned(&pin).2.contains("ManifestPin story-rivals/two"), "{}", pinned(&pin).2);
    world.until::<ManifestPin>("two", "sees the first", because("PinConflict")).await.unwrap();
    let second = release(&world, "two").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(text(&world, "main").await, manifest(&world, &first));
    world.pin("two", json!({"paths": [PATH], "suspend": true})).await.unwrap();
    follows(&world, "one", &second).await;
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn what_cannot_be_read_is_named_and_the_others_go_on() {
    let (world, _, first) = published("broken").await;
    let reference = format!("{}:{first}", world.lab.image(&world.repository("cv")));
    let (template, conflict) = (
        format!("{{{{- if .Values.x }}}}\nimage: {reference}\n{{{{- end }}}}\n"),
        format!("<<<<<<< ours\nimage: {reference}\n=======\n>>>>>>> theirs\n"),
    );
    let placeholder = format!("image: {}:kustomized\n", world.lab.image(&world.repository("cv")));
    world
        .commit(
            "main",
            &[
                ("apps/chart/templates/a.yaml", Some(&template)),
                ("apps/conflict.yaml", Some(&conflict)),
                ("apps/deployment.yaml", Some(&placeholder)),
            ],
        )
        .await
        .unwrap();
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();
    let second = release(&world, "two").await;
    let pin = follows(&world, "all", &second).await;
    let status = pin.status.unwrap();
    let reasons: Vec<_> = status.skipped.iter().map(|one| (one.path.as_str(), one.reason.as_str())).collect();
    assert_eq!(reasons, [("apps/chart/templates/a.yaml", "Template"), ("apps/conflict.yaml", "ConflictMarkers")]);
    let read = async |path: &str| world.lab.forge().read_file(&world.name, "main", path).await.unwrap().unwrap();
    assert_eq!(read("apps/chart/templates/a.yaml").await, template);
    assert_eq!(read("apps/deployment.yaml").await, placeholder);

    world.pin("all", json!({"paths": ["nowhere"]})).await.unwrap();
    let pin: ManifestPin = world.until("all", "finds nothing", because("NoMatchInFiles")).await.unwrap();
    assert!(pinned(&pin).2.contains("spec.paths"));
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn a_branch_that_nobody_may_push_to_is_told_in_the_servers_words() {
    let (world, _, first) = published("protected").await;
    let commit = touch(&world, "two").await;
    world.publish("cv", "1.0", &commit).await.unwrap();
    world.lab.forge().protect_branch(&world.name, "main").await.unwrap();
    look(&world).await;
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();
    let pin: ManifestPin = world.until("all", "is refused", because("PushRejected")).await.unwrap();
    let (status, _, message) = pinned(&pin);
    assert_eq!(status, "False");
    assert!(message.contains("protected branch"), "{message}");
    assert_eq!(text(&world, "main").await, manifest(&world, &first));
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn an_operator_that_is_killed_makes_the_commit_once() {
    let (world, _, _) = published("pinkill").await;
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();
    world.until::<ManifestPin>("all", "is up to date", because("UpToDate")).await.unwrap();
    let tag = release(&world, "two").await;
    operator::kill(&world.lab).await.unwrap();
    follows(&world, "all", &tag).await;
    operator::kill(&world.lab).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pin = follows(&world, "all", &tag).await;
    assert_eq!(ours(&world).await.len(), 1);
    assert!(pin.status.unwrap().last_commit.is_some());
}
