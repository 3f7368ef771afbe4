//! What to do about every pin, decided from what was observed. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_crds::{Class, ManifestPinSpec, PinPolicy, Reason, Variant, ViolationPolicy, WantedTag};

use crate::domain::build::short;
use crate::domain::condition::{State, Verdict};
use crate::domain::graph::Commit;

/// One place that names one of our images, and all that is known of it.
#[derive(Debug, Clone)]
pub(super) struct Pin {
    /// File in the repository, or kind and name of a live workload.
    pub(super) path: String,
    pub(super) line: Option<u32>,
    pub(super) field: String,
    /// Name of the ContainerImage.
    pub(super) image: String,
    pub(super) variant: Variant,
    pub(super) version: String,
    pub(super) tag: String,
    pub(super) digest: Option<String>,
    /// Whether a digest can be written there.
    pub(super) takes_digest: bool,
    pub(super) class: Class,
    pub(super) class_reason: &'static str,
    /// The commit that the tag names, where exactly one is meant.
    pub(super) commit: Option<Commit>,
    /// Whether that commit has main's inputs.
    pub(super) current: bool,
    /// Whether the registry has the tag; `None` where that is not known.
    pub(super) exists: Option<bool>,
    /// What the ContainerImage wants pinned.
    pub(super) wanted: Option<Wanted>,
    /// Why nothing is wanted yet, in the words of the ContainerImage.
    pub(super) waiting: String,
    /// Who changed it last, where that was looked up.
    pub(super) changed: Option<Changed>,
    /// Another ManifestPin that means this place too.
    pub(super) rival: Option<String>,
}

/// A tag that is wanted, and how it lies in main's graph.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) tag: WantedTag,
    pub(super) version: String,
    /// Its commit on main as of now; `None` where main was rewritten since it was chosen.
    pub(super) commit: Option<Commit>,
    /// Whether it has main's inputs as of now.
    pub(super) current: bool,
}

/// The last change of a pin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Changed {
    pub(super) commit: String,
    pub(super) by: String,
    pub(super) at: Time,
    /// Whether it was made by an operator of ours.
    pub(super) ours: bool,
    /// Whether the tag before was a newer one from main: then it is a rollback.
    pub(super) backward: bool,
    /// Whether the container was touched since, or in the same commit.
    pub(super) touched_since: bool,
}

/// What comes of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// It is as it should be.
    UpToDate,
    /// It is to be rewritten.
    Behind,
    /// A newer image is there, of the same version, and the policy says that this is no deploy.
    SameVersion,
    /// Somebody put it back, or `spec.hold` names it.
    Held,
    /// There is no image from main with main's inputs yet.
    NoMainImage,
    /// It names an image that is not from main, or that is gone.
    Violation,
    /// Two ManifestPins mean it.
    Conflict,
    /// What is wanted is not newer than what is pinned.
    NotNewer,
    /// It is to be rewritten, and its file cannot be edited.
    NotEditable,
}

impl Stand {
    /// The word in the status.
    pub(super) fn reason(self) -> Reason {
        match self {
            Stand::UpToDate => Reason::UpToDate,
            Stand::Behind => Reason::Behind,
            Stand::SameVersion => Reason::SameVersion,
            Stand::Held => Reason::Held,
            Stand::NoMainImage => Reason::NoMainImage,
            Stand::Violation => Reason::Violation,
            Stand::Conflict => Reason::Conflict,
            Stand::NotNewer => Reason::NotNewer,
            Stand::NotEditable => Reason::NotEditable,
        }
    }

    /// Order in the status: what needs somebody comes first.
    pub(super) fn rank(self) -> u8 {
        match self {
            Stand::Conflict => 0,
            Stand::Violation => 1,
            Stand::NotNewer | Stand::NotEditable => 2,
            Stand::Behind => 3,
            Stand::Held => 4,
            Stand::NoMainImage => 5,
            Stand::SameVersion => 6,
            Stand::UpToDate => 7,
        }
    }
}

