//! Which link of the chain a reason of a condition speaks of. An unknown reason speaks of the first link that it may: it is never lost.

use mainstay_crds::Reason;

/// The link of a ContainerImage whose `Ready` has this reason.
pub(super) fn of_image(reason: &str) -> &'static str {
    match Reason::parse(reason) {
        Some(Reason::SourceNotFound | Reason::SourceAmbiguous | Reason::SourceUnavailable) => "commit",
        Some(Reason::VersionNotFound | Reason::VersionInvalid) => "wanted",
        Some(Reason::TagConflict | Reason::TagMissing | Reason::SecretNotFound | Reason::SecretInvalid) => "registry",
        Some(
            Reason::Building
            | Reason::BuildQueued
            | Reason::BuildFailed
            | Reason::BuildCancelled
            | Reason::Promoting
            | Reason::Suspended
            | Reason::NameConflict,
        ) => "build",
        _ if reason.starts_with("Registry") => "registry",
        _ if reason.starts_with("Api") => "build",
        _ => "touch",
    }
}

/// The link of an ImageBuild whose `Succeeded` has this reason.
pub(super) fn of_build(reason: &str) -> &'static str {
    match Reason::parse(reason) {
        Some(Reason::ImageNotFound | Reason::SourceNotFound | Reason::SourceAmbiguous | Reason::InvalidSpec) => "image",
        Some(
            Reason::RefNotFound
            | Reason::RefAmbiguous
            | Reason::NoBuildFile
            | Reason::VersionNotFound
            | Reason::VersionInvalid
            | Reason::SourceUnavailable,
        ) => "commit",
        Some(Reason::Queued | Reason::EngineNotConfigured | Reason::NameConflict | Reason::JobDeleted | Reason::Cancelled) => "turn",
        Some(
            Reason::PodPending
            | Reason::BuildPodUnschedulable
            | Reason::ImagePullFailed
            | Reason::Evicted
            | Reason::PodDeleted
            | Reason::PodFailed,
        ) => "pod",
        Some(Reason::Cloning | Reason::CloneFailed) => "source",
        Some(Reason::Building | Reason::BuildFailed | Reason::OOMKilled | Reason::DeadlineExceeded | Reason::WorkspaceFull) => "build",
        Some(
            Reason::Pushing
            | Reason::PushUnauthorized
            | Reason::PushFailed
            | Reason::TagConflict
            | Reason::ArchiveInvalid
            | Reason::ProvenanceFailed,
        ) => "push",
        _ if reason.starts_with("Registry") => "push",
        _ => "turn",
    }
}

/// The link of a ManifestPin whose `Ready` has this reason.
pub(super) fn of_pin(reason: &str) -> &'static str {
    match Reason::parse(reason) {
        Some(Reason::SourceNotFound | Reason::SourceAmbiguous | Reason::SourceUnavailable) => "commit",
        Some(Reason::NoMatchInFiles | Reason::TooManyFiles | Reason::ImageNotFound | Reason::InvalidSpec | Reason::PinConflict) => "places",
        Some(Reason::NoMainImage | Reason::NotFromMain | Reason::NotNewer) => "wanted",
        _ if reason.starts_with("Registry") => "wanted",
        _ => "written",
    }
}

/// Whether a reason of a ManifestPin speaks of the whole: then the places in its status are those of an earlier look.
pub(super) fn is_of_whole_pin(reason: &str) -> bool {
    let of_places = [
        "UpToDate",
        "Held",
        "DryRun",
        "Behind",
        "NoMainImage",
        "NotFromMain",
        "PinConflict",
        "NotNewer",
        "NotEditable",
        "NoMatchInFiles",
        "Overtaken",
    ];
    !of_places.contains(&reason) && !reason.starts_with("PullRequest")
}
