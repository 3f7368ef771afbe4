//! Two ManifestPins that mean the same place would undo each other's work: then neither writes (issue: two writers over one pin).

use std::collections::HashSet;

use kube::ResourceExt;
use mainstay_crds::{ManifestPin, PinTarget, SourceRepository, WriteMode};

use super::images::is_selected;
use super::observe::Seen;
use crate::controllers::context::Context;
use crate::controllers::source;
use crate::domain::selection::Selection;

/// Names the other ManifestPin at each pin that it means too. One that never writes disturbs nobody.
pub(super) fn mark(object: &ManifestPin, ctx: &Context, seen: &mut Seen) {
    let here = place(&seen.repository);
    for other in ctx.pins.state() {
        if other.uid() == object.uid() || !writes(&other) {
            continue;
        }
        let namespace = other.namespace().unwrap_or_default();
        let Ok(repository) = source::named(&namespace, other.spec.source_ref.as_ref(), ctx) else { continue };
        let Ok(selection) = Selection::new(&other.spec.paths, &other.spec.exclude) else { continue };
        if place(&repository) != here {
            continue;
        }
        let images: HashSet<String> = ctx
            .images
            .state_filter(|image| image.namespace().as_deref() == Some(&namespace) && is_selected(&other.spec, image))
            .iter()
            .filter_map(|image| Some(source::resolve(image, &*source::of(image, ctx).ok()?).image))
            .collect();
        for (pin, (_, place)) in seen.pins.iter_mut().zip(&seen.places) {
            if images.contains(&place.image) && selection.matches(&pin.path) {
                pin.rival.get_or_insert_with(|| format!("{namespace}/{}", other.name_any()));
            }
        }
    }
}

fn writes(pin: &ManifestPin) -> bool {
    pin.metadata.deletion_timestamp.is_none()
        && pin.spec.suspend != Some(true)
        && pin.spec.target.unwrap_or_default() == PinTarget::Git
        && pin.spec.write.unwrap_or_default() != WriteMode::DryRun
}

/// Which branch of which repository, whatever it is called in its namespace.
fn place(repository: &SourceRepository) -> (String, Option<String>) {
    let url = repository.spec.url.trim_end_matches('/').trim_end_matches(".git").to_owned();
    (url, repository.status.as_ref().and_then(|status| status.resolved.as_ref()).map(|resolved| resolved.branch.clone()))
}
