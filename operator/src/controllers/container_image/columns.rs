//! The columns of `kubectl get cimg` that sum the variants up. Pure.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use mainstay_crds::{Engine, ImageBuild, VariantStatus};

/// The columns `LATEST` and `BUILT`: the newest confirmed tag, and how many variants there are besides.
pub(super) fn latest(variants: &[VariantStatus]) -> (Option<String>, Option<Time>) {
    let newest = variants.iter().filter(|v| v.digest.is_some()).max_by_key(|v| v.built_at.clone());
    let Some(newest) = newest else {
        return (variants.iter().find_map(|v| v.last_good_tag.clone()), None);
    };
    let others = variants.len() - 1;
    let tag = newest.tag.clone().unwrap_or_default();
    let text = match others {
        0 => tag,
        1 => format!("{tag} (+1 variant)"),
        n => format!("{tag} (+{n} variants)"),
    };
    (Some(text), newest.built_at.clone())
}

/// The column `ENGINES`: what built or builds the variants.
pub(super) fn engines(builds: &[Arc<ImageBuild>], variants: &[VariantStatus]) -> Option<String> {
    let mut all: Vec<&str> = variants
        .iter()
        .filter_map(|variant| {
            let name = variant.build.as_deref()?;
            let build = builds.iter().find(|build| build.name_any() == name)?;
            build.status.as_ref()?.engine.map(Engine::as_str)
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    (!all.is_empty()).then(|| all.join(","))
}
