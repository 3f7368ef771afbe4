//! `target: Cluster`: live workloads follow the newest image from main where there is no GitOps. What Argo CD or Flux manages is refused:
//! they would put it back.

use mainstay_crds::{ManifestPin, ManifestPinStatus, Reason, SkippedPlace, WriteMode};

use kube::ResourceExt;

use super::observe::{self, Seen};
use super::plan::{Decision, Pin, Stand};
use crate::clients::workloads::Workload;
use crate::controllers::context::{Context, now};
use crate::controllers::problem::Problem;

/// The pins of the live workloads of the namespace.
pub(super) async fn observe(object: &ManifestPin, ctx: &Context, seen: &mut Seen) -> Result<(), Problem> {
    let namespace = object.namespace().unwrap_or_default();
    for workload in ctx.cluster.workloads(&namespace).await? {
        let ours: Vec<Pin> = workload.containers.iter().filter_map(|container| pin_of(&workload, container, seen)).collect();
        if ours.is_empty() {
            continue;
        }
        if let Some(manager) = &workload.managed_by {
            seen.skipped.push(SkippedPlace {
                path: workload.path(),
                reason: Reason::ManagedByGitOps.into(),
                message: format!("{manager} manages it and would put it back: pin its manifest with target Git"),
            });
            continue;
        }
        seen.pins.extend(ours);
    }
    Ok(())
}

fn pin_of(workload: &Workload, (container, image): &(String, String), seen: &Seen) -> Option<Pin> {
    let (name, digest) = image.split_once('@').map_or((image.as_str(), None), |(name, digest)| (name, Some(digest.to_owned())));
    let (repository, tag) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    let pin = observe::pin(&seen.images, repository, tag)?;
    Some(Pin { path: workload.path(), field: workload.field(container), digest, takes_digest: true, ..pin })
}

/// Patches what is behind: the image of one container and no other field.
pub(super) async fn apply(
    object: &ManifestPin,
    ctx: &Context,
    seen: &mut Seen,
    decisions: &mut [Decision],
    status: &mut ManifestPinStatus,
) -> Result<(), Problem> {
    let namespace = object.namespace().unwrap_or_default();
    let dry = object.spec.write.unwrap_or_default() == WriteMode::DryRun;
    let mut diff = String::new();
    for (pin, decision) in seen.pins.iter_mut().zip(decisions) {
        let Some((tag, with_digest)) = decision.write.take() else { continue };
        let Some(image) = seen.images.iter().find(|image| image.name == pin.image) else { continue };
        let digest = if with_digest { format!("@{}", tag.digest) } else { String::new() };
        let reference = format!("{}:{}{digest}", image.resolved.image, tag.tag);
        if dry {
            diff.push_str(&format!("{} {}: {} -> {reference}\n", pin.path, pin.field, pin.tag));
            continue;
        }
        ctx.cluster.set_image(&namespace, &pin.path, &pin.field, &reference).await?;
        let text = format!("pinned {} of {}: {} -> {}", pin.field, pin.path, pin.tag, tag.tag);
        ctx.cluster.event(object, false, Reason::PinPatched, "Pin", &text);
        status.pinned_at = Some(now());
        pin.tag.clone_from(&tag.tag);
        pin.class = mainstay_crds::Class::Main;
        pin.current = true;
        *decision = Decision { stand: Stand::UpToDate, message: None, write: None, violation: false };
    }
    status.diff = dry.then_some(diff).filter(|diff| !diff.is_empty());
    Ok(())
}
