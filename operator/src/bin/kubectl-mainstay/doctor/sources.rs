//! Whether Git and the registries answer, as the operator found with the Secrets that it alone reads. Pure.

use kube::ResourceExt;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, SourceRepository};

use super::Check;
use crate::why;

/// The SourceRepositories of the namespace, and the registry of each.
pub(super) fn sources(sources: &[SourceRepository], images: &[ContainerImage], namespace: &str) -> Vec<Check> {
    if sources.is_empty() {
        let text = format!("namespace {namespace} has no SourceRepository");
        return vec![Check::warn("source", text, "kubectl mainstay init writes one; is it another namespace (-n)?")];
    }
    let only = sources.len() == 1;
    sources.iter().flat_map(|source| [git(source), registry(source, images, only)]).collect()
}

fn git(source: &SourceRepository) -> Check {
    Check::of(format!("git of {}", source.name_any()), why::commit(Some(source), None))
}

/// The operator asks the registry for the images of a source: what it says of them is what is known.
fn registry(source: &SourceRepository, images: &[ContainerImage], only: bool) -> Check {
    let (name, prefix) = (format!("registry of {}", source.name_any()), &source.spec.registry.prefix);
    let of_this = |image: &&ContainerImage| {
        let named = image.spec.source_ref.as_ref().map(|source| source.name.clone());
        let resolved = || image.status.as_ref().and_then(|status| status.resolved.as_ref()).map(|resolved| resolved.source.clone());
        named.or_else(resolved).map_or(only, |named| named == source.name_any())
    };
    let mine: Vec<&ContainerImage> = images.iter().filter(of_this).collect();
    let at_fault = mine.iter().find_map(|image| {
        let said = condition::find(&image.status.as_ref()?.conditions, "Ready")?;
        let registry = said.reason.starts_with("Registry") || said.reason.starts_with("Secret");
        (registry && said.status == "False").then(|| format!("{}: {}: {}", image.name_any(), said.reason, said.message))
    });
    let listed = mine.iter().filter(|image| image.status.as_ref().is_some_and(|status| status.tags.is_some())).count();
    match (at_fault, listed) {
        (Some(text), _) => Check::problem(name, text, "mend what the message names; whether it serves is looked at again by itself"),
        (None, 0) => Check::warn(
            name,
            format!("{prefix} has not been asked for the tags of an image yet"),
            "wait for the first ContainerImage, and look again",
        ),
        (None, listed) => Check::ok(name, format!("{prefix} answers: the tags of {listed} images are known")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn source(reason: &str) -> SourceRepository {
        let status = if reason == "Fetched" { "True" } else { "False" };
        serde_saphyr::from_str(&format!(
            "{{apiVersion: a, kind: b, metadata: {{name: ops}}, spec: {{url: 'https://g/x', registry: {{prefix: r/t}}}}, status: {{head: '3333333000', \
             conditions: [{{type: Ready, status: '{status}', reason: {reason}, message: m, lastTransitionTime: '2026-11-24T12:00:00Z'}}]}}}}"
        ))
        .unwrap()
    }

    fn image(status: &str) -> ContainerImage {
        serde_saphyr::from_str(&format!("{{apiVersion: a, kind: b, metadata: {{name: cv}}, spec: {{}}, status: {status}}}")).unwrap()
    }

    #[test]
    fn git_is_as_the_condition_of_its_source_says() {
        let of = |reason: &str| sources(&[source(reason)], &[], "n").remove(0);
        assert_eq!((of("Fetched").grade, of("Fetched").name.as_str()), (Grade::Ok, "git of ops"));
        let refused = of("AuthenticationFailed");
        assert!(refused.grade == Grade::Problem && refused.text == "AuthenticationFailed: m" && refused.todo.is_some(), "{refused:?}");
        assert_eq!(sources(&[], &[], "n")[0].grade, Grade::Warn);
    }

    #[test]
    fn the_registry_is_as_its_images_say() {
        let of = |status: &str| sources(&[source("Fetched")], &[image(status)], "n").remove(1);
        assert_eq!(of("{tags: {main: 1, branch: 0, unknown: 0, foreign: 0, newest: []}}").grade, Grade::Ok);
        assert_eq!(of("{}").grade, Grade::Warn);
        let refused = of(
            "{conditions: [{type: Ready, status: 'False', reason: RegistryUnauthorized, message: m, lastTransitionTime: '2026-11-24T12:00:00Z'}]}",
        );
        assert!(refused.grade == Grade::Problem && refused.text == "cv: RegistryUnauthorized: m", "{refused:?}");
    }
}