/// The decision about one pin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) stand: Stand,
    pub(super) message: Option<String>,
    /// The tag to write, and the digest where one is to be written too.
    pub(super) write: Option<(WantedTag, bool)>,
    /// Whether the image is not from main or is gone, whatever is done about it.
    pub(super) violation: bool,
}

/// Decides about every pin, in their order. `lift` is true while a person asks that holds are lifted.
pub(super) fn plan(spec: &ManifestPinSpec, pins: &[Pin], lift: bool) -> Vec<Decision> {
    pins.iter().map(|pin| decide(spec, pin, lift)).collect()
}

fn decide(spec: &ManifestPinSpec, pin: &Pin, lift: bool) -> Decision {
    let gone = pin.exists == Some(false);
    let violation = pin.class != Class::Main || gone;
    let stay = |stand, message: Option<String>| Decision { stand, message, write: None, violation };
    if let Some(rival) = &pin.rival {
        let text = format!("ManifestPin {rival} means this place too, so that neither writes it: change paths or images of one of the two");
        return stay(Stand::Conflict, Some(text));
    }
    if spec.hold.contains(&pin.image) {
        return stay(Stand::Held, Some("spec.hold names its image".to_owned()));
    }
    let fault = match (pin.class, gone) {
        (Class::Main, false) => None,
        (Class::Main, true) => Some(format!("{} is not in the registry any more", pin.tag)),
        (class, _) => Some(format!("{} is {class}: {}", pin.tag, pin.class_reason)),
    };
    let wants_digest = spec.digest == Some(true);
    if pin.current && !gone && pin.class == Class::Main {
        // The digest is written where it belongs to the very tag that is pinned; another tag that is current is not exchanged for it.
        let same = pin.wanted.as_ref().filter(|wanted| wanted.tag.tag == pin.tag);
        let differs = |wanted: &&Wanted| pin.digest.as_deref() != Some(wanted.tag.digest.as_str());
        let write = same.filter(|_| pin.digest.is_some() || (wants_digest && pin.takes_digest)).filter(differs);
        return match write {
            Some(wanted) => {
                let text = format!("the digest of {} is written", pin.tag);
                Decision { stand: Stand::Behind, message: Some(text), write: Some((wanted.tag.clone(), true)), violation }
            }
            None => stay(Stand::UpToDate, None),
        };
    }
    // Reported before anything is looked for to replace it.
    if let Some(fault) = &fault
        && spec.violations.unwrap_or_default() == ViolationPolicy::Report
        && pin.class != Class::Main
    {
        let text = format!("{fault}. Pin an image from main, or set spec.violations to Repair");
        return stay(Stand::Violation, Some(text));
    }
    let Some(wanted) = pin.wanted.as_ref().filter(|wanted| wanted.current) else {
        let text = format!("no image from main to pin yet: {}", pin.waiting);
        return match fault {
            Some(fault) => stay(Stand::Violation, Some(format!("{fault}; {text}"))),
            None => stay(Stand::NoMainImage, Some(text)),
        };
    };
    if pin.class == Class::Main {
        if let Some(changed) = held(pin, lift) {
            let text = format!(
                "{} put it back to {} in {}: held until {} is touched again, or until the annotation {} gets a new value",
                changed.by,
                pin.tag,
                short(&changed.commit),
                pin.image,
                mainstay_crds::names::RESUME_AT
            );
            return stay(Stand::Held, Some(text));
        }
        // Never backward: the wanted image has to be newer by main's graph.
        let newer = match (pin.commit, wanted.commit) {
            (Some(old), Some(new)) => new.order() > old.order(),
            _ => false,
        };
        if !newer {
            let why = fault.unwrap_or_else(|| format!("{} is wanted, which is not newer by main's graph", wanted.tag.tag));
            let stand = if gone { Stand::Violation } else { Stand::NotNewer };
            return stay(stand, Some(format!("{why}: a pin is never moved backward")));
        }
        if spec.policy.unwrap_or_default() == PinPolicy::Version && wanted.version == pin.version && !gone {
            return stay(Stand::SameVersion, Some(format!("{} is there, of the same version: spec.policy is Version", wanted.tag.tag)));
        }
    }
    let digest = pin.digest.is_some() || (wants_digest && pin.takes_digest);
    Decision { stand: Stand::Behind, message: fault, write: Some((wanted.tag.clone(), digest)), violation }
}

