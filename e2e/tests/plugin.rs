//! `kubectl mainstay`, as a person types it: what it says of a chain that holds and of one that is broken, and what it says when it cannot.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, names};
use mainstay_e2e::lab::machine;
use mainstay_e2e::lab::{Error, Result};
use mainstay_e2e::world::{World, dockerfile};
use serde_json::{Value, json};
use support::{because, ended, is_ready, short, world};

/// What a run of the plugin gave.
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// The plugin: `MAINSTAY_PLUGIN_BINARY`, else what `cargo build` made.
fn program() -> Result<PathBuf> {
    let named = std::env::var_os("MAINSTAY_PLUGIN_BINARY").map(PathBuf::from);
    let program = named.unwrap_or(machine::checkout()?.join("target/debug/kubectl-mainstay"));
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::new("find the plugin", format!("{} is not there", program.display()))
        .remedy("build it: cargo build --package mainstay --bin kubectl-mainstay"))
}

fn run(kubeconfig: &Path, namespace: &str, args: &[&str]) -> Said {
    let mut command = Command::new(program().unwrap());
    outcome(command.env("KUBECONFIG", kubeconfig).args(["--namespace", namespace]).args(args))
}

fn outcome(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// As an administrator, in the namespace of the story.
async fn plugin(world: &World, args: &[&str]) -> Said {
    let (kubeconfig, namespace) = (world.lab.kubeconfig().to_owned(), world.name.clone());
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    tokio::task::spawn_blocking(move || run(&kubeconfig, &namespace, &args.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}

/// A kubeconfig for somebody who has the role `view` in the namespace of the story, and nothing else.
async fn viewer(world: &World, folder: &Path) -> PathBuf {
    let subject = json!({"kind": "ServiceAccount", "name": "viewer", "namespace": world.name});
    world.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer"}})).await.unwrap();
    world
        .apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "viewer"}, "subjects": [subject],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        }))
        .await
        .unwrap();
    let token = world.lab.run("kubectl", &["-n", &world.name, "create", "token", "viewer"]).await.unwrap();
    let whole = world.lab.run("kubectl", &["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]).await.unwrap();
    let mut whole: Value = serde_json::from_str(&whole).unwrap();
    whole["users"][0]["user"] = json!({"token": token.trim()});
    let file = folder.join("viewer");
    std::fs::write(&file, whole.to_string()).unwrap();
    file
}

/// A pod that runs this image, and the manifest that names it.
async fn deploy(world: &World, image: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cv"},
        "spec": {"terminationGracePeriodSeconds": 0, "imagePullSecrets": [{"name": "registry"}],
            "containers": [{"name": "cv", "image": image, "command": ["sleep", "3600"]}]},
    });
    world.commit("main", &[("apps/cv.yaml", Some(&serde_saphyr::to_string(&pod).unwrap()))]).await.unwrap();
    world.apply(&pod).await.unwrap();
}

