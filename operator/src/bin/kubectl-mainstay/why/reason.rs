//! Which link of the chain a reason of a condition speaks of. An unknown reason speaks of the first link that it may: it is never lost.

/// The link of a ContainerImage whose `Ready` has this reason.
pub(super) fn of_image(reason: &str) -> &'static str {
    match reason {
        "SourceNotFound" | "SourceAmbiguous" | "SourceUnavailable" => "commit",
        "VersionNotFound" | "VersionInvalid" => "wanted",
        "TagConflict" | "TagMissing" | "SecretNotFound" | "SecretInvalid" => "registry",
        "Building" | "BuildQueued" | "BuildFailed" | "BuildCancelled" | "Promoting" | "Suspended" | "NameConflict" => "build",
        registry if registry.starts_with("Registry") => "registry",
        api if api.starts_with("Api") => "build",
        _ => "touch",
    }
}

/// The link of a ManifestPin whose `Ready` has this reason.
pub(super) fn of_pin(reason: &str) -> &'static str {
    match reason {
        "SourceNotFound" | "SourceAmbiguous" | "SourceUnavailable" => "commit",
        "NoMatchInFiles" | "TooManyFiles" | "ImageNotFound" | "InvalidSpec" | "PinConflict" => "places",
        "NoMainImage" | "NotFromMain" | "NotNewer" => "wanted",
        registry if registry.starts_with("Registry") => "wanted",
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
