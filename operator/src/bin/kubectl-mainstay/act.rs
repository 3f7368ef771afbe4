//! The commands that change a field or an annotation, or ask for one more build. What is done about it is the operator's.

use std::time::{SystemTime, UNIX_EPOCH};

use kube::ResourceExt;
use mainstay::domain::build::is_running;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, SourceRepository, names};
use serde_json::json;

use crate::build::again;
use crate::cluster::{Cluster, Kind};
use crate::failure::Failure;
use crate::output::line;
use crate::target::Target;

/// A value that no annotation had before.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    k8s_openapi::jiff::Timestamp::try_from(UNIX_EPOCH + since).map_or_else(|_| since.as_nanos().to_string(), |at| at.to_string())
}

/// Says what was done, as kubectl does.
pub(crate) fn told<K: Kind>(name: &str, what: &str) -> Result<(), Failure> {
    line(&format!("{}.mainstay.dev/{name} {what}", K::kind(&()).to_lowercase()))
}

/// `reconcile`.
pub(crate) async fn reconcile(cluster: &Cluster, target: &str) -> Result<(), Failure> {
    async fn ask<K: Kind>(cluster: &Cluster, name: &str) -> Result<(), Failure> {
        cluster.annotate::<K>(name, names::RECONCILE_AT, &now()).await?;
        told::<K>(name, "is looked at now")
    }
    match Target::parse(target)? {
        Target::Image(name) => ask::<ContainerImage>(cluster, &name).await,
        Target::Pin(name) => ask::<ManifestPin>(cluster, &name).await,
        Target::Source(name) => ask::<SourceRepository>(cluster, &name).await,
        Target::Build(name) => ask::<ImageBuild>(cluster, &name).await,
    }
}

/// `suspend` and `resume`.
pub(crate) async fn suspend(cluster: &Cluster, target: &str, suspend: bool) -> Result<(), Failure> {
    async fn set<K: Kind>(cluster: &Cluster, name: &str, suspend: bool) -> Result<(), Failure> {
        // Taken away and not set to false: a manifest without the field then differs in nothing.
        let value = if suspend { json!(true) } else { json!(null) };
        cluster.merge::<K>(name, &json!({"spec": {"suspend": value}})).await?;
        told::<K>(name, if suspend { "suspended" } else { "resumed" })
    }
    match Target::parse(target)? {
        Target::Image(name) => set::<ContainerImage>(cluster, &name, suspend).await,
        Target::Pin(name) => set::<ManifestPin>(cluster, &name, suspend).await,
        Target::Source(name) => set::<SourceRepository>(cluster, &name, suspend).await,
        Target::Build(name) => Err(Failure::Usage(format!("a build is not suspended but ended: kubectl mainstay cancel {name}"))),
    }
}

/// `retry`: of an image by its annotation, of a build by another that asks for the same.
pub(crate) async fn retry(cluster: &Cluster, target: &str) -> Result<(), Failure> {
    match Target::parse(target)? {
        Target::Image(name) if target.contains('/') || cluster.find::<ContainerImage>(&name).await?.is_some() => {
            cluster.annotate::<ContainerImage>(&name, names::REBUILD_AT, &now()).await?;
            told::<ContainerImage>(&name, "gets one more attempt at what is missing or failed")
        }
        Target::Image(name) | Target::Build(name) => {
            let builds: Vec<ImageBuild> = cluster.list(false).await?;
            let Some(build) = builds.iter().find(|build| build.name_any() == name) else {
                return Err(cluster.unknown_target(&name, &builds).await?);
            };
            if is_running(build) {
                return Err(Failure::Failed(format!("ImageBuild {name} has not ended: kubectl mainstay cancel {name} ends it")));
            }
            if condition::is_true(&build.status.clone().unwrap_or_default().conditions, "Succeeded") {
                return Err(Failure::Failed(format!("ImageBuild {name} has succeeded: a tag is never made twice")));
            }
            told::<ImageBuild>(&cluster.create(&again(build, &builds)).await?.name_any(), "created")
        }
        Target::Pin(name) => Err(Failure::Usage(format!("a pin has no attempts: kubectl mainstay pin sync {name}"))),
        Target::Source(name) => Err(Failure::Usage(format!("a source has no attempts: kubectl mainstay reconcile source/{name}"))),
    }
}

/// `cancel`.
pub(crate) async fn cancel(cluster: &Cluster, name: &str) -> Result<(), Failure> {
    let build: ImageBuild = cluster.get(name).await?;
    let status = build.status.clone().unwrap_or_default();
    if status.completed_at.is_some() {
        let reason = condition::find(&status.conditions, "Succeeded").map(|said| said.reason.clone()).unwrap_or_default();
        return Err(Failure::Failed(format!("ImageBuild {name} has ended already: {reason}")));
    }
    cluster.merge::<ImageBuild>(name, &json!({"spec": {"cancel": true}})).await?;
    told::<ImageBuild>(name, "is cancelled")
}
