//! The ImageBuild that a ContainerImage makes, and how it is recognised again.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use mainstay_crds::{ContainerImage, ImageBuild, ImageBuildSpec, Trigger, names};

use crate::domain::build::Key;

/// The ImageBuild of one attempt. Its name follows from its key: making it twice meets the first.
pub(super) fn build(image: &ContainerImage, key: &Key<'_>, attempt: u32, trigger: Trigger) -> ImageBuild {
    let labels = BTreeMap::from([
        (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
        (names::VARIANT_LABEL.to_owned(), key.variant.to_string()),
        (names::FAMILY.to_owned(), key.family()),
    ]);
    let annotations = BTreeMap::from([
        (names::BUILD_KEY.to_owned(), key.attempt(attempt)),
        (names::TRIGGER.to_owned(), trigger.as_str().to_owned()),
        (names::ATTEMPT.to_owned(), attempt.to_string()),
    ]);
    ImageBuild {
        metadata: ObjectMeta {
            name: Some(key.build_name(attempt)),
            namespace: image.namespace(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: owner(image).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: ImageBuildSpec {
            image: image.name_any(),
            reference: None,
            commit: Some(key.commit.to_owned()),
            variant: Some(key.variant),
            cancel: None,
        },
        status: None,
    }
}

/// The image as owner: its builds go when it goes.
pub(crate) fn owner(image: &ContainerImage) -> Option<OwnerReference> {
    image.controller_owner_ref(&())
}

/// The family of a build that a ContainerImage made; `None` for one made by hand.
pub(super) fn family(build: &ImageBuild) -> Option<&String> {
    build.labels().get(names::FAMILY)
}

/// The number of an attempt.
pub(super) fn attempt(build: &ImageBuild) -> u32 {
    build.annotations().get(names::ATTEMPT).and_then(|number| number.parse().ok()).unwrap_or(0)
}
