//! The places of a manifest that pin one of our images.

use std::ops::Range;

use granit_parser::ScalarStyle;

use mainstay_crds::Reason;

use super::document::{Id, Kind, Slot, Tree, clip};
use super::reference::{self, Reference};
use super::{Form, Note, Place, Scan, Targets, Unreadable};

/// Most places and notes of one manifest.
const MAX: usize = 10_000;

/// Longest foreign text in a message, in characters.
const MAX_SHOWN: usize = 80;

/// All places of a manifest, and what is left alone.
pub(super) fn places(tree: &Tree<'_>, targets: &Targets) -> Result<Scan, Unreadable> {
    let mut search = Search { tree, targets, places: Vec::new(), notes: Vec::new(), cuts: Vec::new() };
    for (id, node) in tree.nodes() {
        match (node.kind, node.slot) {
            (Kind::Mapping, Slot::Item(_)) if search.is_images_entry(id) => search.kustomize(id),
            (Kind::Scalar(_), Slot::Key) if node.text == "repository" => search.helm(node.parent),
            (Kind::Scalar(_), Slot::Root(_) | Slot::Item(_) | Slot::Value(_)) => search.scalar(id, &node.text),
            _ => {}
        }
        if search.places.len() + search.notes.len() > MAX {
            return Err(Unreadable { reason: Reason::TooLarge, message: format!("the file names our images more than {MAX} times") });
        }
    }
    Ok(search.finish())
}

struct Search<'a> {
    tree: &'a Tree<'a>,
    targets: &'a Targets,
    places: Vec<Place>,
    /// Each with its position.
    notes: Vec<(usize, Note)>,
    /// The parts of scalars that a later edit may change.
    cuts: Vec<(Id, Range<usize>)>,
}

