//! Pins: the places of a manifest that name one of our images and its tag; text in, text out (design section 4.6).
//!
//! [`scan`] finds them, [`apply`] replaces the bytes of the tag, or of the digest, and no other byte. A manifest is never written from a model of it:
//! the parser only says where the bytes are.

mod document;
mod edit;
mod find;
mod reference;
mod targets;

pub use edit::{Change, EditError, apply};
pub use targets::Targets;

use mainstay_crds::Reason;

use crate::error::{Class, Classified};

/// How a place names the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// An entry of a kustomize `images:` list.
    Kustomize,
    /// A value that is a reference and nothing else: `image:` of a workload, a field of a CRD, an argument.
    Image,
    /// A reference behind a scheme, such as `docker://registry.example/cv:v1.0.3-0e2c101`, anywhere in a text.
    Text,
    /// Helm values: `repository` and `tag` in one mapping, with or without `registry`.
    HelmValues,
}

/// One pin: a place that names one of our images, and by which tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How it names the image.
    pub form: Form,
    /// Line of the tag (of the digest, where there is no tag), counted from 1.
    pub line: u32,
    /// The image repository, one of the [`Targets`].
    pub image: String,
    /// The tag: one of ours.
    pub tag: Option<String>,
    /// The digest, `sha256:` and 64 digits.
    pub digest: Option<String>,
    /// Where it stands, for people: `images[0].newTag`; with the document in front where it is not the first.
    pub field: String,
    tag_at: Option<usize>,
    digest_at: Option<usize>,
    seal: u64,
}

impl Place {
    /// Whether a digest can be written here without a new key: there is one already, or the place is a whole reference.
    pub fn takes_digest(&self) -> bool {
        self.digest.is_some() || self.form == Form::Image
    }

    /// Where its first byte stands.
    fn at(&self) -> usize {
        self.tag_at.or(self.digest_at).unwrap_or_default()
    }
}

/// A place that was seen and is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its line, counted from 1.
    pub line: u32,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// What a manifest holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The pins, in the order of the text.
    pub places: Vec<Place>,
    /// What was seen and is left alone, in the order of the text.
    pub notes: Vec<Note>,
}

/// A manifest that names our images and cannot be read. It is left alone as a whole, also where a part of it could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// Why, in one word: `TooLarge`, `NotUtf8`, `ConflictMarkers`, `Template` or `Syntax`.
    pub reason: Reason,
    /// Why, and in which line.
    pub message: String,
}

impl Classified for Unreadable {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> Reason {
        self.reason
    }
}

/// Finds the pins of a manifest. A text that has no registry host of ours in it is not looked into at all.
///
/// # Errors
/// Where the text names one of our hosts and is not YAML or JSON that a person can have meant.
pub fn scan(text: &[u8], targets: &Targets) -> Result<Scan, Unreadable> {
    if !targets.occur_in(text) {
        return Ok(Scan::default());
    }
    let tree = document::Tree::read(document::text(text)?)?;
    find::places(&tree, targets)
}

#[cfg(test)]
#[path = "pin_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "real_tests.rs"]
mod real;

#[cfg(test)]
#[path = "property_tests.rs"]
mod properties;
