//! `logs`: what the steps of a build wrote, from its pod while that lasts, else the end that the status keeps.

use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::LogParams;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, ImageBuild};

use crate::cli::{Logs, Step};
use crate::cluster::Cluster;
use crate::failure::{Failure, one_line};
use crate::output::{line, print, remark};
use crate::target::Target;

/// How often one looks whether a step has begun.
const LOOK: Duration = Duration::from_millis(500);

/// Shows the log.
pub(crate) async fn logs(cluster: &Cluster, asked: &Logs) -> Result<(), Failure> {
    let name = resolve(cluster, asked).await?;
    if asked.previous {
        remark(&format!("--- {name} ---"));
    }
    let steps = asked.step.map_or_else(|| Step::ALL.to_vec(), |step| vec![step]);
    let mut shown = 0_usize;
    for step in &steps {
        match stand(cluster, &name, *step, asked.follow).await? {
            Stand::Open(pod) => {
                if steps.len() > 1 {
                    remark(&format!("--- {} ---", step.container()));
                }
                if stream(cluster, &pod, *step, asked.follow).await? {
                    shown += 1;
                } else {
                    // It went away between the look and the question.
                    return tail(&cluster.get(&name).await?, asked.step);
                }
            }
            Stand::NotBegun(why) if shown == 0 => {
                return Err(Failure::Failed(format!("step {} of {name} has not begun: {why}; wait for it with -f", step.container())));
            }
            Stand::NotBegun(_) => break,
            Stand::Skipped => {}
            Stand::Gone(build) => return if shown == 0 { tail(&build, asked.step) } else { Ok(()) },
        }
    }
    if shown == 0 { Err(Failure::Failed(format!("no step of {name} has written a log"))) } else { Ok(()) }
}

/// The ImageBuild of that name, or the newest of the image of that name; or the one before it.
async fn resolve(cluster: &Cluster, asked: &Logs) -> Result<String, Failure> {
    let (image, name) = match Target::parse(&asked.target)? {
        Target::Image(name) => (true, name),
        Target::Build(name) => (false, name),
        Target::Pin(_) | Target::Source(_) => {
            return Err(Failure::Usage(format!("{}: write the NAME of a ContainerImage or of an ImageBuild", asked.target)));
        }
    };
    let builds: Vec<ImageBuild> = cluster.list(false).await?;
    let of_image = newest(&builds, &name).filter(|_| image);
    let of_build = builds.iter().find(|build| build.name_any() == name && (!image || !asked.target.contains('/')));
    match of_image.or(of_build) {
        Some(build) if asked.previous => match previous(&builds, build) {
            Some(before) => Ok(before.name_any()),
            None => Err(Failure::Failed(format!("there is no build of {} before {}", build.spec.image, build.name_any()))),
        },
        Some(build) => Ok(build.name_any()),
        None if image && cluster.find::<ContainerImage>(&name).await?.is_some() => {
            Err(Failure::Failed(format!("ContainerImage {name} has no build: kubectl mainstay why {name}")))
        }
        None => Err(cluster.unknown_target(&name, &builds).await?),
    }
}

/// Order of builds: as they were made.
fn made(build: &ImageBuild) -> (Option<Time>, String) {
    (build.metadata.creation_timestamp.clone(), build.name_any())
}

/// The build of an image that was made last.
fn newest<'a>(builds: &'a [ImageBuild], image: &str) -> Option<&'a ImageBuild> {
    builds.iter().filter(|build| build.spec.image == image).max_by_key(|build| made(build))
}

/// The build of the same image and variant that was made before this one.
fn previous<'a>(builds: &'a [ImageBuild], this: &ImageBuild) -> Option<&'a ImageBuild> {
    let variant = |build: &ImageBuild| build.status.as_ref().and_then(|status| status.variant).or(build.spec.variant);
    let alike = |build: &&ImageBuild| build.spec.image == this.spec.image && variant(build) == variant(this);
    builds.iter().filter(alike).filter(|build| made(build) < made(this)).max_by_key(|build| made(build))
}

/// How a step stands.
#[derive(Debug)]
enum Stand {
    /// It has begun, in this pod.
    Open(String),
    /// It has not, and why.
    NotBegun(String),
    /// It never will: an earlier one failed.
    Skipped,
    /// The pod is gone.
    Gone(Box<ImageBuild>),
}

