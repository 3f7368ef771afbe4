//! `kubectl mainstay`, as a person types it: what it says of a chain that holds and of one that is broken, and what it says when it cannot.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use mainstay_crds::{ContainerImage, ManifestPin, names};
use mainstay_e2e::lab::machine;
use mainstay_e2e::lab::{Error, Result};
use mainstay_e2e::world::{World, dockerfile};
use serde_json::{Value, json};
use support::{because, is_ready, short, world};

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
    let Output { status, stdout, stderr } =
        command.env("KUBECONFIG", kubeconfig).args(["--namespace", namespace]).args(args).output().unwrap();
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
