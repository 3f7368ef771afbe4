//! Which builds of an image are ended because main went on, and which are removed because enough newer ones are kept. Pure.

use std::sync::Arc;

use mainstay_crds::{ImageBuild, SupersededBuilds, Variant};

use super::child;
use super::plan::{Observed, ended, pushed};
use crate::domain::build::{has_turn, is_running};

/// Builds kept where spec.retention does not say.
const KEPT: i32 = 3;

/// Builds of ours for a commit that main has left behind, as far as `spec.supersededBuilds` wants them ended.
pub(super) fn superseded(observed: &Observed<'_>) -> Vec<Arc<ImageBuild>> {
    let policy = observed.image.spec.superseded_builds.unwrap_or_default();
    let has_begun = |build: &ImageBuild| build.status.as_ref().is_some_and(has_turn);
    let meant = |build: &ImageBuild| match policy {
        SupersededBuilds::CancelQueued => !has_begun(build),
        SupersededBuilds::CancelAll => true,
        SupersededBuilds::Finish => false,
    };
    let old = |build: &ImageBuild| child::family(build).is_some() && build.spec.commit.as_deref() != Some(observed.touch);
    let open = |build: &ImageBuild| is_running(build) && build.spec.cancel != Some(true);
    observed.builds.iter().filter(|build| old(build) && open(build) && meant(build)).cloned().collect()
}

/// Finished builds of ours beyond what is kept, per variant and outcome. What a person made is a person's to remove.
pub(super) fn expired(observed: &Observed<'_>) -> Vec<Arc<ImageBuild>> {
    let retention = observed.image.spec.retention.clone().unwrap_or_default();
    let keep = |limit: Option<i32>| usize::try_from(limit.unwrap_or(KEPT)).unwrap_or(1).max(1);
    let mut gone = Vec::new();
    for variant in Variant::ALL {
        for (good, limit) in [(true, keep(retention.successful)), (false, keep(retention.failed))] {
            let mut ended_builds: Vec<_> = observed
                .builds
                .iter()
                .filter(|build| {
                    child::family(build).is_some() && build.spec.variant == Some(variant) && !is_running(build) && pushed(build) == good
                })
                .collect();
            ended_builds.sort_by_key(|build| std::cmp::Reverse(ended(build)));
            gone.extend(ended_builds.into_iter().skip(limit).cloned());
        }
    }
    gone
}
