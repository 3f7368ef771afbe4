//! Image references in a text: `repository:tag`, `repository@digest`, `repository:tag@digest`.

use super::Targets;
use crate::domain::tag;

/// Longest tag that a registry takes (OCI distribution specification).
const MAX_TAG: usize = 128;

/// A reference to one of our images, with a tag or a digest or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    /// Where the repository begins in the text.
    pub(super) start: usize,
    /// The repository.
    pub(super) name: &'t str,
    /// The tag, whatever it is.
    pub(super) tag: Option<&'t str>,
    /// The digest.
    pub(super) digest: Option<&'t str>,
    /// Whether it stands behind a scheme that moves images, such as `docker://`.
    pub(super) scheme: bool,
}

impl Reference<'_> {
    /// Where the part behind the repository begins: the tag, or the digest where there is no tag.
    pub(super) fn tail(&self) -> usize {
        self.start + self.name.len() + 1
    }

    /// How long that part is.
    pub(super) fn tail_len(&self) -> usize {
        match (self.tag, self.digest) {
            (Some(tag), Some(digest)) => tag.len() + 1 + digest.len(),
            (tag, digest) => tag.or(digest).map_or(0, str::len),
        }
    }

    /// Whether both say the same, wherever they stand.
    pub(super) fn same(&self, other: &Reference<'_>) -> bool {
        (self.name, self.tag, self.digest, self.scheme) == (other.name, other.tag, other.digest, other.scheme)
    }
}

/// Whether a text is a tag of ours, and one that a registry takes.
pub(super) fn is_ours(text: &str) -> bool {
    text.len() <= MAX_TAG && text.bytes().all(in_tag) && tag::parse(text).is_some()
}

/// Whether a tag ends as ours do, with a short commit: then it is worth a word, while `latest` or `kustomized` is a placeholder.
pub(super) fn ends_like_ours(text: &str) -> bool {
    let text = text.strip_suffix("-nix").unwrap_or(text);
    text.rsplit_once('-').is_some_and(|(_, commit)| tag::parse(&format!("v0-{commit}")).is_some())
}

/// Whether a text is a digest: `sha256:` and 64 digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// The reference that is the whole text.
pub(super) fn whole<'t>(text: &'t str, targets: &Targets) -> Option<Reference<'t>> {
    let mut found = targets.hosts().iter().filter(|host| text.as_bytes().starts_with(host.needle()));
    let reference = found.find_map(|host| read(text, 0, host.needle().len(), targets))?;
    (reference.tail() + reference.tail_len() == text.len()).then_some(reference)
}

/// All references in a text, in its order.
pub(super) fn within<'t>(text: &'t str, targets: &Targets) -> Vec<Reference<'t>> {
    let mut all: Vec<_> = targets
        .hosts()
        .iter()
        .flat_map(|host| host.find_iter(text.as_bytes()).filter_map(|at| read(text, at, host.needle().len(), targets)))
        .collect();
    all.sort_unstable_by_key(|reference| reference.start);
    all
}

/// Reads the reference whose host begins here. Whole names only: what touches it on either side must not be part of a name.
fn read<'t>(text: &'t str, start: usize, host: usize, targets: &Targets) -> Option<Reference<'t>> {
    let (before, from) = text.split_at_checked(start)?;
    let scheme = before.strip_suffix("://");
    if scheme.is_none() && before.ends_with(|c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "._-/@%+".contains(c)) {
        return None;
    }
    let path = from.as_bytes().get(host..)?.iter().take_while(|b| in_tag(**b) || **b == b'/').count();
    let (name, rest) = from.split_at_checked(host + path)?;
    if !targets.contains(name) {
        return None;
    }
    let (tag, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (tag, rest) = rest.split_at_checked(rest.bytes().take_while(|b| in_tag(*b)).count())?;
            if tag.is_empty() {
                return None;
            }
            (Some(tag), rest)
        }
        None => (None, rest),
    };
    let (digest, rest) = match rest.strip_prefix('@') {
        Some(rest) => {
            let (digest, rest) = rest.split_at_checked("sha256:".len() + 64)?;
            if !is_digest(digest) {
                return None;
            }
            (Some(digest), rest)
        }
        None => (None, rest),
    };
    let ends = rest.chars().next().is_none_or(|c| c.is_ascii_whitespace() || ",;\"'`)]}>|&".contains(c));
    // A web address of the registry is a link for people, no image that something pulls.
    let scheme = scheme.is_some_and(|before| !["http", "https"].iter().any(|web| before.ends_with(web)));
    (ends && (tag.is_some() || digest.is_some())).then_some(Reference { start, name, tag, digest, scheme })
}

fn in_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
