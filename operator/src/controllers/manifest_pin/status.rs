//! The status of a ManifestPin from what was seen and decided. Pure, but for the counts of pods that it is given.

use mainstay_crds::{Class, ManifestPin, ManifestPinStatus, PinStatus, PinTarget, ResolvedPin, SkippedPlace};

use super::observe::Seen;
use super::plan::{Decision, Pin, Stand, settled};
use super::running::{NOT_SYNCED, Running, application};
use crate::clients::workloads::Application;
use crate::domain::build::short;

/// Pins and skipped places that a status lists.
const PINS: usize = 500;
const SKIPPED: usize = 20;

/// Fills in everything but conditions.
pub(super) fn fill(
    status: &mut ManifestPinStatus,
    object: &ManifestPin,
    seen: &Seen,
    decisions: &[Decision],
    (running, applications): (&Running, &[Application]),
) {
    let spec = &object.spec;
    let target = spec.target.unwrap_or_default();
    let mut all: Vec<(u8, PinStatus)> = Vec::new();
    for (pin, decision) in seen.pins.iter().zip(decisions) {
        let told =
            status.pins.iter().find(|old| old.path == pin.path && old.field == pin.field && old.tag == pin.tag && old.image == pin.image);
        let mut one = of(pin, decision, told);
        let image = seen.images.iter().find(|image| image.name == pin.image);
        if let Some(image) = image {
            let digest = pin.wanted.as_ref().filter(|wanted| wanted.tag.tag == pin.tag).map(|wanted| wanted.tag.digest.as_str());
            let digest = pin.digest.as_deref().or(digest);
            one.running = running.count(&image.resolved.image, &pin.tag, digest).map(|(same, all)| format!("{same}/{all}"));
        }
        if target == PinTarget::Git {
            one.application = application(applications, &seen.repository.spec.url, &pin.path, one.changed_in.as_deref(), &seen.graph);
        }
        all.push((decision.stand.rank(), one));
    }
    all.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| (&x.path, x.line).cmp(&(&y.path, y.line))));
    let count = |wanted: &dyn Fn(&Decision) -> bool| decisions.iter().filter(|decision| wanted(decision)).count();
    let number = |count: usize| i64::try_from(count).ok();
    status.up_to_date = Some(format!("{}/{}", count(&|d| settled(d.stand)), decisions.len()));
    status.behind = number(count(&|d| matches!(d.stand, Stand::Behind | Stand::NotNewer | Stand::NotEditable)));
    status.violations = number(count(&|d| d.violation));
    status.pins = all.into_iter().map(|(_, one)| one).take(PINS).collect();
    status.skipped = skipped(&seen.skipped);
    status.observed_commit = Some(seen.head.clone()).filter(|head| !head.is_empty());
    status.resolved = Some(ResolvedPin {
        source: kube::ResourceExt::name_any(seen.repository.as_ref()),
        branch: seen.branch.clone(),
        target,
        write: spec.write.unwrap_or_default(),
        policy: spec.policy.unwrap_or_default(),
        violations: spec.violations.unwrap_or_default(),
    });
    // A commit that was pushed before a crash is told afterwards.
    let ours = seen.pins.iter().filter_map(|pin| pin.changed.as_ref()).filter(|changed| changed.ours).max_by_key(|changed| changed.at.0);
    if let Some(ours) = ours.filter(|ours| status.pinned_at.as_ref().is_none_or(|known| ours.at.0 > known.0)) {
        status.last_commit = Some(short(&ours.commit).to_owned());
        status.pinned_at = Some(ours.at.clone());
    }
}

fn of(pin: &Pin, decision: &Decision, told: Option<&PinStatus>) -> PinStatus {
    let changed = pin.changed.as_ref();
    PinStatus {
        path: pin.path.clone(),
        line: pin.line.map(i64::from),
        field: pin.field.clone(),
        image: pin.image.clone(),
        variant: pin.variant,
        tag: pin.tag.clone(),
        class: pin.class,
        reason: decision.stand.reason().into(),
        message: decision.message.clone(),
        wanted: pin.wanted.as_ref().map(|wanted| wanted.tag.tag.clone()).filter(|wanted| *wanted != pin.tag && !pin.current),
        changed_in: changed.map(|c| c.commit.clone()).or_else(|| told.and_then(|t| t.changed_in.clone())),
        changed_by: changed.map(|c| c.by.clone()).or_else(|| told.and_then(|t| t.changed_by.clone())),
        changed_at: changed.map(|c| c.at.clone()).or_else(|| told.and_then(|t| t.changed_at.clone())),
        running: None,
        application: None,
    }
}

fn skipped(all: &[SkippedPlace]) -> Vec<SkippedPlace> {
    let mut all = all.to_vec();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all.truncate(SKIPPED);
    all
}

/// Whether a pin that was written has yet to be seen running.
pub(super) fn is_rolling_out(status: &ManifestPinStatus) -> bool {
    status.pins.iter().any(|pin| {
        let counts = pin.running.as_deref().and_then(|text| text.split_once('/'));
        let unsynced = pin.application.as_deref().is_some_and(|text| text.contains(NOT_SYNCED));
        pin.class == Class::Main && (unsynced || counts.is_some_and(|(same, all)| same != all))
    })
}
