//! `promoteIdentical: Retag`: a branch image that was built from the very inputs that main has becomes main's, without building again.
//!
//! The inputs are compared by their Git trees. What is done is attached to the image before its tag is given, so that it can be proven later,
//! when the branch is long gone: its own label goes on naming the branch's commit.

use std::collections::BTreeMap;

use mainstay_crds::{Class, PromoteIdentical, SourceRepository, Variant};
use serde_json::json;

use super::observe::Looked;
use super::plan::Identical;
use crate::clients::call::CallError;
use crate::clients::registry::{Artifact, Image, Registry};
use crate::controllers::context::Context;
use crate::controllers::tags::Listed;
use crate::domain::class::ClassifiedTag;

/// What a promotion is, as an artifact of the registry.
const ARTIFACT: &str = "application/vnd.mainstay.promotion.v1+json";

/// An in-toto statement, as attestations are (in-toto attestation framework 1).
const STATEMENT: &str = "application/vnd.in-toto+json";
const PREDICATE: &str = "https://mainstay.dev/promotion/v1";

/// Annotation of the artifact: the commit of main whose tag the image was given.
const PROMOTED_TO: &str = "mainstay.dev/promoted-to";

/// Branch images that are compared, the newest first.
const COMPARED: usize = 20;

/// The newest branch image of this variant and version with main's inputs, where the repository allows that it becomes main's.
pub(super) async fn identical(
    looked: &Looked<'_>,
    repository: &SourceRepository,
    listed: &Listed,
    classified: &[ClassifiedTag<'_>],
    (variant, version): (Variant, &str),
) -> Result<Option<Identical>, CallError> {
    if repository.spec.promote_identical.unwrap_or_default() != PromoteIdentical::Retag {
        return Ok(None);
    }
    let bare = version.strip_prefix('v').unwrap_or(version);
    let of_branch = |one: &&ClassifiedTag<'_>| one.class == Class::Branch && one.variant == variant && one.version == bare;
    let candidates: Vec<(&str, String)> =
        classified.iter().filter(of_branch).filter_map(|one| Some((one.tag, one.commit?.hex()))).take(COMPARED).collect();
    let commits = candidates.iter().map(|(_, commit)| commit.clone()).collect();
    let same = looked.ctx.git.same_inputs(looked.key, looked.touch, looked.paths, commits);
    let same = looked.ctx.calls.outside("git.same_inputs", same).await?;
    for ((tag, commit), _) in candidates.into_iter().zip(same).filter(|(_, same)| *same) {
        let Some(image) = listed.image(looked.ctx, looked.registry, tag).await? else { continue };
        // Only what says itself that it was built from that commit.
        if image.revision.as_deref() == Some(commit.as_str()) {
            return Ok(Some(Identical { tag: tag.to_owned(), commit, image }));
        }
    }
    Ok(None)
}

/// Whether an image that names another commit was made main's by a promotion of ours to `touch`.
pub(super) async fn is_promoted(looked: &Looked<'_>, image: &Image) -> Result<bool, CallError> {
    let (registry, path) = looked.registry;
    let attached = registry.referrers(path, &image.digest, ARTIFACT);
    let attached = looked.ctx.calls.outside("registry.referrers", attached).await?;
    Ok(attached.iter().any(|one| one.annotations.get(PROMOTED_TO).map(String::as_str) == Some(looked.touch)))
}

/// Says on the image what is done with it, then gives it main's tag. Doing it again changes nothing.
pub(super) async fn promote(
    ctx: &Context,
    (registry, path): (&Registry, &str),
    image_name: &str,
    identical: &Identical,
    (tag, touch): (&str, &str),
) -> Result<(), CallError> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": image_name, "digest": {"sha256": identical.image.digest.trim_start_matches("sha256:")}}],
        "predicateType": PREDICATE,
        "predicate": {
            "from": {"tag": identical.tag, "commit": identical.commit},
            "to": {"tag": tag, "commit": touch},
            "because": "the inputs of both commits are the same Git trees",
        },
    });
    let statement = statement.to_string();
    let artifact = Artifact {
        artifact_type: ARTIFACT,
        payload: statement.as_bytes(),
        payload_type: STATEMENT,
        annotations: BTreeMap::from([(PROMOTED_TO.to_owned(), touch.to_owned())]),
    };
    ctx.calls.outside("registry.attach", registry.attach(path, &identical.image, &artifact)).await?;
    ctx.calls.outside("registry.retag", registry.retag(path, &identical.image.digest, tag)).await?;
    Ok(())
}
