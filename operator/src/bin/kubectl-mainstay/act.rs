//! The commands that change a field or an annotation. What is done about it is the operator's.

use std::time::{SystemTime, UNIX_EPOCH};

use kube::ResourceExt;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, SourceRepository, names};
use serde_json::json;

use crate::cluster::{Cluster, Kind};
use crate::failure::Failure;
use crate::output::line;
use crate::show::pick;
use crate::target::Target;

/// A value that no annotation had before.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    k8s_openapi::jiff::Timestamp::try_from(UNIX_EPOCH + since).map_or_else(|_| since.as_nanos().to_string(), |at| at.to_string())
}

/// Says what was done, as kubectl does.
fn told<K: Kind>(name: &str, what: &str) -> Result<(), Failure> {
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
    }
}

/// `rebuild`.
pub(crate) async fn rebuild(cluster: &Cluster, image: &str) -> Result<(), Failure> {
    cluster.annotate::<ContainerImage>(image, names::REBUILD_AT, &now()).await?;
    told::<ContainerImage>(image, "gets one more attempt at what is missing or failed")
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

/// `pin resume`.
pub(crate) async fn lift(cluster: &Cluster, name: Option<&str>) -> Result<(), Failure> {
    let pin = pick(cluster, name).await?.name_any();
    cluster.annotate::<ManifestPin>(&pin, names::RESUME_AT, &now()).await?;
    told::<ManifestPin>(&pin, "follows main again where people put it back")
}