async fn stand(cluster: &Cluster, name: &str, step: Step, wait: bool) -> Result<Stand, Failure> {
    let mut said = String::new();
    loop {
        let build: ImageBuild = cluster.get(name).await?;
        let status = build.status.clone().unwrap_or_default();
        let ended = status.completed_at.is_some();
        let pod: Option<Pod> = match &status.pod {
            Some(pod) => cluster.find(pod).await?,
            None => None,
        };
        let why = condition::find(&status.conditions, "Succeeded").map_or_else(
            || "the operator has not looked at it yet".to_owned(),
            |said| one_line(&format!("{}: {}", said.reason, said.message)),
        );
        match (pod.as_ref().map(|pod| (pod.name_any(), has_begun(pod, step))), ended) {
            (Some((pod, true)), _) => return Ok(Stand::Open(pod)),
            (Some((_, false)), true) => return Ok(Stand::Skipped),
            (None, true) => return Ok(Stand::Gone(Box::new(build))),
            (_, false) if !wait => return Ok(Stand::NotBegun(why)),
            (_, false) => {}
        }
        if said != why {
            remark(&format!("waiting for step {}: {why}", step.container()));
            said = why;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a step of a pod runs or has run.
fn has_begun(pod: &Pod, step: Step) -> bool {
    let status = pod.status.as_ref();
    let lists = [status.and_then(|s| s.init_container_statuses.as_ref()), status.and_then(|s| s.container_statuses.as_ref())];
    let begun = |one: &ContainerStatus| one.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    lists.into_iter().flatten().flatten().any(|one| one.name == step.container() && begun(one))
}

/// Writes what a step wrote; `false` where the pod went away meanwhile.
async fn stream(cluster: &Cluster, pod: &str, step: Step, follow: bool) -> Result<bool, Failure> {
    let params = LogParams { container: Some(step.container().to_owned()), follow, ..LogParams::default() };
    let api = cluster.api::<Pod>();
    let log = match cluster.ask(api.log_stream(pod, &params)).await {
        Ok(log) => log,
        Err(Failure::NotFound(_)) => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let mut lines = std::pin::pin!(log.lines());
    while let Some(text) = lines.try_next().await.map_err(|error| Failure::Cluster(format!("the log broke off: {error}")))? {
        line(&text)?;
    }
    Ok(true)
}

/// What is left of the log of a build whose pod is gone.
fn tail(build: &ImageBuild, step: Option<Step>) -> Result<(), Failure> {
    let name = build.name_any();
    let kept = build.status.as_ref().and_then(|status| status.log_tail.as_deref()).filter(|tail| !tail.trim().is_empty());
    match kept {
        Some(tail) => {
            let asked = step.map_or_else(String::new, |step| format!(" (of step {} there is nothing apart)", step.container()));
            remark(&format!("the pod of {name} is gone: these are the last lines of its log, from its status{asked}"));
            print(&format!("{}\n", tail.trim_end()))
        }
        None => {
            let said = build.status.as_ref().and_then(|status| condition::find(&status.conditions, "Succeeded"));
            let said = said.map(|said| one_line(&format!("; it ended with {}: {}", said.reason, said.message))).unwrap_or_default();
            Err(Failure::Failed(format!("the pod of {name} is gone, and its status keeps no log{said}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_build_of_an_image_is_meant() {
        let build = |name: &str, image: &str, at: &str| -> ImageBuild {
            serde_saphyr::from_str(&format!(
                "{{apiVersion: a, kind: b, metadata: {{name: {name}, creationTimestamp: '2026-11-24T12:00:{at}Z'}}, spec: {{image: {image}, ref: x}}}}"
            ))
            .unwrap()
        };
        let all = [build("cv-a", "cv", "01"), build("cv-b", "cv", "09"), build("web-a", "web", "30")];
        assert_eq!(newest(&all, "cv").map(ResourceExt::name_any).as_deref(), Some("cv-b"));
        assert!(newest(&all, "nosuch").is_none());
        assert_eq!(previous(&all, &all[1]).map(ResourceExt::name_any).as_deref(), Some("cv-a"));
        assert!(previous(&all, &all[0]).is_none() && previous(&all, &all[2]).is_none());
    }

    #[test]
    fn a_step_has_begun_where_its_container_runs_or_has_run() {
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {name: a}, status: {initContainerStatuses: [\
             {name: source, image: i, imageID: j, ready: true, restartCount: 0, state: {terminated: {exitCode: 0}}}, \
             {name: build, image: i, imageID: j, ready: false, restartCount: 0, state: {running: {}}}], \
             containerStatuses: [{name: push, image: i, imageID: j, ready: false, restartCount: 0, state: {waiting: {}}}]}}",
        )
        .unwrap();
        assert_eq!(Step::ALL.map(|step| has_begun(&pod, step)), [true, true, false]);
    }
}
