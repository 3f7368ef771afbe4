//! What follows from a listing of main. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use mainstay_crds::{
    ContainerImage, ContainerImageSpec, Discovery, LocalReference, ResolvedRepository, SkippedDirectory, SourceRepository, names,
};

use crate::clients::git::Listing;
use crate::domain::build::short;

/// Directories that are named in the status.
const MAX_SKIPPED: usize = 20;

/// ContainerImages to make: one for each directory that none of the namespace's images has.
pub(super) fn missing_images(
    repository: &SourceRepository,
    containers_path: &str,
    listing: &Listing,
    images: &[Arc<ContainerImage>],
) -> Vec<ContainerImage> {
    if repository.spec.discovery.unwrap_or_default() == Discovery::Off {
        return Vec::new();
    }
    let own = repository.name_any();
    let of_this = |image: &&Arc<ContainerImage>| image.spec.source_ref.as_ref().is_none_or(|source| source.name == own);
    let taken: BTreeSet<String> = images
        .iter()
        .filter(of_this)
        .map(|image| image.spec.path.clone().unwrap_or_else(|| format!("{containers_path}/{}", image.name_any())))
        .collect();
    let names_taken: BTreeSet<String> = images.iter().map(|image| image.name_any()).collect();
    listing
        .found
        .iter()
        .filter(|found| !taken.contains(&found.path) && !names_taken.contains(&object_name(&found.name)))
        .map(|found| {
            let name = object_name(&found.name);
            // Only where the name of the object does not say it.
            let path = (name != found.name).then(|| found.path.clone());
            ContainerImage {
                metadata: ObjectMeta {
                    name: Some(name),
                    namespace: repository.namespace(),
                    labels: Some(BTreeMap::from([
                        (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
                        (names::REPOSITORY_LABEL.to_owned(), own.clone()),
                    ])),
                    owner_references: repository.controller_owner_ref(&()).map(|owner| vec![owner]),
                    ..ObjectMeta::default()
                },
                spec: ContainerImageSpec { source_ref: Some(LocalReference { name: own.clone() }), path, ..ContainerImageSpec::default() },
                status: None,
            }
        })
        .collect()
}

/// A directory name as object name: image names may hold underscores, object names may not.
fn object_name(directory: &str) -> String {
    directory.replace('_', "-")
}

/// What stands in the status of the directories that make no image.
pub(super) fn skipped(listing: &Listing) -> Vec<SkippedDirectory> {
    listing
        .skipped
        .iter()
        .take(MAX_SKIPPED)
        .map(|skipped| SkippedDirectory { path: skipped.path.clone(), reason: skipped.reason.into(), message: skipped.message.clone() })
        .collect()
}

/// The message of `Ready`.
pub(super) fn message(head: &str, resolved: &ResolvedRepository, listing: &Listing) -> String {
    let count = listing.found.len();
    let containers = if count == 1 { "1 container".to_owned() } else { format!("{count} containers") };
    let skipped = match listing.skipped.len() {
        0 => String::new(),
        n => format!("; {n} skipped, see status.skipped"),
    };
    format!("{} is at {} with {containers} in {}{skipped}", resolved.branch, short(head), resolved.containers_path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::git::Found;
    use mainstay_crds::Variant;

    fn repository(discovery: &str) -> SourceRepository {
        let yaml = format!(
            "{{apiVersion: a, kind: b, metadata: {{name: ops, namespace: n, uid: u}}, spec: {{url: 'https://g/x', registry: {{prefix: r/t}}, discovery: {discovery}}}}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn listing(all: &[&str]) -> Listing {
        let found = |name: &&str| Found { name: (*name).into(), path: format!("containers/{name}"), variants: vec![Variant::Dockerfile] };
        Listing { found: all.iter().map(found).collect(), skipped: Vec::new() }
    }

    fn names_of(images: &[ContainerImage]) -> Vec<String> {
        images.iter().map(|image| image.name_any()).collect()
    }

    #[test]
    fn discovery_makes_what_is_missing_and_only_when_asked() {
        let cv: ContainerImage = serde_saphyr::from_str("{apiVersion: a, kind: b, metadata: {name: cv}, spec: {}}").unwrap();
        let moved: ContainerImage =
            serde_saphyr::from_str("{apiVersion: a, kind: b, metadata: {name: x}, spec: {path: containers/ntfy}}").unwrap();
        let have = [Arc::new(cv), Arc::new(moved)];
        let listing = listing(&["cv", "ntfy", "loki"]);
        assert_eq!(names_of(&missing_images(&repository("Create"), "containers", &listing, &have)), ["loki"]);
        assert!(missing_images(&repository("Off"), "containers", &listing, &[]).is_empty());
    }

    #[test]
    fn an_underscore_keeps_its_path() {
        let made = missing_images(&repository("Create"), "containers", &listing(&["my_app"]), &[]);
        assert_eq!((made[0].name_any().as_str(), made[0].spec.path.as_deref()), ("my-app", Some("containers/my_app")));
    }
}
