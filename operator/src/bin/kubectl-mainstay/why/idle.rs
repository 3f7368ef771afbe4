//! The reasons that a kind can be idle or failed for: what the tests of `why` walk through, so that each has a sentence that somebody can act on.

use mainstay_crds::{Place, Reason, Says};

/// Those of a kind, and those that any kind can have.
pub(super) fn idle(kind: Place) -> Vec<&'static str> {
    let waits = |says: &[Says]| says.iter().any(|says| *says != Says::True);
    let here = |reason: &&Reason| reason.uses().iter().any(|one| (one.place == kind || one.place == Place::Shared) && waits(one.says));
    Reason::ALL.iter().filter(here).map(|reason| reason.as_str()).collect()
}
