//! Image tags: `v<version>-<sha7>` and `v<version>-<sha7>-nix` (design section 2).

use mainstay_crds::Variant;

use super::version::{Version, VersionError};

/// Longest tag that a registry takes (OCI distribution specification).
const MAX: usize = 128;

/// The tag of a version at a commit. Exactly one leading `v`, whether the version brings one or not.
///
/// # Errors
/// Where the version has characters that a tag may not have, or the tag becomes too long.
pub fn format(version: &str, commit: &str, variant: Variant) -> Result<String, VersionError> {
    let bare = version.strip_prefix('v').unwrap_or(version);
    if bare.is_empty() {
        return Err(VersionError::Empty { version: version.to_owned() });
    }
    if let Some(character) = bare.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return Err(VersionError::Character { version: version.to_owned(), character });
    }
    let suffix = if variant == Variant::Nix { "-nix" } else { "" };
    let tag = format!("v{bare}-{}{suffix}", super::build::short(commit));
    if tag.len() > MAX { Err(VersionError::TooLong { length: tag.len(), max: MAX }) } else { Ok(tag) }
}

/// The tag of a container at a commit; `None` where its version, and so its tag, is known only when it is built.
///
/// # Errors
/// As [`format`].
pub fn of(version: &Version, commit: &str, variant: Variant) -> Result<Option<String>, VersionError> {
    version.written().map(|version| format(version, commit, variant)).transpose()
}

/// The tags that name a commit, whatever their version: those that a build may have given where the version is evaluated.
pub fn at_commit<'a>(tags: impl IntoIterator<Item = &'a str>, commit: &str, variant: Variant) -> Vec<(&'a str, Parts<'a>)> {
    let short = super::build::short(commit);
    let parsed = tags.into_iter().filter_map(|tag| Some((tag, parse(tag)?)));
    parsed.filter(|(_, parts)| parts.short_commit == short && parts.variant == variant).collect()
}

/// What a sentence calls an image: its tag, or its commit as long as the tag is not known.
pub fn subject(tag: Option<&str>, commit: &str, variant: Variant) -> String {
    tag.map_or_else(|| format!("the {variant} image of {}", super::build::short(commit)), str::to_owned)
}

/// What is said of a tag that is there and names another commit, or none.
pub fn conflict(tag: &str, revision: Option<&str>, digest: &str) -> String {
    let other = revision.map_or("no commit at all".to_owned(), |commit| format!("commit {commit}"));
    format!(
        "tag {tag} is in the registry already and names {other} (digest {digest}). Tags are never moved: raise the version, or delete that tag in the registry"
    )
}

/// The parts of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Version without the leading `v`; it may hold dashes.
    pub version: &'a str,
    /// First seven digits of the commit.
    pub short_commit: &'a str,
    /// Variant.
    pub variant: Variant,
}

/// Reads a tag from the right, because versions may hold dashes. `None` where it is not one of ours.
pub fn parse(tag: &str) -> Option<Parts<'_>> {
    let (rest, variant) = tag.strip_suffix("-nix").map_or((tag, Variant::Dockerfile), |rest| (rest, Variant::Nix));
    let (version, short_commit) = rest.rsplit_once('-')?;
    let version = version.strip_prefix('v').filter(|version| !version.is_empty())?;
    let digits = short_commit.len() == 7 && short_commit.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    digits.then_some(Parts { version, short_commit, variant })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMIT: &str = "b460333c2a4f5e6d7c8b9a0f1e2d3c4b5a697887";

    #[test]
    fn exactly_one_v() {
        assert_eq!(format("1.0.3", COMMIT, Variant::Dockerfile).unwrap(), "v1.0.3-b460333");
        assert_eq!(format("v1.0.3", COMMIT, Variant::Nix).unwrap(), "v1.0.3-b460333-nix");
    }

    #[test]
    fn versions_with_dashes_are_read_from_the_right() {
        let parts = parse("v4.1.1-r1-b460333").unwrap();
        assert_eq!((parts.version, parts.short_commit, parts.variant), ("4.1.1-r1", "b460333", Variant::Dockerfile));
        let parts = parse("v20260131-b460333-nix").unwrap();
        assert_eq!((parts.version, parts.variant), ("20260131", Variant::Nix));
        for other in ["latest", "1.0-b460333", "v1.0-B460333", "v1.0-b46033", "v-b460333", "v1.0-nix", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_commit_finds_its_tags_without_their_version() {
        let tags = ["latest", "v1-b460333", "v2-b460334-nix", "v2-rc-b460333-nix"];
        let found: Vec<_> = at_commit(tags, COMMIT, Variant::Nix).into_iter().map(|(tag, parts)| (tag, parts.version)).collect();
        assert_eq!(found, [("v2-rc-b460333-nix", "2-rc")]);
        assert_eq!(of(&Version::Evaluated, COMMIT, Variant::Nix).unwrap(), None);
    }

    #[test]
    fn what_no_registry_takes_is_refused() {
        assert!(matches!(format("1.0+build", COMMIT, Variant::Dockerfile), Err(VersionError::Character { character: '+', .. })));
        assert!(matches!(format("1.ü", COMMIT, Variant::Dockerfile), Err(VersionError::Character { .. })));
        assert!(matches!(format(&"1".repeat(120), COMMIT, Variant::Dockerfile), Err(VersionError::TooLong { length: 129, .. })));
        assert!(format(&"1".repeat(119), COMMIT, Variant::Dockerfile).is_ok());
        assert!(matches!(format("v", COMMIT, Variant::Dockerfile), Err(VersionError::Empty { .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(version in "[0-9a-z][0-9a-zA-Z._-]{0,40}", commit in "[0-9a-f]{40}", nix: bool) {
            let variant = if nix { Variant::Nix } else { Variant::Dockerfile };
            prop_assume!(version != "v");
            let tag = format(&version, &commit, variant).unwrap();
            let parts = parse(&tag).unwrap();
            prop_assert_eq!(parts.version, version.strip_prefix('v').unwrap_or(&version));
            prop_assert_eq!(parts.short_commit, &commit[..7]);
            prop_assert_eq!(parts.variant, variant);
        }
    }
}
