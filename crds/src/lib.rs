//! The contract of Mainstay: Rust types that become the CustomResourceDefinitions of `mainstay.dev/v1alpha1`.
//!
//! - [`SourceRepository`] (`srepo`): a Git repository that holds containers and manifests, and the registry its images go to.
//! - [`ContainerImage`] (`cimg`): one container directory of it; `spec: {}` is a full object.
//! - [`ImageBuild`] (`ibuild`): one build of one variant at one commit.
//! - [`ManifestPin`] (`mpin`): which manifests to keep pinned to the newest images from main.
//! - [`AllowedImages`]: what the admission policy reads; the operator alone writes it.
//! - [`complaints`]: what is wrong with an object.
//! - [`names`]: annotations and labels that are part of the API.
//! - [`Reason`]: the words of conditions, statuses and events, with what each means and what to do.
//!
//! No client and no async here. Defaults are never written to a spec: what was decided stands in `status.resolved`.
//! `crdgen` turns the types into `crds/generated`; `crds/samples` holds objects that must be accepted or refused.

#![allow(unreachable_pub, reason = "kube derives public types in private modules; the crate re-exports them")]
#![allow(clippy::duplicated_attributes, reason = "printer columns repeat their keys")]

mod allowed_images;
mod check;
mod class;
mod container_image;
mod forge;
mod image_build;
mod kind;
mod manifest_pin;
pub mod names;
mod nixpkgs;
mod reason;
mod reasons;
mod reference;
mod source_repository;
mod variant;

pub use allowed_images::{AllowedImages, AllowedImagesSpec};
pub use check::{complaints, unknown_fields};
pub use class::Class;
pub use container_image::{
    BuildSettings, CacheSettings, ContainerImage, ContainerImageSpec, ContainerImageStatus, Engine, LastFailure, ResolvedImage, Retention,
    SupersededBuilds, TagStatus, TagSummary, VariantStatus, Violation, WantedTag,
};
pub use forge::{ForgeProvider, ForgeSettings};
pub use image_build::{CommitState, CommitStatus, ImageBuild, ImageBuildSpec, ImageBuildStatus, JobReference, Origin, Trigger};
pub use kind::{FOREIGN, Kind, kinds, resolve};
pub use manifest_pin::{
    CommitSettings, ImageSelector, ManifestPin, ManifestPinSpec, ManifestPinStatus, PinPolicy, PinStatus, PinTarget, PullRequestSettings,
    PullRequestStatus, ResolvedPin, SkippedPlace, ViolationPolicy, WriteMode,
};
pub use nixpkgs::Nixpkgs;
pub use reason::{Place, Says, Use};
pub use reasons::Reason;
pub use reference::LocalReference;
pub use source_repository::{
    CommitStatusSettings, Discovery, PromoteIdentical, ProvenanceSettings, RegistrySettings, ResolvedRepository, SkippedDirectory,
    SourceRepository, SourceRepositorySpec, SourceRepositoryStatus, WebhookSettings,
};
pub use variant::Variant;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// Every CustomResourceDefinition of ours, in the order in which a newcomer meets them.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    kinds().into_iter().map(|kind| kind.definition).collect()
}

/// File name and YAML of every definition, as they stand in `crds/generated`.
///
/// # Errors
/// Where a definition cannot be written as YAML.
pub fn generate() -> Result<Vec<(String, String)>, serde_saphyr::ser_error::Error> {
    definitions()
        .into_iter()
        .map(|crd| {
            let body = serde_saphyr::to_string(&crd)?;
            Ok((format!("{}.yaml", crd.spec.names.plural), format!("# Written by `cargo crdgen` from crds/src. Do not edit.\n{body}")))
        })
        .collect()
}
