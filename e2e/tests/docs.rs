//! The quickstart, as a newcomer follows it: its own commands, in its own order, on a cluster without Mainstay. Only addresses, names and
//! passwords are the lab's. What needs no cluster is tried in `e2e/src/guide_tests.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use mainstay_e2e::guide::{blocks, commands};
use mainstay_e2e::journey::{NO_IMAGE, files, running};
use mainstay_e2e::lab::machine;
use mainstay_e2e::operator;
use mainstay_e2e::world::World;
use serde_json::{Value, json};
use support::release::bare;

/// A command of the page with the lab's values.
fn of_the_lab(command: &str, world: &World, tag: &str) -> String {
    let (forge, registry) = (world.lab.forge(), world.lab.registry());
    let values = operator::values().unwrap();
    let command = command
        .replace(
            "--set image.repository=registry.example/me/mainstay",
            &format!("--values {} --set-string image.tag={tag}", values.display()),
        )
        .replace("https://git.example/me/ops.git", &forge.clone_url(&world.name))
        .replace("prefix: registry.example/me", &format!("prefix: {}\n    plainHTTP: true", world.lab.image(&world.name)))
        .replace("--docker-server=registry.example", &format!("--docker-server={}", registry.address()))
        .replace("--docker-username=me", &format!("--docker-username={}", registry.user()))
        .replace("username=me", &format!("username={}", forge.user()));
    assert!(!command.contains(".example"), "an address of nobody is left: {command}");
    command
}

/// Runs a command in a shell, with the story's namespace as the current one.
async fn run(world: &World, kubeconfig: &str, command: &str) {
    let checkout = machine::checkout().unwrap();
    let (git, registry) = (world.lab.forge().token(), world.lab.registry().password());
    let script = format!(
        "set -eu\ncd '{}'\nexport KUBECONFIG='{kubeconfig}' GIT_TOKEN='{git}' REGISTRY_TOKEN='{registry}'\n{command}\n",
        checkout.display()
    );
    // On the standard input, so that no password is an argument.
    world.lab.run_with("bash", &["-s"], &script).await.unwrap_or_else(|error| panic!("{command}\n{error}"));
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn the_quickstart_ends_in_a_pod_of_a_pinned_image_from_main() {
    let (_turn, world) = bare("quickstart").await;
    // What a newcomer has: a container, and manifests that name its image by a tag that nobody has built.
    let (change, files) = files(&world);
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &files).await.unwrap();
    // What the page has the reader make.
    for name in ["git", "registry"] {
        world.api::<Secret>().delete(name, &DeleteParams::default()).await.unwrap();
    }
    world.deploy("apps/web").await.unwrap();

    // The page has Docker make and push the image; the lab has none, and pushes the same program.
    let (tag, _) = operator::publish(&world.lab).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = world.lab.run("kubectl", &["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]).await.unwrap();
    let mut whole: Value = serde_json::from_str(&whole).unwrap();
    whole["contexts"][0]["context"]["namespace"] = json!(world.name);
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, whole.to_string()).unwrap();

    let page = std::fs::read_to_string(machine::checkout().unwrap().join("docs/quickstart.md")).unwrap();
    let to_run: Vec<String> =
        blocks(&page).iter().filter(|b| b.language == "sh" && b.mark == "run").flat_map(|b| commands(&b.text)).collect();
    assert_eq!(to_run.len(), 5, "{to_run:#?}");
    for command in &to_run {
        run(&world, &kubeconfig.display().to_string(), &of_the_lab(command, &world, &tag)).await;
    }

    let pin = running(&world, &change, NO_IMAGE).await.unwrap();
    let file = world.lab.forge().read_file(&world.name, "main", &change.manifest).await.unwrap().unwrap();
    assert!(file.contains(&pin.tag) && !file.contains(NO_IMAGE), "{file}");
}
