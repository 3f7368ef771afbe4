//! Argo CD installs Mainstay from Git as `argocd/` says, and its health says how the builds are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::path::Path;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use mainstay_crds::ContainerImage;
use mainstay_e2e::journey::{self, NO_IMAGE, running};
use mainstay_e2e::lab::argocd::{self, ArgoCd};
use mainstay_e2e::lab::{Lab, machine};
use mainstay_e2e::operator::{self, NAMESPACE};
use mainstay_e2e::world::{World, dockerfile};
use serde_json::{Value, json};
use support::is_ready;
use support::release::{bare, build_slowly, ends_once, history, objects_of_the_operator};

/// The Applications of `argocd/apps`, as their waves order them.
const APPLICATIONS: [(&str, &str); 3] = [("crds", "mainstay-crds"), ("operator", "mainstay"), ("objects", "mainstay-objects")];

/// What makes waves of Applications wait for one another; Argo CD has it no more by itself.
const HEALTH_OF_APPLICATIONS: &str = r#"local status = obj.status or {}
local health = status.health or {}
if (status.sync or {}).status ~= "Synced" then
  return {status = "Progressing", message = "not synced"}
end
return {status = health.status or "Progressing", message = health.message}
"#;

fn file(path: &str) -> String {
    std::fs::read_to_string(machine::checkout().unwrap().join(path)).unwrap()
}

/// A file of `argocd/` as its reader changes it. Each of `changes` must be there to be made.
fn changed(path: &str, changes: &[(&str, &str)]) -> String {
    let mut text = file(path);
    for (old, new) in changes {
        assert!(text.contains(old), "{path} has no {old:?}");
        text = text.replace(old, new);
    }
    text
}

/// What the story's repository has besides the folders of this checkout: containers, manifests, and `argocd/` with the lab's addresses.
async fn files(world: &World, argocd: &ArgoCd) -> (journey::Change, Vec<(String, String)>) {
    let (change, mut files) = journey::files(world);
    let (url, prefix) = (world.lab.forge().clone_url(&world.name), format!("prefix: {}", world.lab.image(&world.name)));
    let prefix = format!("{prefix}\n    plainHTTP: true");
    let source = [("https://git.example/team/ops.git", url.as_str()), ("prefix: registry.example/team", &prefix)];
    let pin = [("[argocd/manifests]", "[apps]"), ("write: DryRun", "write: Commit\n  violations: Repair")];
    let images = changed("argocd/objects/containerimages.yaml", &[("{name: cv}", "{name: web}")]);
    let objects = [
        ("sourcerepository", changed("argocd/objects/sourcerepository.yaml", &source)),
        ("manifestpin", changed("argocd/objects/manifestpin.yaml", &pin)),
        ("containerimages", images.split_once("\n---\n").unwrap().0.to_owned()),
    ];
    files.extend(objects.map(|(name, text)| (format!("argocd/mainstay/{name}.yaml"), text)));

    let (tag, _) = operator::publish(&world.lab).await.unwrap();
    for (name, _) in APPLICATIONS {
        let path = format!("argocd/apps/{name}.yaml");
        let mut application = addressed(&path, &url, argocd, world);
        if name == "objects" {
            assert_eq!(application["spec"]["destination"]["namespace"], "builds");
            application["spec"]["destination"]["namespace"] = world.name.as_str().into();
        }
        if let Some(helm) = application.pointer_mut("/spec/source/helm") {
            let mut values: Value = serde_saphyr::from_str(&std::fs::read_to_string(operator::values().unwrap()).unwrap()).unwrap();
            values["crds"] = helm["valuesObject"]["crds"].clone();
            helm["valuesObject"] = values;
            helm["parameters"] = json!([{"name": "image.tag", "value": tag, "forceString": true}]);
        }
        files.push((path, application.to_string()));
    }
    (change, files)
}

/// An Application of `argocd/` that syncs by itself and is removed with the story.
fn addressed(path: &str, url: &str, argocd: &ArgoCd, world: &World) -> Value {
    let mut application: Value = serde_saphyr::from_str(&file(path)).unwrap();
    let of_example = application["spec"]["source"]["repoURL"].as_str().unwrap().starts_with("https://git.example/team/");
    assert!(of_example, "{path}: {application}");
    application["spec"]["source"]["repoURL"] = url.into();
    application["spec"]["destination"]["server"] = argocd.cluster().into();
    application["spec"]["syncPolicy"]["automated"] = json!({});
    application["metadata"]["labels"]["mainstay.dev/story"] = world.name.as_str().into();
    application
}

/// Pushes the folders of this checkout that Argo CD reads, links and all, with `files` over them.
async fn push(world: &World, files: &[(String, String)]) {
    let (lab, checkout, work) = (&world.lab, machine::checkout().unwrap(), tempfile::tempdir().unwrap());
    let forge = lab.forge();
    let url = forge.clone_url(&world.name).replacen("://", &format!("://{}:{}@", forge.user(), forge.token()), 1);
    let repository = work.path().join("repository").display().to_string();
    let git = async |args: &[&str]| {
        let always = ["-C", &repository, "-c", "http.proxy=", "-c", "user.name=story", "-c", "user.email=story@lab.invalid"];
        lab.run("git", &[&always[..], args].concat()).await.unwrap()
    };
    std::fs::create_dir(&repository).unwrap();
    git(&["clone", "--quiet", &url, "."]).await;
    for folder in ["charts", "crds", "argocd"] {
        lab.run("cp", &["-a", &checkout.join(folder).display().to_string(), &repository]).await.unwrap();
    }
    for (path, text) in files {
        let at = Path::new(&repository).join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    }
    git(&["add", "--all"]).await;
    git(&["commit", "--quiet", "--message", "Mainstay by Argo CD"]).await;
    git(&["push", "--quiet", "origin", "HEAD:main"]).await;
}