/// Waits until `why` says this.
async fn until_why(world: &World, target: &str, words: &str) -> Said {
    let mut said = plugin(world, &["why", target]).await;
    for _ in 0..120 {
        if said.out.contains(words) {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        said = plugin(world, &["why", target]).await;
    }
    panic!("why {target} does not say {words:?}:\n{}{}", said.out, said.err);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn it_shows_the_way_of_a_commit_and_the_link_that_is_missing() {
    let world = world("plugin").await.unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN echo it is built")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    let tag = format!("v1.0-{}", short(&commit));
    deploy(&world, &format!("{}:{tag}", world.lab.image(&world.repository("cv")))).await;
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();

    // A chain that holds.
    let said = until_why(&world, "cv", "complete").await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    for link in ["commit", "touch", "wanted", "registry", "build", "pin", "running"] {
        assert!(said.out.contains(&format!("  ok       {link:<8}  ")), "{link}: {}", said.out);
    }
    assert!(said.out.contains(&format!("1 of 1 pods run {tag}")), "{}", said.out);
    let said = until_why(&world, "pin/all", "complete").await;
    assert_eq!(said.code, 0, "{}", said.out);

    let said = plugin(&world, &["list", "-o", "json"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let list: Value = serde_json::from_str(&said.out).unwrap();
    let (image, variant) = (&list["items"][0], &list["items"][0]["variants"][0]);
    assert_eq!((image["name"].as_str(), image["ready"].as_str(), image["reason"].as_str()), (Some("cv"), Some("True"), Some("UpToDate")));
    assert_eq!((variant["newest"].as_str(), variant["running"].as_str()), (Some(tag.as_str()), Some("1/1")));
    assert_eq!((variant["pins"][0]["path"].as_str(), variant["pins"][0]["reason"].as_str()), (Some("apps/cv.yaml"), Some("UpToDate")));
    let said = plugin(&world, &["container-list"]).await;
    let row: Vec<&str> = said.out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["cv", "dockerfile", "1.0", &tag, "1", "1/1", "UpToDate"]);
    assert!(!said.out.contains('\u{1b}'), "no colours in a pipe");

    let said = plugin(&world, &["tags", "cv"]).await;
    let row: Vec<&str> = said.out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], [&tag, "[main]", "wanted,", "pinned"], "{}", said.out);
    let said = plugin(&world, &["logs", "cv", "--step", "build"]).await;
    assert!(said.code == 0 && said.out.contains("it is built"), "{}{}", said.out, said.err);

    // By hand, at main's head, which has the same tree: a tag of its own, and nothing that pins must move to.
    let said = plugin(&world, &["build", "cv", "--follow"]).await;
    assert!(said.code == 0 && said.out.contains("@sha256:"), "{}{}", said.out, said.err);
    let said = plugin(&world, &["build", "cv", "--ref", "no-such-branch", "--follow"]).await;
    assert!(said.code == 1 && said.err.contains("RefNotFound"), "{}{}", said.out, said.err);

    // One that fails, and whose pod is gone when somebody asks for its log.
    world.lab.forge().create_branch(&world.name, "bad", "main").await.unwrap();
    let bad = dockerfile("1.0", "RUN echo it breaks && false");
    world.commit("bad", &[("containers/cv/Dockerfile", Some(&bad))]).await.unwrap();
    assert_eq!(plugin(&world, &["reconcile", "source/ops"]).await.code, 0);
    let said = plugin(&world, &["build", "cv", "--ref", "bad", "--follow"]).await;
    assert!(said.code == 1 && said.err.contains("it breaks") && said.err.contains("BuildFailed"), "{}{}", said.out, said.err);
    let build = said.out.trim().trim_start_matches("imagebuild.mainstay.dev/").trim_end_matches(" created").to_owned();
    let selector = format!("{}={build}", names::BUILD_LABEL);
    world.lab.run("kubectl", &["-n", &world.name, "delete", "pod", "--wait", "-l", &selector]).await.unwrap();
    let said = plugin(&world, &["logs", &build]).await;
    assert!(said.code == 0 && said.out.contains("it breaks") && said.err.contains("is gone"), "{}{}", said.out, said.err);

    // A broken one: what main asks for is not built.
    let said = plugin(&world, &["suspend", "cv"]).await;
    assert_eq!((said.code, said.out.as_str()), (0, "containerimage.mainstay.dev/cv suspended\n"), "{}", said.err);
    world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
    assert_eq!(plugin(&world, &["reconcile", "source/ops"]).await.code, 0);
    world.until::<ContainerImage>("cv", "is suspended", because("Suspended")).await.unwrap();
    let said = plugin(&world, &["why", "cv"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("\n> missing  build     Suspended: v1.1-"), "{}", said.out);
    assert!(said.out.contains("kubectl mainstay resume cv") && said.out.ends_with("broken at build\n"), "{}", said.out);
    assert!(plugin(&world, &["list"]).await.out.contains("Suspended"));
    assert_eq!(plugin(&world, &["resume", "cv"]).await.code, 0);
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    world.until::<ManifestPin>("all", "follows", |pin| pin.status.as_ref().is_some_and(|s| s.last_commit.is_some())).await.unwrap();
}

/// A checkout of the story's repository, as a person has one.
async fn clone(world: &World, folder: &Path) -> PathBuf {
    let (forge, checkout) = (world.lab.forge(), folder.join("ops"));
    let address = forge.clone_url(&world.name).replacen("://", &format!("://{}:{}@", forge.user(), forge.token()), 1);
    world.lab.run("git", &["clone", "--quiet", &address, &checkout.display().to_string()]).await.unwrap();
    checkout
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn it_writes_the_first_objects_and_sees_tags_without_a_cluster() {
    let world = world("plugininit").await.unwrap();
    let image = world.lab.image(&world.repository("cv"));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cv"}, "spec": {"containers": [{"name": "cv", "image": format!("{image}:v1.0-0000000")}]}});
    let files = [("containers/cv/Dockerfile", dockerfile("1.0", "RUN true")), ("apps/cv/pod.yaml", serde_saphyr::to_string(&pod).unwrap())];
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (*path, Some(text.as_str()))).collect();
    let commit = world.commit("main", &files).await.unwrap();
    let (tag, _) = world.publish("cv", "1.0", &commit).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let checkout = clone(&world, folder.path()).await;
    let place = checkout.display().to_string();

    // What it writes is accepted by the API server as it stands.
    let said = plugin(&world, &["init", &place]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(!said.out.contains("FILL IN") && !said.out.contains(world.lab.forge().token()), "{}", said.out);
    assert!(said.out.contains(&format!("url: {}", world.lab.forge().clone_url(&world.name))), "{}", said.out);
    let tried = world.lab.run_with("kubectl", &["apply", "--dry-run=server", "-f", "-"], &said.out).await.unwrap();
    assert!(tried.contains("sourcerepository.mainstay.dev/") && tried.contains("manifestpin.mainstay.dev/all"), "{tried}");

    // No kubeconfig at all, and the credentials of `docker login`.
    std::fs::write(folder.path().join("config.json"), world.lab.registry().docker_config()).unwrap();
    let (nowhere, of) = (folder.path().join("absent"), format!("{}/{}", world.lab.registry().address(), world.repository("cv")));
    let mut command = Command::new(program().unwrap());
    let command = command.env("KUBECONFIG", nowhere).env("DOCKER_CONFIG", folder.path());
    let said = outcome(command.args(["tags", "--repo", &place, "--image", &of, "--plain-http"]));
    let row: Vec<&str> = said.out.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!((said.code, &row[..2]), (0, &[tag.as_str(), "[main]"][..]), "{}{}", said.out, said.err);
    assert!(said.err.contains("nothing was fetched"), "{}", said.err);
}

/// The grade of each check of `doctor`, by its name.
fn grades(said: &Said) -> std::collections::BTreeMap<String, String> {
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
    let word = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    answer["checks"].as_array().unwrap().iter().map(|check| (word(check, "name"), word(check, "grade"))).collect()
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn it_holds_and_syncs_pins_and_tries_builds_again() {
    let world = world("pluginacts").await.unwrap();
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.0", "RUN true")))]).await.unwrap();
    world.source(json!({})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.until::<ContainerImage>("cv", "is ready", is_ready).await.unwrap();
    let old = format!("v1.0-{}", short(&commit));
    deploy(&world, &format!("{}:{old}", world.lab.image(&world.repository("cv")))).await;
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();

    // All is well, and somebody who may only look is told what he may not do.
    let found = grades(&plugin(&world, &["doctor", "-o", "json"]).await);
    for name in ["cluster", "kinds", "operator", "your rights", "git of ops", "registry of ops"] {
        assert_eq!(found.get(name).map(String::as_str), Some("ok"), "{name}: {found:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let viewer = viewer(&world, folder.path()).await;
    let found = grades(&run(&viewer, &world.name, &["doctor", "-o", "json"]));
    assert_eq!((found["your rights"].as_str(), found["git of ops"].as_str()), ("warn", "ok"), "{found:?}");

    // Held, main goes on without it; resumed, it follows.
    let said = plugin(&world, &["pin", "hold", "all", "cv"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let commit = world.commit("main", &[("containers/cv/Dockerfile", Some(&dockerfile("1.1", "RUN true")))]).await.unwrap();
    let new = format!("v1.1-{}", short(&commit));
    assert_eq!(plugin(&world, &["reconcile", "source/ops"]).await.code, 0);
    let has = |image: &ContainerImage| image.status.as_ref().is_some_and(|status| status.latest.as_deref() == Some(&new));
    world.until::<ContainerImage>("cv", "has the new tag", has).await.unwrap();
    let manifest = || async { world.lab.forge().read_file(&world.name, "main", "apps/cv.yaml").await.unwrap().unwrap() };
    let said = plugin(&world, &["pin", "sync", "all", "--wait", "--timeout", "1m"]).await;
    assert!(said.code == 0 && said.out.starts_with("Held: "), "{}{}", said.out, said.err);
    assert!(manifest().await.contains(&old));
    let said = plugin(&world, &["pin", "resume", "all", "cv"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let said = plugin(&world, &["pin", "sync", "--wait", "--timeout", "1m"]).await;
    assert!(said.code == 0 && said.out.starts_with("UpToDate: "), "{}{}", said.out, said.err);
    assert!(manifest().await.contains(&new));
    assert_eq!(plugin(&world, &["pin", "resume", "all", "cv"]).await.code, 1, "it is held no more");

    // A build that failed is tried again as another object, of the same commit.
    world.lab.forge().create_branch(&world.name, "bad", "main").await.unwrap();
    world.commit("bad", &[("containers/cv/Dockerfile", Some(&dockerfile("1.2", "RUN echo it breaks && false")))]).await.unwrap();
    assert_eq!(plugin(&world, &["reconcile", "source/ops"]).await.code, 0);
    let said = plugin(&world, &["build", "cv", "--ref", "bad", "--follow"]).await;
    let build = said.out.lines().next().unwrap().trim_start_matches("imagebuild.mainstay.dev/").trim_end_matches(" created").to_owned();
    let said = plugin(&world, &["retry", &build]).await;
    assert_eq!((said.code, said.out), (0, format!("imagebuild.mainstay.dev/{build}-2 created\n")), "{}", said.err);
    let second = world.until::<ImageBuild>(&format!("{build}-2"), "has ended", ended).await.unwrap();
    let first = world.api::<ImageBuild>().get(&build).await.unwrap();
    assert_eq!(second.status.unwrap().commit, first.status.unwrap().commit);
    let said = plugin(&world, &["logs", "cv", "--previous", "--step", "build"]).await;
    assert!(said.code == 0 && said.out.contains("it breaks") && said.err.contains(&build), "{}{}", said.out, said.err);
    let said = plugin(&world, &["why", &format!("build/{build}-2")]).await;
    assert!(said.code == 1 && said.out.contains("> missing  build     BuildFailed: "), "{}", said.out);
    let pushed = world.api::<ContainerImage>().get("cv").await.unwrap().status.unwrap().variants[0].build.clone().unwrap();
    assert!(plugin(&world, &["retry", &format!("build/{pushed}")]).await.err.contains("has succeeded"));

    let said = plugin(&world, &["__complete", "--", "tags", ""]).await;
    assert_eq!(said.out, "cv\n:4\n");
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn it_says_in_one_line_why_it_cannot() {
    let world = world("pluginerrors").await.unwrap();
    world.image("greeter", json!({})).await.unwrap();
    let refused = |said: Said, code: i32, words: &str| {
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(words) && said.err.lines().count() == 1, "{}", said.err);
    };
    for args in [["tags", "gretter"], ["why", "gretter"], ["build", "gretter"], ["logs", "gretter"], ["suspend", "gretter"]] {
        refused(plugin(&world, &args).await, 4, "did you mean greeter?");
    }
    refused(plugin(&world, &["pin", "diff"]).await, 4, "no ManifestPin");
    refused(plugin(&world, &["list", "-w", "-o", "json"]).await, 2, "--watch");
    refused(plugin(&world, &["--context", "elsewhere", "list"]).await, 3, "no context elsewhere");
    assert_eq!(plugin(&world, &["nonsense"]).await.code, 2);

    // Somebody who may look, and change nothing. `list` asks three times, whatever there is.
    let folder = tempfile::tempdir().unwrap();
    let viewer = viewer(&world, folder.path()).await;
    let since = Timestamp::now();
    let said = run(&viewer, &world.name, &["list"]);
    assert!(said.code == 0 && said.out.contains("greeter") && said.err.is_empty(), "{}{}", said.out, said.err);
    if let Some(audit) = world.lab.audit() {
        let asked = audit.requests_by(&format!("system:serviceaccount:{}:viewer", world.name), since).unwrap();
        let verbs: Vec<&str> = asked.iter().map(|request| request.verb.as_str()).collect();
        assert_eq!(verbs, ["list", "list", "list"], "{asked:#?}");
    }
    assert_eq!(run(&viewer, &world.name, &["why", "greeter"]).code, 1, "it has no source");
    refused(run(&viewer, &world.name, &["suspend", "greeter"]), 3, "forbidden");
    refused(run(&viewer, "default", &["list"]), 3, "forbidden");

    // Nobody answers there.
    let text = std::fs::read_to_string(&viewer).unwrap();
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    whole["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let nowhere = folder.path().join("nowhere");
    std::fs::write(&nowhere, whole.to_string()).unwrap();
    refused(run(&nowhere, &world.name, &["list"]), 3, "no answer from the cluster at https://127.0.0.1:1");
    refused(run(&folder.path().join("absent"), &world.name, &["list"]), 3, "kubeconfig");
}
