//! What is kept between builds, and who may add to it. The build step has no credentials, so that a cache is a volume of the namespace, or a
//! registry that asks for none.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

use super::{Request, mount};
use crate::config::{EngineConfig, RegistryCache};

/// Where the claim is mounted.
pub(super) const PLACE: &str = "/cache";

/// Whether the container wants a cache at all.
fn enabled(request: &Request<'_>) -> bool {
    request.settings.and_then(|settings| settings.cache.as_ref()).and_then(|cache| cache.enabled).unwrap_or(true)
}

/// The claim, read-only for builds that are not of main.
pub(super) fn claim(request: &Request<'_>, own: &EngineConfig) -> Option<(Volume, VolumeMount)> {
    let asked = request.settings.and_then(|settings| settings.cache.as_ref()).and_then(|cache| cache.claim.clone());
    let claim_name = asked.or_else(|| own.cache.claim.clone()).filter(|_| enabled(request))?;
    let read_only = (!request.from_main).then_some(true);
    let source = PersistentVolumeClaimVolumeSource { claim_name, read_only };
    let volume = Volume { name: "cache".to_owned(), persistent_volume_claim: Some(source), ..Volume::default() };
    Some((volume, VolumeMount { read_only, ..mount("cache", PLACE) }))
}

/// The registry.
pub(super) fn registry<'a>(request: &Request<'_>, own: &'a EngineConfig) -> Option<&'a RegistryCache> {
    own.cache.registry.as_ref().filter(|_| enabled(request))
}
