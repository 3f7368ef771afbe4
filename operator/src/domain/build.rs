//! The key of a build and the names that come of it (design section 6.1): the same key gives the same name, so that a second creation meets the first.

use mainstay_crds::{BuildSettings, ImageBuild, ImageBuildStatus, Variant};
use sha2::{Digest, Sha256};

/// Longest name of a Job whose pods can carry it as a label.
const MAX_NAME: usize = 63;

/// Whether a build has yet to end.
pub fn is_running(build: &ImageBuild) -> bool {
    build.status.as_ref().is_none_or(|status| status.completed_at.is_none())
}

/// Whether a build has had its turn: it holds a place of its engine until it ends.
pub fn has_turn(status: &ImageBuildStatus) -> bool {
    status.admitted_at.is_some() || status.job.is_some()
}

/// Everything that tells one wanted image from another. Attempts at the same key share a family.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// Name of the ContainerImage.
    pub name: &'a str,
    /// Image repository, without a tag.
    pub image: &'a str,
    /// Directory in the repository.
    pub path: &'a str,
    /// Commit, 40 hex digits. It covers the inputs: they are part of its tree.
    pub commit: &'a str,
    /// Variant.
    pub variant: Variant,
    /// Settings that change the result or may mend a failure: a change of them is a new family.
    pub settings: Option<&'a BuildSettings>,
    /// Value of the annotation `rebuild-at`: each new value is a new family.
    pub rebuild: Option<&'a str>,
}

impl Key<'_> {
    /// Hex hash that all attempts share; fits a label.
    pub fn family(&self) -> String {
        let settings = self.settings.map_or_else(String::new, |settings| serde_json::to_string(settings).unwrap_or_default());
        let text =
            [self.name, self.image, self.path, self.commit, self.variant.as_str(), &settings, self.rebuild.unwrap_or_default()].join("\n");
        hash(&text)
    }

    /// Full key of one attempt: hex, compared where two keys share a name.
    pub fn attempt(&self, attempt: u32) -> String {
        hash(&format!("{}\n{attempt}", self.family()))
    }

    /// Name of the ImageBuild of one attempt: `<image>-<sha7>[-nix]-<8 digits of the key>`, at most 63 characters.
    pub fn build_name(&self, attempt: u32) -> String {
        let nix = if self.variant == Variant::Nix { "-nix" } else { "" };
        let tail = format!("-{}{nix}-{}", short(self.commit), self.attempt(attempt).get(..8).unwrap_or_default());
        bounded(self.name, &tail)
    }
}

/// Name of the Job of an ImageBuild: its own name where that fits, else cut and made unique by its UID.
pub fn job_name(build: &str, uid: &str) -> String {
    if build.len() <= MAX_NAME { build.to_owned() } else { bounded(build, &format!("-{}", hash(uid).get(..8).unwrap_or_default())) }
}

/// First seven digits of a commit.
pub fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

fn bounded(head: &str, tail: &str) -> String {
    let room = MAX_NAME.saturating_sub(tail.len());
    let head = head.get(..room).unwrap_or(head).trim_end_matches(['-', '.']);
    format!("{head}{tail}")
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex::encode(digest.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "3b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887";

    fn key<'a>() -> Key<'a> {
        Key {
            name: "cv",
            image: "r/cv",
            path: "containers/cv",
            commit: COMMIT,
            variant: Variant::Dockerfile,
            settings: None,
            rebuild: None,
        }
    }

    #[test]
    fn a_name_says_what_it_builds() {
        let name = key().build_name(0);
        assert!(name.starts_with("cv-3b9e0d1-"), "{name}");
        assert!(Key { variant: Variant::Nix, ..key() }.build_name(0).starts_with("cv-3b9e0d1-nix-"));
        assert_eq!(name, key().build_name(0));
        assert_ne!(name, key().build_name(1));
    }

    #[test]
    fn every_part_makes_another_family() {
        let settings = BuildSettings { target: Some("x".into()), ..BuildSettings::default() };
        let all = [
            key(),
            Key { name: "dv", ..key() },
            Key { image: "r/dv", ..key() },
            Key { path: "containers/dv", ..key() },
            Key { commit: "4b9e0d1c2a4f5e6d7c8b9a0f1e2d3c4b5a697887", ..key() },
            Key { variant: Variant::Nix, ..key() },
            Key { settings: Some(&settings), ..key() },
            Key { rebuild: Some("now"), ..key() },
        ];
        let families: std::collections::BTreeSet<_> = all.iter().map(Key::family).collect();
        assert_eq!(families.len(), all.len());
    }

    #[test]
    fn long_names_stay_legal() {
        let long = "a.".repeat(120);
        let name = Key { name: &long, ..key() }.build_name(0);
        assert!(name.len() <= MAX_NAME, "{name}");
        assert!(!name.contains(".-"), "{name}");
        assert!(job_name(&long, "uid").len() <= MAX_NAME);
        assert_eq!(job_name("cv-try1", "uid"), "cv-try1");
    }
}