impl Search<'_> {
    /// Whether a mapping is an item of a list `images`, as kustomize has it, and Flux.
    fn is_images_entry(&self, id: Id) -> bool {
        let list = self.tree.node(id).and_then(|node| self.tree.node(node.parent?));
        let Some(Slot::Value(key)) = list.map(|list| list.slot) else { return false };
        self.tree.string(key) == Some("images")
            && self.tree.get(id, "name").is_some()
            && ["newTag", "digest", "newName"].iter().any(|key| self.tree.get(id, key).is_some())
    }

    fn kustomize(&mut self, entry: Id) {
        let string = |key| self.tree.get(entry, key).and_then(|id| self.tree.string(id));
        let Some(image) = string("newName").or_else(|| string("name")).filter(|image| self.targets.contains(image)) else { return };
        let (tag, digest) = (self.tree.get(entry, "newTag"), self.tree.get(entry, "digest"));
        self.by_keys(Form::Kustomize, image.to_owned(), tag, digest);
    }

    fn helm(&mut self, mapping: Option<Id>) {
        let Some(mapping) = mapping else { return };
        let string = |key| self.tree.get(mapping, key).and_then(|id| self.tree.string(id));
        let Some(repository) = string("repository") else { return };
        let image = string("registry").map_or_else(|| repository.to_owned(), |registry| format!("{registry}/{repository}"));
        if self.targets.contains(&image) {
            let (tag, digest) = (self.tree.get(mapping, "tag"), self.tree.get(mapping, "digest"));
            self.by_keys(Form::HelmValues, image, tag, digest);
        }
    }

    /// A pin whose tag and digest are values of their own.
    fn by_keys(&mut self, form: Form, image: String, tag: Option<Id>, digest: Option<Id>) {
        let full = |id: &Id| self.tree.string(*id).is_some();
        let (tag, digest) = (tag.filter(full), digest.filter(full));
        let text = |id: Option<Id>| id.and_then(|id| self.tree.string(id)).map(str::to_owned);
        let (tag_text, digest_text) = (text(tag), text(digest));
        if let (Some(id), Some(text)) = (tag, tag_text.as_deref().filter(|text| !reference::is_ours(text))) {
            return self.foreign(id, &image, text);
        }
        if let (Some(id), Some(text)) = (digest, digest_text.as_deref().filter(|text| !reference::is_digest(text))) {
            let message = format!("the digest {:?} of {image} is not sha256: and 64 digits", clip(text, MAX_SHOWN));
            return self.note(id, None, Reason::DigestForeign, message);
        }
        let Some(first) = tag.or(digest) else { return };
        let mut at = [None, None];
        for (id, at) in [tag, digest].into_iter().zip(&mut at) {
            let Some(id) = id else { continue };
            if self.is_blocked(id, &image) {
                return;
            }
            let text = self.tree.string(id).unwrap_or_default();
            *at = self.verbatim(id, text, text);
            if at.is_none() {
                return self.escaped(id, &image);
            }
        }
        for (id, text) in [(tag, &tag_text), (digest, &digest_text)] {
            if let (Some(id), Some(text)) = (id, text) {
                self.cuts.push((id, 0..text.len()));
            }
        }
        self.place(form, image, first, (tag_text, at[0]), (digest_text, at[1]));
    }

    fn scalar(&mut self, id: Id, text: &str) {
        if !self.targets.occur_in(text.as_bytes()) || self.is_image_name(id) {
            return;
        }
        match reference::whole(text, self.targets) {
            Some(reference) => self.image(id, text, reference),
            None => self.mentions(id, text),
        }
    }

    /// The name in an entry of `images` takes no tag: one that is there is a mistake, and not ours to move.
    fn is_image_name(&self, id: Id) -> bool {
        let node = self.tree.node(id);
        let Some((Slot::Value(key), Some(parent))) = node.map(|node| (node.slot, node.parent)) else { return false };
        matches!(self.tree.string(key), Some("name" | "newName")) && self.is_images_entry(parent)
    }

    /// A value that is a reference and nothing else.
    fn image(&mut self, id: Id, text: &str, found: Reference<'_>) {
        if let Some(tag) = found.tag.filter(|tag| !reference::is_ours(tag)) {
            // A placeholder such as `:kustomized` is there on purpose, and is not worth a word.
            if found.digest.is_some() || reference::ends_like_ours(tag) {
                self.foreign(id, found.name, tag);
            }
            return;
        }
        if self.is_blocked(id, found.name) {
            return;
        }
        let Some(at) = text.get(found.tail()..).and_then(|tail| self.verbatim(id, text, tail)) else {
            return self.escaped(id, found.name);
        };
        self.reference(Form::Image, id, &found, at);
    }

    /// A text with references in it. Those behind a scheme are pins; the others may be anything, such as a script or an example.
    fn mentions(&mut self, id: Id, text: &str) {
        let found = reference::within(text, self.targets);
        let (start, raw) = self.tree.raw(id);
        let bytes = reference::within(raw, self.targets);
        // A reference has no blank, so that neither folding nor indentation can part it: with the same references in the same order, each has its bytes.
        let verbatim = found.len() == bytes.len() && found.iter().zip(&bytes).all(|(found, bytes)| found.same(bytes));
        let block = self.tree.node(id).is_some_and(|node| matches!(node.kind, Kind::Scalar(ScalarStyle::Literal | ScalarStyle::Folded)));
        for (at, found) in found.iter().enumerate() {
            let position = bytes.get(at).filter(|_| verbatim).map(|bytes| start + bytes.tail());
            if let Some(tag) = found.tag.filter(|tag| !reference::is_ours(tag)) {
                if found.digest.is_some() || reference::ends_like_ours(tag) {
                    self.foreign(id, found.name, tag);
                }
            } else if !found.scheme {
                let (reason, what) = if block { (Reason::BlockScalar, "a block of text") } else { (Reason::LooseText, "a text") };
                let message = format!(
                    "{} is named inside {what}: only a whole value, or one behind a scheme such as docker://, is changed",
                    found.name
                );
                self.note(id, position, reason, message);
            } else if !self.is_blocked(id, found.name) {
                match position {
                    Some(at) => self.reference(Form::Text, id, found, at),
                    None => self.escaped(id, found.name),
                }
            }
        }
    }

    /// Where in the source the end of a scalar's text stands, if it stands there as it reads.
    fn verbatim(&self, id: Id, text: &str, tail: &str) -> Option<usize> {
        let (start, raw) = self.tree.raw(id);
        let end = start + raw.trim_end().len();
        (text.ends_with(tail) && raw.trim_end().ends_with(tail)).then(|| end - tail.len())
    }

    /// A pin whose tag and digest stand in one text; in the source from `at` on.
    fn reference(&mut self, form: Form, id: Id, found: &Reference<'_>, at: usize) {
        self.cuts.push((id, found.tail()..found.tail() + found.tail_len()));
        let digest_at = found.tag.map_or(at, |tag| at + tag.len() + 1);
        let own = |text: Option<&str>, at| (text.map(str::to_owned), text.map(|_| at));
        self.place(form, found.name.to_owned(), id, own(found.tag, at), own(found.digest, digest_at));
    }

    fn place(&mut self, form: Form, image: String, id: Id, tag: (Option<String>, Option<usize>), digest: (Option<String>, Option<usize>)) {
        let field = self.tree.path(id);
        let ((tag, tag_at), (digest, digest_at)) = (tag, digest);
        self.places.push(Place { form, line: 0, image, tag, digest, field, tag_at, digest_at, seal: 0 });
    }

    /// What keeps a scalar from being edited, whatever it says.
    fn is_blocked(&mut self, id: Id, image: &str) -> bool {
        if self.tree.is_shared(id) {
            let message = format!("{} names {image} through an anchor that other places follow: write it out", self.tree.path(id));
            self.note(id, None, Reason::SharedAnchor, message);
            return true;
        }
        if self.tree.node(id).is_some_and(|node| node.tagged) {
            let message = format!("{} names {image} in a value with a YAML tag, so that it is no text", self.tree.path(id));
            self.note(id, None, Reason::ValueTag, message);
            return true;
        }
        false
    }

    fn foreign(&mut self, id: Id, image: &str, tag: &str) {
        let message = format!("{image}:{} is no tag that Mainstay makes", clip(tag, MAX_SHOWN));
        self.note(id, None, Reason::TagForeign, message);
    }

    fn escaped(&mut self, id: Id, image: &str) {
        let message =
            format!("{} names {image} with escapes, so that its bytes are not what it says: write it plainly", self.tree.path(id));
        self.note(id, None, Reason::Escaped, message);
    }

    fn note(&mut self, id: Id, at: Option<usize>, reason: Reason, message: String) {
        let at = at.unwrap_or_else(|| self.tree.range(id).start);
        self.notes.push((at, Note { line: 0, reason, message }));
    }

    /// Brings everything into the order of the text, counts the lines in one pass, and seals the places.
    fn finish(mut self) -> Scan {
        let mut bytes = Lines { source: self.tree.source().as_bytes(), at: 0, line: 1 };
        let mut lines = bytes;
        self.places.sort_by_key(Place::at);
        self.notes.sort_by_key(|(at, _)| *at);
        self.cuts.sort_by_key(|(id, cut)| (*id, cut.start));
        let seal = if self.places.is_empty() { 0 } else { self.tree.seal(&self.cuts) };
        for place in &mut self.places {
            place.line = lines.of(place.at());
            place.seal = seal;
        }
        let note = |(at, note)| Note { line: bytes.of(at), ..note };
        Scan { places: self.places, notes: self.notes.into_iter().map(note).collect() }
    }
}

/// Counts lines up to positions that only grow.
#[derive(Clone, Copy)]
struct Lines<'t> {
    source: &'t [u8],
    at: usize,
    line: u32,
}

impl Lines<'_> {
    fn of(&mut self, at: usize) -> u32 {
        for _ in memchr::memchr_iter(b'\n', self.source.get(self.at..at).unwrap_or_default()) {
            self.line += 1;
        }
        self.at = self.at.max(at);
        self.line
    }
}