/// Sets the customizations of `argocd/component` and the health of Applications in `argocd-cm`, or takes them out again.
async fn customize(lab: &Lab, on: bool) {
    let mut config: Value = serde_saphyr::from_str(&file("argocd/component/argocd-cm.yaml")).unwrap();
    if on {
        config["data"]["resource.customizations.health.argoproj.io_Application"] = HEALTH_OF_APPLICATIONS.into();
    } else {
        config["data"] = json!({});
    }
    let args = ["-n", argocd::NAMESPACE, "apply", "--server-side", "--force-conflicts", "--field-manager=story", "-f", "-"];
    lab.run_with("kubectl", &args, &config.to_string()).await.unwrap();
}

/// What Argo CD shows for an object, by its own program.
async fn shown(world: &World, image: &str) -> String {
    let object = world.lab.run("kubectl", &["-n", &world.name, "get", "cimg", image, "-o", "yaml"]).await.unwrap();
    let work = tempfile::tempdir().unwrap();
    let at = work.path().join("object.yaml").display().to_string();
    std::fs::write(&at, object).unwrap();
    let settings = machine::checkout().unwrap().join("argocd/component/argocd-cm.yaml").display().to_string();
    let args = ["admin", "settings", "resource-overrides", "health", &at, "--argocd-cm-path", &settings];
    world.lab.run("argocd", &args).await.unwrap()
}

fn health(status: &Value) -> &str {
    status["health"]["status"].as_str().unwrap_or_default()
}

async fn application(world: &World, name: &str) -> DynamicObject {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
    let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), argocd::NAMESPACE, &resource);
    api.get(name).await.unwrap()
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn argo_cd_installs_it_from_git_and_says_how_builds_are() {
    let (_turn, world) = bare("byargocd").await;
    let (lab, argocd) = (&world.lab, world.lab.argocd().await.unwrap());
    customize(lab, true).await;
    let (change, files) = files(&world, &argocd).await;
    push(&world, &files).await;
    argocd.trust(lab, &world.name).await.unwrap();
    let mut root = addressed("argocd/app-of-apps.yaml", &lab.forge().clone_url(&world.name), &argocd, &world);
    root["metadata"]["name"] = format!("{}-apps", world.name).into();
    argocd.add(&world.name, root).await.unwrap();

    // Wave by wave.
    let objects = APPLICATIONS[2].1;
    for (_, name) in APPLICATIONS {
        let well = |status: &Value| status["sync"]["status"] == "Synced" && health(status) == "Healthy";
        argocd.until(name, "is Synced and Healthy", well).await.unwrap();
    }
    for pair in APPLICATIONS.windows(2) {
        let (before, after) = (application(&world, pair[0].1).await, application(&world, pair[1].1).await);
        // Nothing was to be done where the kinds of an earlier installation are those of this checkout.
        let there = before.metadata.creation_timestamp.unwrap().0.to_string();
        let synced = before.data["status"]["history"][0]["deployedAt"].as_str().map_or(there, str::to_owned);
        let made = after.metadata.creation_timestamp.unwrap().0.to_string();
        assert!(made >= synced, "{} was made at {made}, {} was synced at {synced}", pair[1].1, pair[0].1);
    }
    world.deploy("apps/web").await.unwrap();
    let first = running(&world, &change, NO_IMAGE).await.unwrap();

    // A change of main: what was Healthy is Progressing, and Healthy again.
    let build = build_slowly(&world, "next").await;
    argocd.until(objects, "is Progressing", |status| health(status) == "Progressing").await.unwrap();
    ends_once(&world, &build).await;
    argocd.until(objects, "is Healthy", |status| health(status) == "Healthy").await.unwrap();
    running(&world, &change, &first.tag).await.unwrap();

    // One that does not build, and its repair.
    let path = "containers/web/Dockerfile";
    world.commit("main", &[(path, Some(&dockerfile("1.0", "RUN echo no such thing; exit 7")))]).await.unwrap();
    argocd.until(objects, "is Degraded", |status| health(status) == "Degraded").await.unwrap();
    let said = shown(&world, "web").await;
    for words in ["STATUS: Degraded", "Dockerfile:3", "exit code: 7", "in ImageBuild web-"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let build = build_slowly(&world, "mended").await;
    ends_once(&world, &build).await;
    argocd.until(objects, "is Healthy", |status| health(status) == "Healthy").await.unwrap();

    // It goes as it came; the kinds and the objects stay, and are Helm's to take over.
    world.until::<ContainerImage>("web", "is ready", is_ready).await.unwrap();
    let before = history(&world).await;
    argocd.remove(&world.name).await.unwrap();
    customize(lab, false).await;
    assert_eq!(objects_of_the_operator(lab).await, "");
    assert_eq!(history(&world).await.0, before.0);
    lab.run("kubectl", &["get", "namespace", NAMESPACE]).await.unwrap();
    operator::install(lab, &[]).await.unwrap();
    world.until::<ContainerImage>("web", "is ready", is_ready).await.unwrap();
}
