//! `build`: an ImageBuild made by hand, and how it goes.

use futures::StreamExt;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use mainstay::domain::build::short;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, ImageBuild, ImageBuildSpec, SourceRepository, Variant};

use crate::cli;
use crate::cluster::Cluster;
use crate::failure::{Failure, one_line};
use crate::output::{line, remark};

/// Longest part of a name that comes from a branch.
const WORD: usize = 20;

/// Makes the ImageBuild, and follows it where that is asked for.
pub(crate) async fn build(cluster: &Cluster, asked: &cli::Build) -> Result<(), Failure> {
    let image: ContainerImage = cluster.get(&asked.image).await?;
    let reference = match &asked.r#ref {
        Some(reference) => reference.clone(),
        None => head(cluster, &image).await?,
    };
    let made = cluster.create(&object(&asked.image, &reference, asked.variant)).await?;
    line(&format!("imagebuild.mainstay.dev/{} created", made.name_any()))?;
    if asked.follow {
        return follow(cluster, &made.name_any()).await;
    }
    remark(&format!("follow it: kubectl mainstay logs {} -f", made.name_any()));
    Ok(())
}

/// Main's newest commit.
async fn head(cluster: &Cluster, image: &ContainerImage) -> Result<String, Failure> {
    let named = image.spec.source_ref.as_ref().map(|source| source.name.clone());
    let resolved = image.status.as_ref().and_then(|status| status.resolved.as_ref()).map(|resolved| resolved.source.clone());
    let Some(name) = named.or(resolved) else {
        return Err(Failure::Failed(format!(
            "ContainerImage {} has no SourceRepository yet: kubectl mainstay why {}",
            image.name_any(),
            image.name_any()
        )));
    };
    let source: SourceRepository = cluster.get(&name).await?;
    source.status.and_then(|status| status.head).ok_or_else(|| {
        Failure::Failed(format!("SourceRepository {name} has not been fetched yet: wait, or name a branch or commit with --ref"))
    })
}

/// The ImageBuild for a branch or commit. The API server completes its name.
fn object(image: &str, reference: &str, variant: Option<Variant>) -> ImageBuild {
    let is_commit = reference.len() == 40 && reference.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let word = if is_commit { short(reference).to_owned() } else { word(reference) };
    let (reference, commit) = if is_commit { (None, Some(reference.to_owned())) } else { (Some(reference.to_owned()), None) };
    ImageBuild {
        metadata: ObjectMeta { generate_name: Some(format!("{image}-{word}-").replace("--", "-")), ..ObjectMeta::default() },
        spec: ImageBuildSpec { image: image.to_owned(), reference, commit, variant, cancel: None },
        status: None,
    }
}

/// What of a branch can be part of a name.
fn word(reference: &str) -> String {
    let clean: String = reference.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(WORD).collect();
    clean.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// What is said of a build: a line for each new reason or message, and how it ends.
#[derive(Debug, Default)]
struct Progress {
    said: String,
}

impl Progress {
    /// A line for the person, where there is something new.
    fn news(&mut self, build: &ImageBuild) -> Option<String> {
        let said = condition::find(&build.status.as_ref()?.conditions, "Succeeded")?;
        let text = one_line(&format!("{}: {}", said.reason, said.message));
        (text != self.said).then(|| {
            self.said.clone_from(&text);
            text
        })
    }
}

/// How a build ended; `None` while it goes on.
fn end(build: &ImageBuild) -> Option<Result<String, String>> {
    let status = build.status.as_ref().filter(|status| status.completed_at.is_some())?;
    let took = status.duration.as_deref().map_or_else(String::new, |took| format!(" in {took}"));
    let reference = format!("{}:{}", status.image.as_deref().unwrap_or_default(), status.tag.as_deref().unwrap_or_default());
    if condition::is_true(&status.conditions, "Succeeded") {
        return Some(Ok(format!("{reference}@{}{took}", status.digest.as_deref().unwrap_or_default())));
    }
    let reason = condition::find(&status.conditions, "Succeeded").map_or("it failed", |said| &said.reason);
    Some(Err(format!("ImageBuild {} failed{took}: {reason}", build.name_any())))
}

/// Says how a build goes until it has ended.
async fn follow(cluster: &Cluster, name: &str) -> Result<(), Failure> {
    let mut changes = watch_object(cluster.api::<ImageBuild>(), name).default_backoff().boxed();
    let mut progress = Progress::default();
    while let Some(change) = changes.next().await {
        let build = match change {
            Ok(Some(build)) => build,
            Ok(None) => return Err(Failure::Failed(format!("ImageBuild {name} was deleted"))),
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) => {
                let failure = Failure::of(error, &cluster.url);
                remark(&format!("{failure}; trying again"));
                continue;
            }
            Err(error) => {
                remark(&format!("{}; trying again", one_line(&error.to_string())));
                continue;
            }
        };
        if let Some(news) = progress.news(&build) {
            remark(&news);
        }
        match end(&build) {
            None => {}
            Some(Ok(text)) => return line(&text),
            Some(Err(text)) => {
                if let Some(tail) = build.status.as_ref().and_then(|status| status.log_tail.as_ref()) {
                    remark(tail.trim_end());
                }
                return Err(Failure::Failed(text));
            }
        }
    }
    Err(Failure::Cluster(format!("the watch of ImageBuild {name} has ended: kubectl get ibuild {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887";

    fn build(status: &str) -> ImageBuild {
        let text = format!("{{apiVersion: a, kind: b, metadata: {{name: cv-x}}, spec: {{image: cv, ref: x}}, status: {status}}}");
        serde_saphyr::from_str(&text).unwrap()
    }

    #[test]
    fn a_commit_is_a_commit_and_the_rest_is_a_ref() {
        let made = object("cv", COMMIT, None);
        assert_eq!((made.spec.commit.as_deref(), made.spec.reference.as_deref()), (Some(COMMIT), None));
        assert_eq!(made.metadata.generate_name.as_deref(), Some("cv-3b9e0d1-"));
        let made = object("cv", "feature/My_Branch.of-somebody-else", Some(Variant::Nix));
        assert_eq!((made.spec.commit, made.spec.variant), (None, Some(Variant::Nix)));
        assert_eq!(made.metadata.generate_name.as_deref(), Some("cv-feature-my-branch-of-"));
        assert_eq!(object("cv", "__", None).metadata.generate_name.as_deref(), Some("cv-"));
    }

    #[test]
    fn each_change_is_told_once_and_so_is_the_end() {
        let condition = |status: &str, reason: &str| {
            format!(
                "conditions: [{{type: Succeeded, status: '{status}', reason: {reason}, message: m, lastTransitionTime: '2026-11-24T12:00:00Z'}}]"
            )
        };
        let running = build(&format!("{{{}}}", condition("Unknown", "Building")));
        let mut progress = Progress::default();
        assert_eq!(progress.news(&running).as_deref(), Some("Building: m"));
        assert_eq!((progress.news(&running), end(&running)), (None, None));
        let done = format!(
            "{{{}, completedAt: '2026-11-24T12:00:00Z', duration: 7s, image: r/cv, tag: v1-3b9e0d1, digest: 'sha256:ab'}}",
            condition("True", "Pushed")
        );
        assert_eq!(end(&build(&done)), Some(Ok("r/cv:v1-3b9e0d1@sha256:ab in 7s".into())));
        let failed = format!("{{{}, completedAt: '2026-11-24T12:00:00Z'}}", condition("False", "OOMKilled"));
        assert_eq!(end(&build(&failed)), Some(Err("ImageBuild cv-x failed: OOMKilled".into())));
    }
}
