//! What the stories about coming and going of the operator share.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::ListParams;
use mainstay_crds::{ContainerImage, ImageBuild};
use mainstay_e2e::lab::Lab;
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use tokio::sync::{Mutex, MutexGuard};

use super::{ended, succeeded, world};

/// There is one release in the cluster: these stories take turns.
static RELEASE: Mutex<()> = Mutex::const_new(());

/// The turn of a story.
pub type Turn = MutexGuard<'static, ()>;

/// Waits for the turn of a story.
pub async fn turn() -> Turn {
    RELEASE.lock().await
}

/// A story's world in a cluster that has the kinds and no operator, whatever the story before has left.
pub async fn bare(story: &str) -> (Turn, World) {
    let turn = turn().await;
    let world = world(story).await.unwrap();
    operator::install(&world.lab, &[]).await.unwrap();
    operator::uninstall(&world.lab).await.unwrap();
    assert_eq!(objects_of_the_operator(&world.lab).await, "", "nothing is left of it");
    (turn, world)
}

/// What the operator runs with, without the kinds.
pub async fn objects_of_the_operator(lab: &Lab) -> String {
    let kinds = "deployments,configmaps,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings";
    lab.run("kubectl", &["get", kinds, "-A", "-l", "app.kubernetes.io/instance=mainstay", "-o", "name"]).await.unwrap()
}

/// A build that is at its build step.
pub struct Running {
    name: String,
    commit: String,
    job: String,
}

/// Commits a change of the container `web` that takes ten seconds to build, and waits until that has begun. `words` tell one from another.
pub async fn build_slowly(world: &World, words: &str) -> Running {
    let text = dockerfile("1.0", &format!("COPY words /words\nRUN sleep 10; echo {words}\nCMD [\"sleep\", \"3600\"]"));
    let commit = world.commit("main", &[("containers/web/Dockerfile", Some(&text))]).await.unwrap();
    let of_commit = |image: &ContainerImage| {
        let variant = image.status.as_ref()?.variants.first()?.clone();
        (variant.reason == "Building").then_some(variant.build).flatten().filter(|name| name.contains(&commit[..7]))
    };
    let image: ContainerImage = world.until("web", "is built", |image| of_commit(image).is_some()).await.unwrap();
    let name = of_commit(&image).unwrap();
    let build: ImageBuild = world.until(&name, "is at its build step", |build| succeeded(build).1 == "Building").await.unwrap();
    let job = build.status.unwrap().job.unwrap().uid;
    Running { name, commit, job }
}

/// Waits until that build has ended well, and looks whether anything was done twice.
pub async fn ends_once(world: &World, running: &Running) {
    let build: ImageBuild = world.until(&running.name, "has ended", ended).await.unwrap();
    assert_eq!(succeeded(&build).0, "True", "{:?}", succeeded(&build));
    assert_eq!(build.status.unwrap().job.unwrap().uid, running.job, "by the Job that ran all the time");
    let builds = world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap();
    assert_eq!(builds.iter().filter(|build| build.name_any().contains(&running.commit[..7])).count(), 1);
    let jobs = world.api::<Job>().list(&ListParams::default()).await.unwrap();
    assert_eq!(jobs.iter().filter(|job| job.name_any().contains(&running.commit[..7])).count(), 1);
}

/// What must not change while the operator is away or comes back: builds, and commits of main.
pub async fn history(world: &World) -> (Vec<String>, String) {
    let builds = world.api::<ImageBuild>().list(&ListParams::default()).await.unwrap();
    let head = world.lab.forge().head(&world.name, "main").await.unwrap();
    (builds.iter().map(|build| build.uid().unwrap()).collect(), head)
}
