//! The edit: bytes of tags and digests are replaced, and the result is read again before anybody gets it.

use std::ops::Range;

use mainstay_crds::Reason;

use super::{Form, Place, Targets, Unreadable, document, reference, scan};
use crate::error::{Class, Classified};

/// What a place shall say.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The place, from a scan of the same text.
    pub place: &'a Place,
    /// The tag that it shall name. A place that has only a digest gets no tag.
    pub tag: &'a str,
    /// The digest of that tag. A place that has a digest must get the new one, or it would go on running the old image under the new name.
    /// Others get it where no new key is needed for it: see [`Place::takes_digest`].
    pub digest: Option<&'a str>,
}

/// Why an edit was not made. Then nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The place is from another text.
    #[error("{field} is not there any more: the file has to be read again")]
    Stale {
        /// Which place.
        field: String,
    },
    /// Two changes for one place.
    #[error("line {line} would be changed twice")]
    Overlap {
        /// The line.
        line: u32,
    },
    /// A tag that is not one of ours. Ours begin with a letter, so that a plain value stays a text.
    #[error("{tag:?} is no tag that Mainstay makes: {field} stays as it is")]
    TagForeign {
        /// Which place.
        field: String,
        /// The tag.
        tag: String,
    },
    /// A digest that is none.
    #[error("{digest:?} is not sha256: and 64 digits: {field} stays as it is")]
    DigestForeign {
        /// Which place.
        field: String,
        /// The digest.
        digest: String,
    },
    /// A place with a digest that would stay while the tag changes.
    #[error("{field} has a digest, and the new one is not known")]
    DigestMissing {
        /// Which place.
        field: String,
    },
    /// The result cannot be read.
    #[error("the edited file could not be read: {0}")]
    Unreadable(#[source] Unreadable),
    /// The result does not read as wanted, or something else in it does not read as before.
    #[error("{field} did not read as wanted after the edit: the file stays as it is")]
    Unproven {
        /// Which place.
        field: String,
    },
}

impl Classified for EditError {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> Reason {
        match self {
            EditError::Stale { .. } => Reason::Stale,
            EditError::Overlap { .. } => Reason::Overlap,
            EditError::TagForeign { .. } => Reason::TagForeign,
            EditError::DigestForeign { .. } => Reason::DigestForeign,
            EditError::DigestMissing { .. } => Reason::DigestMissing,
            EditError::Unreadable(cause) => cause.reason,
            EditError::Unproven { .. } => Reason::Unproven,
        }
    }
}

/// Makes the changes: all of them or none. No byte outside of the tags and digests changes, and that is proven by reading the result:
/// each changed place must be there with what it shall say, and everything else must read as it did.
///
/// # Errors
/// Where a change does not fit its place, or the result is not proven.
pub fn apply(text: &[u8], changes: &[Change<'_>], targets: &Targets) -> Result<Vec<u8>, EditError> {
    if changes.is_empty() {
        return Ok(text.to_vec());
    }
    let mut splices = Vec::new();
    for change in changes {
        change.splice(text, &mut splices)?;
    }
    splices.sort_unstable_by_key(|splice| splice.range.start);
    let edited = splice(text, &splices)?;
    prove(&edited, changes, &splices, targets)?;
    Ok(edited)
}

/// Bytes that take the place of others.
struct Splice<'a> {
    range: Range<usize>,
    line: u32,
    with: [&'a str; 3],
}

impl Splice<'_> {
    fn len(&self) -> usize {
        self.with.iter().map(|part| part.len()).sum()
    }
}

impl<'a> Change<'a> {
    /// Checks the change, and adds what has to be replaced for it.
    fn splice(&self, text: &[u8], splices: &mut Vec<Splice<'a>>) -> Result<(), EditError> {
        let Change { place, tag, digest } = *self;
        let field = || place.field.clone();
        if !reference::is_ours(tag) {
            return Err(EditError::TagForeign { field: field(), tag: document::clip(tag, 80).to_owned() });
        }
        if let Some(digest) = digest.filter(|digest| !reference::is_digest(digest)) {
            return Err(EditError::DigestForeign { field: field(), digest: document::clip(digest, 80).to_owned() });
        }
        if place.digest.is_some() && digest.is_none() {
            return Err(EditError::DigestMissing { field: field() });
        }
        let mut replace = |old: &Option<String>, at: Option<usize>, with| {
            let (Some(old), Some(at)) = (old, at) else { return Ok(()) };
            let range = at..at.saturating_add(old.len());
            if text.get(range.clone()) != Some(old.as_bytes()) {
                return Err(EditError::Stale { field: field() });
            }
            splices.push(Splice { range, line: place.line, with });
            Ok(())
        };
        match digest.filter(|_| place.digest.is_none() && place.form == Form::Image) {
            Some(new) => replace(&place.tag, place.tag_at, [tag, "@", new]),
            None => replace(&place.tag, place.tag_at, [tag, "", ""]),
        }?;
        replace(&place.digest, place.digest_at, [digest.unwrap_or_default(), "", ""])
    }

    /// The digest that the place has in the end.
    fn final_digest(&self) -> Option<&str> {
        self.digest.filter(|_| self.place.takes_digest())
    }
}

fn splice(text: &[u8], splices: &[Splice<'_>]) -> Result<Vec<u8>, EditError> {
    let mut edited = Vec::with_capacity(text.len() + splices.iter().map(Splice::len).sum::<usize>());
    let mut from = 0;
    for splice in splices {
        let kept = text.get(from..splice.range.start).ok_or(EditError::Overlap { line: splice.line })?;
        edited.extend_from_slice(kept);
        splice.with.iter().for_each(|part| edited.extend_from_slice(part.as_bytes()));
        from = splice.range.end;
    }
    edited.extend_from_slice(text.get(from..).unwrap_or_default());
    Ok(edited)
}

/// The bytes between the splices are the old ones. That they also mean what they did is said by the seal, which covers all values but the pinned tags.
fn prove(edited: &[u8], changes: &[Change<'_>], splices: &[Splice<'_>], targets: &Targets) -> Result<(), EditError> {
    let after = scan(edited, targets).map_err(EditError::Unreadable)?;
    // Where a position of the old text stands in the new one: the splices before it have moved it.
    let mut moved = Vec::with_capacity(splices.len());
    let mut shift = 0isize;
    for splice in splices {
        moved.push((splice.range.start, shift));
        shift += splice.len().cast_signed() - splice.range.len().cast_signed();
    }
    for change in changes {
        let place = change.place;
        let found = moved
            .binary_search_by_key(&place.at(), |(start, _)| *start)
            .ok()
            .and_then(|index| moved.get(index))
            .and_then(|(start, shift)| start.checked_add_signed(*shift))
            .and_then(|at| after.places.binary_search_by_key(&at, Place::at).ok())
            .and_then(|index| after.places.get(index));
        let tag = place.tag.as_ref().map(|_| change.tag);
        let proven = found.is_some_and(|found| {
            (found.form, found.line, &found.image, &found.field, found.seal)
                == (place.form, place.line, &place.image, &place.field, place.seal)
                && (found.tag.as_deref(), found.digest.as_deref()) == (tag, change.final_digest())
        });
        if !proven {
            return Err(EditError::Unproven { field: place.field.clone() });
        }
    }
    Ok(())
}
