//! `build`: an ImageBuild made by hand, and how it goes.

use kube::ResourceExt;
use kube::api::ObjectMeta;
use mainstay::domain::build::short;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, ImageBuild, ImageBuildSpec, SourceRepository, Variant};

use crate::cli;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::follow::{News, until};
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

/// One more build of what an ended one was to build: the very commit, where it was resolved. Its name counts on from the first attempt's.
pub(crate) fn again(of: &ImageBuild, there: &[ImageBuild]) -> ImageBuild {
    let name = of.name_any();
    let numbered = name.rsplit_once('-').filter(|(_, number)| number.len() < 4 && number.parse::<u32>().is_ok_and(|number| number > 1));
    let first = numbered.map_or(name.as_str(), |(first, _)| first);
    let taken = |name: &str| there.iter().any(|build| build.name_any() == name);
    let free = (2..u32::MAX).map(|number| format!("{first}-{number}")).find(|name| !taken(name));
    let status = of.status.clone().unwrap_or_default();
    let reference = of.spec.reference.clone().filter(|_| status.commit.is_none());
    ImageBuild {
        metadata: ObjectMeta { name: free, ..ObjectMeta::default() },
        spec: ImageBuildSpec {
            commit: status.commit.or_else(|| of.spec.commit.clone()),
            reference,
            variant: status.variant.or(of.spec.variant),
            image: of.spec.image.clone(),
            cancel: None,
        },
        status: None,
    }
}

/// What of a branch can be part of a name.
fn word(reference: &str) -> String {
    let clean: String = reference.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(WORD).collect();
    clean.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
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
pub(crate) async fn follow(cluster: &Cluster, name: &str) -> Result<(), Failure> {
    let mut news = News::default();
    let image = until(cluster, name, |build: &ImageBuild| {
        let status = build.status.as_ref()?;
        if let Some(news) = news.of(&status.conditions, "Succeeded") {
            remark(&news);
        }
        end(build).map(|ended| {
            ended.map_err(|text| {
                if let Some(tail) = &status.log_tail {
                    remark(tail.trim_end());
                }
                Failure::Failed(text)
            })
        })
    });
    line(&image.await?)
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
    fn another_attempt_is_of_the_same_commit_and_has_the_next_name() {
        let first = build(&format!("{{commit: {COMMIT}, variant: nix}}"));
        let second = again(&first, std::slice::from_ref(&first));
        assert_eq!((second.name_any().as_str(), second.spec.commit.as_deref(), &second.spec.reference), ("cv-x-2", Some(COMMIT), &None));
        assert_eq!((second.spec.variant, second.spec.image.as_str()), (Some(Variant::Nix), "cv"));
        let third = again(&second, &[first.clone(), second.clone()]);
        assert_eq!(third.name_any(), "cv-x-3");
        let unresolved = again(&build("{}"), &[]);
        assert_eq!((unresolved.spec.commit, unresolved.spec.reference.as_deref()), (None, Some("x")));
        let digits = ImageBuild { metadata: ObjectMeta { name: Some("cv-0123456".into()), ..ObjectMeta::default() }, ..first };
        assert_eq!(again(&digits, &[]).name_any(), "cv-0123456-2", "seven digits are a commit, and count nothing");
    }

    #[test]
    fn the_end_is_told_with_its_image_or_its_reason() {
        let condition = |status: &str, reason: &str| {
            format!(
                "conditions: [{{type: Succeeded, status: '{status}', reason: {reason}, message: m, lastTransitionTime: '2026-11-24T12:00:00Z'}}]"
            )
        };
        let running = build(&format!("{{{}}}", condition("Unknown", "Building")));
        assert_eq!(end(&running), None);
        let done = format!(
            "{{{}, completedAt: '2026-11-24T12:00:00Z', duration: 7s, image: r/cv, tag: v1-3b9e0d1, digest: 'sha256:ab'}}",
            condition("True", "Pushed")
        );
        assert_eq!(end(&build(&done)), Some(Ok("r/cv:v1-3b9e0d1@sha256:ab in 7s".into())));
        let failed = format!("{{{}, completedAt: '2026-11-24T12:00:00Z'}}", condition("False", "OOMKilled"));
        assert_eq!(end(&build(&failed)), Some(Err("ImageBuild cv-x failed: OOMKilled".into())));
    }
}