/// A person's rollback stands until the container is touched again or the hold is lifted (design section 4.6).
fn held(pin: &Pin, lift: bool) -> Option<&Changed> {
    pin.changed.as_ref().filter(|changed| !lift && !changed.ours && changed.backward && !changed.touched_since)
}

/// Pins that are as they should be.
pub(super) fn settled(stand: Stand) -> bool {
    matches!(stand, Stand::UpToDate | Stand::SameVersion | Stand::Held)
}

/// What the whole says: the worst pin, else how many there are.
pub(super) fn verdict(pins: &[Pin], decisions: &[Decision], images: usize, skipped: usize) -> Verdict {
    let count = |stand: Stand| decisions.iter().filter(|decision| decision.stand == stand).count();
    let first = |stand: Stand| {
        let (pin, decision) = pins.iter().zip(decisions).find(|(_, decision)| decision.stand == stand)?;
        let line = pin.line.map_or_else(String::new, |line| format!(":{line}"));
        Some(format!("{}{line}: {}", pin.path, decision.message.as_deref().unwrap_or_default()))
    };
    let unread = if skipped > 0 { format!("; {skipped} skipped, see status.skipped") } else { String::new() };
    let more = |stand: Stand| match count(stand) {
        0 | 1 => String::new(),
        n => format!(" (and {} more, see status.pins)", n - 1),
    };
    if pins.is_empty() {
        let text = format!(
            "none of the manifests that spec.paths selects names one of the {images} images: check spec.paths, spec.images and spec.registry.prefix of the SourceRepository{unread}"
        );
        return Verdict::new(State::Stuck, Reason::NoMatchInFiles, text);
    }
    for (stand, state, reason) in [
        (Stand::Conflict, State::Stuck, Reason::PinConflict),
        (Stand::Violation, State::Stuck, Reason::NotFromMain),
        (Stand::NotNewer, State::Stuck, Reason::NotNewer),
        (Stand::NotEditable, State::Stuck, Reason::NotEditable),
        (Stand::NoMainImage, State::Working, Reason::NoMainImage),
    ] {
        if let Some(text) = first(stand) {
            return Verdict::new(state, reason, format!("{text}{}{unread}", more(stand)));
        }
    }
    let text = match count(Stand::Held) {
        0 if pins.len() == 1 => format!("1 pin names the newest image from main{}{unread}", twice(pins)),
        0 => format!("{} pins name the newest images from main{}{unread}", pins.len(), twice(pins)),
        n => format!("{} of {} pins are held: {}{unread}", n, pins.len(), first(Stand::Held).unwrap_or_default()),
    };
    Verdict::new(State::Good, if count(Stand::Held) > 0 { Reason::Held } else { Reason::UpToDate }, text)
}

/// Images that are pinned with more than one tag of the same variant.
fn twice(pins: &[Pin]) -> String {
    let mut tags: BTreeMap<(&str, Variant), Vec<&str>> = BTreeMap::new();
    for pin in pins {
        let all = tags.entry((&pin.image, pin.variant)).or_default();
        if !all.contains(&pin.tag.as_str()) {
            all.push(&pin.tag);
        }
    }
    let differing: Vec<String> = tags
        .into_iter()
        .filter(|(_, tags)| tags.len() > 1)
        .map(|((image, _), tags)| format!("{image} as {}", tags.join(" and ")))
        .collect();
    if differing.is_empty() { String::new() } else { format!("; pinned with different tags: {}", differing.join(", ")) }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
