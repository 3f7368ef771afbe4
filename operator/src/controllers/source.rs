//! How a ContainerImage finds its SourceRepository, and the values in force for it (design section 3: `spec: {}` is a full object).

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use mainstay_crds::{ContainerImage, LocalReference, Reason, ResolvedImage, SourceRepository};

use super::context::Context;
use super::problem::Problem;
use crate::domain::condition::find;

/// Where containers live unless `spec.containersPath` says otherwise.
pub const CONTAINERS: &str = "containers";

/// How long to wait for a SourceRepository to appear.
const SOON: Duration = Duration::from_secs(5);

/// How long to wait for a first fetch.
const FETCHING: Duration = Duration::from_secs(2);

/// How long to wait for a SourceRepository that has a problem of its own.
const LATER: Duration = Duration::from_secs(30);

/// The SourceRepository that `spec.sourceRef` names, or the only one of the namespace.
///
/// # Errors
/// Where there is none, or more than one to choose from.
pub fn of(image: &ContainerImage, ctx: &Context) -> Result<Arc<SourceRepository>, Problem> {
    named(&image.namespace().unwrap_or_default(), image.spec.source_ref.as_ref(), ctx)
}

/// The SourceRepository that a `spec.sourceRef` names, or the only one of the namespace.
///
/// # Errors
/// Where there is none, or more than one to choose from.
pub fn named(namespace: &str, reference: Option<&LocalReference>, ctx: &Context) -> Result<Arc<SourceRepository>, Problem> {
    let mut all = ctx.repositories.state_filter(|repository| repository.namespace().as_deref() == Some(namespace));
    if let Some(reference) = reference {
        let found = all.into_iter().find(|repository| repository.name_any() == reference.name);
        return found.ok_or_else(|| {
            let text = format!(
                "SourceRepository {} (spec.sourceRef) does not exist in namespace {namespace}: create it or change spec.sourceRef",
                reference.name
            );
            Problem::stuck(Reason::SourceNotFound, text).again_in(SOON)
        });
    }
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            let text = format!("there is no SourceRepository in namespace {namespace}: create one, or name one in spec.sourceRef");
            Err(Problem::stuck(Reason::SourceNotFound, text).again_in(SOON))
        }
        (Some(_), false) => {
            let text = format!("there are {} SourceRepositories in namespace {namespace}: name one in spec.sourceRef", all.len() + 1);
            Err(Problem::stuck(Reason::SourceAmbiguous, text).again_in(SOON))
        }
    }
}

/// Main's head as the SourceRepository last reported it. One that has a problem of its own is waited for: its next status is looked at at
/// once anyway.
///
/// # Errors
/// Where it has not been fetched.
pub fn head(repository: &SourceRepository) -> Result<String, Problem> {
    let status = repository.status.as_ref();
    let ready = status.and_then(|s| find(&s.conditions, "Ready"));
    match (status.and_then(|s| s.head.clone()), ready) {
        (Some(head), _) => Ok(head),
        (None, Some(ready)) if ready.status == "False" => {
            let text = format!("SourceRepository {}: {}: {}", repository.name_any(), ready.reason, ready.message);
            Err(Problem::retrying(Reason::SourceUnavailable, text).again_in(LATER))
        }
        (None, _) => Err(Problem::waiting(
            Reason::SourceUnavailable,
            format!("SourceRepository {} has not fetched main yet", repository.name_any()),
            FETCHING,
        )),
    }
}

/// The values in force: what the spec leaves out is computed, and shown in `status.resolved`.
pub fn resolve(image: &ContainerImage, repository: &SourceRepository) -> ResolvedImage {
    let containers = repository.spec.containers_path.as_deref().unwrap_or(CONTAINERS);
    let path = image.spec.path.clone().unwrap_or_else(|| format!("{containers}/{}", image.name_any()));
    let directory = path.rsplit('/').next().unwrap_or(&path);
    let target = image.spec.image.clone().unwrap_or_else(|| format!("{}/{directory}", repository.spec.registry.prefix));
    ResolvedImage { source: repository.name_any(), path, image: target }
}

/// The name of a repository's clone: its UID, so that a new object of the same name begins anew.
pub fn clone_key(repository: &SourceRepository) -> String {
    repository.uid().unwrap_or_else(|| format!("{}-{}", repository.namespace().unwrap_or_default(), repository.name_any()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(image: &str) -> ResolvedImage {
        let repository = "{apiVersion: a, kind: b, metadata: {name: ops}, spec: {url: 'https://g/x', registry: {prefix: 'r:5000/t'}}}";
        let image = format!("{{apiVersion: a, kind: b, metadata: {{name: cv}}, spec: {image}}}");
        resolve(&serde_saphyr::from_str(&image).unwrap(), &serde_saphyr::from_str(repository).unwrap())
    }

    #[test]
    fn an_empty_spec_is_a_full_object() {
        assert_eq!(resolved("{}"), ResolvedImage { source: "ops".into(), path: "containers/cv".into(), image: "r:5000/t/cv".into() });
    }

    #[test]
    fn the_image_is_named_after_the_directory() {
        assert_eq!(resolved("{path: containers/my_app}").image, "r:5000/t/my_app");
        assert_eq!(resolved("{image: 'r:5000/x/y'}").image, "r:5000/x/y");
    }
}
