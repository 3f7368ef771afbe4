//! The pods of the cluster as far as they concern us: which of our images they run, and whether they may.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use mainstay_crds::{Class, ContainerImage, Violation};

use super::context::Context;
use crate::domain::class;
use crate::domain::graph::Graph;

/// Leaves of a pod what is looked at here: a large cluster has many.
pub fn strip(pod: &mut Pod) {
    let meta = std::mem::take(&mut pod.metadata);
    pod.metadata = ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        ..ObjectMeta::default()
    };
    let containers = pod.spec.take().map(|spec| spec.containers).unwrap_or_default();
    let containers = containers.into_iter().map(|one| Container { name: one.name, image: one.image, ..Container::default() }).collect();
    pod.spec = Some(PodSpec { containers, ..PodSpec::default() });
    let statuses = pod.status.take().and_then(|status| status.container_statuses).unwrap_or_default();
    let statuses = statuses
        .into_iter()
        .map(|one| ContainerStatus { name: one.name, image_id: one.image_id, state: one.state, ..ContainerStatus::default() })
        .collect();
    pod.status = Some(PodStatus { container_statuses: Some(statuses), ..PodStatus::default() });
}

/// Whether a pod runs an image of ours.
pub fn concerns(ctx: &Context, pod: &Pod) -> bool {
    let running = images_of(pod);
    let runs = |image: &ContainerImage| {
        let resolved = image.status.as_ref().and_then(|status| status.resolved.as_ref());
        resolved.is_some_and(|resolved| running.iter().any(|(repository, _, _)| *repository == resolved.image))
    };
    !running.is_empty() && ctx.images.find(runs).is_some()
}

/// Whether a pod runs an image of ours by another tag than one that is wanted: then its ContainerImage has a look.
pub fn is_suspicious(ctx: &Context, pod: &Pod) -> bool {
    images_of(pod).into_iter().any(|(repository, tag, _)| {
        let suspects = |image: &ContainerImage| {
            let Some(status) = &image.status else { return false };
            let wanted = status.variants.iter().any(|variant| variant.wanted.as_ref().is_some_and(|wanted| wanted.tag == tag));
            status.resolved.as_ref().is_some_and(|resolved| resolved.image == repository) && !wanted
        };
        ctx.images.find(suspects).is_some()
    })
}

/// Repository, tag and digest of each container of a pod that has started.
pub fn images_of(pod: &Pod) -> Vec<(String, String, Option<String>)> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let started = statuses.into_iter().flatten().filter(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    started
        .filter_map(|status| {
            // The specification says what was asked for; the status of some runtimes names the image by another of its tags.
            let asked = containers.iter().find(|container| container.name == status.name)?.image.as_deref()?;
            let name = asked.split('@').next().unwrap_or(asked);
            let (repository, tag) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
            let digest = status.image_id.rsplit_once('@').map(|(_, digest)| digest.to_owned());
            Some((repository.to_owned(), tag.to_owned(), digest))
        })
        .collect()
}

/// Pods that run an image which is not from main, or whose tag is not in the list of the registry's.
pub fn violations(ctx: &Context, repository: &str, graph: &Graph, listed: Option<&[String]>) -> Vec<Violation> {
    let mut found = Vec::new();
    for pod in ctx.pods.state() {
        for (name, tag, _) in images_of(&pod) {
            let Some(known) = class::classify(&tag, graph).filter(|_| name == repository) else { continue };
            let at = format!("pod {}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
            let message = match (known.class, listed.is_some_and(|tags| !tags.contains(&tag))) {
                (Class::Main, false) => continue,
                (Class::Main, true) => "it runs a tag that is not in the registry any more".to_owned(),
                (_, _) => format!("it runs an image that is not from main: {}", known.reason),
            };
            let class = known.class;
            found.push(Violation { at, tag, class, message });
        }
    }
    found.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.tag.cmp(&b.tag)));
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_counts_once_it_has_started() {
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {name: a}, spec: {containers: [{name: x, image: 'r:5000/t/cv:v1-1111111@sha256:ab'}, {name: y, image: 'r:5000/t/web'}, {name: z, image: 'r/b:1'}]}, \
             status: {containerStatuses: [{name: x, image: i, imageID: 'r:5000/t/cv@sha256:ab', ready: true, restartCount: 0, state: {running: {}}}, \
             {name: y, image: i, imageID: j, ready: true, restartCount: 0, state: {running: {}}}, \
             {name: z, image: i, imageID: j, ready: true, restartCount: 0, state: {waiting: {}}}]}}",
        )
        .unwrap();
        assert_eq!(images_of(&pod), [("r:5000/t/cv".to_owned(), "v1-1111111".to_owned(), Some("sha256:ab".to_owned()))]);
    }

    #[test]
    fn what_is_stripped_is_not_missed() {
        let text = "{metadata: {name: a, namespace: n, labels: {x: y}}, spec: {containers: [{name: x, image: 'r/cv:v1-1111111', args: [a]}]}, \
             status: {phase: Running, containerStatuses: [{name: x, image: i, imageID: 'r/cv@sha256:ab', ready: true, restartCount: 0, state: {running: {}}}]}}";
        let full: Pod = serde_saphyr::from_str(text).unwrap();
        let mut lean = full.clone();
        strip(&mut lean);
        assert_eq!(images_of(&lean), images_of(&full));
        assert_eq!((lean.labels().len(), lean.namespace().as_deref()), (0, Some("n")));
    }
}
