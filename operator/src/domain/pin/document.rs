//! A manifest as a light tree: what each value is and where its bytes stand. Nothing is interpreted, and aliases are not followed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use granit_parser::{Event, Parser, ScalarStyle, Span, options};

use mainstay_crds::Reason;

use super::Unreadable;

/// Largest manifest that is read, in bytes.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// Most values of a manifest: with [`MAX_BYTES`] it bounds the memory of a tree to about 40 MiB, whatever the text.
const MAX_NODES: usize = 500_000;

/// Longest way to a value that is shown, and longest key in it, in characters.
const MAX_PATH: usize = 200;
const MAX_KEY: usize = 60;

/// Index of a node.
pub(super) type Id = u32;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Mapping,
    Sequence,
    Scalar(ScalarStyle),
    Alias,
}

/// Where a node stands in its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Root(u32),
    Item(u32),
    Key,
    Value(Id),
}

/// A value, a key or a collection.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) kind: Kind,
    pub(super) slot: Slot,
    pub(super) parent: Option<Id>,
    /// The text of a scalar, escapes and folding undone.
    pub(super) text: Cow<'t, str>,
    /// Whether a tag such as `!!binary` says that the text means something else.
    pub(super) tagged: bool,
    start: u32,
    end: u32,
    /// The anchor it defines, or the alias follows; 0 for none.
    anchor: u32,
    /// The node after it and all that is in it.
    after: Id,
}

/// All documents of a manifest; a node stands before what is in it.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    text: &'t str,
    nodes: Vec<Node<'t>>,
    anchors: HashMap<u32, Id>,
    aliased: HashSet<u32>,
}

/// The text of a manifest, where it can be one.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    let unreadable = |reason, message| Err(Unreadable { reason, message });
    if bytes.len() > MAX_BYTES {
        return unreadable(Reason::TooLarge, format!("the file has {} bytes, and {MAX_BYTES} are read at most", bytes.len()));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return unreadable(Reason::NotUtf8, format!("line {}: the file is not UTF-8 text", line(bytes, error.valid_up_to()))),
    };
    let mut marks = ["<<<<<<<", ">>>>>>>"].into_iter().flat_map(|mark| text.match_indices(mark));
    if let Some((at, _)) = marks.find(|(at, _)| *at == 0 || bytes.get(at - 1) == Some(&b'\n')) {
        return unreadable(Reason::ConflictMarkers, format!("line {}: a merge conflict is not resolved", line(bytes, at)));
    }
    Ok(text)
}

impl<'t> Tree<'t> {
    /// Reads all documents. One that is broken makes all of them unreadable: what stands beside it may not mean what it seems to.
    pub(super) fn read(text: &'t str) -> Result<Self, Unreadable> {
        let mut tree = Tree { text, nodes: Vec::new(), anchors: HashMap::new(), aliased: HashSet::new() };
        let mut open: Vec<Open> = Vec::new();
        let mut documents = 0usize;
        let mut keys = Vec::new();
        for event in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
            let (event, span) = event.map_err(|error| broken(text, error.marker().line(), &error.info()))?;
            match event {
                Event::DocumentStart(..) => documents += 1,
                Event::MappingEnd | Event::SequenceEnd => {
                    if let Some(closed) = open.pop() {
                        tree.close(closed.node, &mut keys)?;
                    }
                }
                event if event.is_node() => {
                    let slot = open.last_mut().map_or(Slot::Root(small(documents).saturating_sub(1)), |open| open.slot(tree.nodes.len()));
                    let collection = matches!(event, Event::MappingStart(..) | Event::SequenceStart(..));
                    let mapping = matches!(event, Event::MappingStart(..));
                    let parent = open.last().map(|open| open.node);
                    let node = tree.add(event, span, slot, parent)?;
                    if collection {
                        open.push(Open { node, mapping, count: 0, key: None });
                    }
                }
                _ => {}
            }
        }
        Ok(tree)
    }

    fn add(&mut self, event: Event<'t>, span: Span, slot: Slot, parent: Option<Id>) -> Result<Id, Unreadable> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Unreadable { reason: Reason::TooLarge, message: format!("the file has more than {MAX_NODES} values") });
        }
        let id = small(self.nodes.len());
        let tagged = event.tag().is_some_and(|tag| !tag.is_yaml_core_schema_tag("str"));
        let anchor = small(event.anchor_id().or(event.alias_id()).unwrap_or_default());
        let (kind, text) = match event {
            Event::MappingStart(..) => (Kind::Mapping, Cow::Borrowed("")),
            Event::SequenceStart(..) => (Kind::Sequence, Cow::Borrowed("")),
            Event::Scalar(text, style, ..) => (Kind::Scalar(style), text),
            _ => (Kind::Alias, Cow::Borrowed("")),
        };
        if kind == Kind::Alias {
            self.aliased.insert(anchor);
        } else if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        let range = span.byte_range().unwrap_or_default();
        let (start, end) = (small(range.start), small(range.end));
        self.nodes.push(Node { kind, slot, parent, text, tagged, start, end, anchor, after: id + 1 });
        Ok(id)
    }

    /// Ends a collection. Of two equal keys each reader takes another one, so that such a file has no meaning.
    fn close(&mut self, id: Id, keys: &mut Vec<Id>) -> Result<(), Unreadable> {
        let after = small(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(id as usize) {
            node.after = after;
        }
        keys.clear();
        keys.extend(self.keys(id).filter(|key| self.scalar(*key).is_some()));
        keys.sort_by_key(|key| self.scalar(*key));
        let twice = keys.windows(2).find_map(|pair| match pair {
            [first, second] if self.scalar(*first) == self.scalar(*second) => Some(*second),
            _ => None,
        });
        let Some(second) = twice else { return Ok(()) };
        let line = line(self.text.as_bytes(), self.range(second).start);
        let key = clip(self.scalar(second).unwrap_or_default(), MAX_KEY);
        Err(Unreadable { reason: Reason::Syntax, message: format!("line {line}: the key {key:?} is there twice") })
    }

    /// A node.
    pub(super) fn node(&self, id: Id) -> Option<&Node<'t>> {
        self.nodes.get(id as usize)
    }

    /// All nodes, in the order of the text.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Id, &Node<'t>)> {
        (0..).zip(&self.nodes)
    }

    /// All of the text.
    pub(super) fn source(&self) -> &'t str {
        self.text
    }

    /// The bytes of a scalar as they stand there, without the quotes, and where they begin.
    pub(super) fn raw(&self, id: Id) -> (usize, &'t str) {
        let mut range = self.range(id);
        if let Some(Kind::Scalar(ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted)) = self.node(id).map(|node| node.kind) {
            range = range.start + 1..range.end.saturating_sub(1);
        }
        (range.start, self.text.get(range).unwrap_or_default())
    }

    /// Where a node stands in the text.
    pub(super) fn range(&self, id: Id) -> std::ops::Range<usize> {
        self.node(id).map_or(0..0, |node| node.start as usize..node.end as usize)
    }

    /// The value of a key of a mapping.
    pub(super) fn get(&self, mapping: Id, name: &str) -> Option<Id> {
        let key = self.keys(mapping).find(|key| self.scalar(*key) == Some(name))?;
        self.node(key).map(|key| key.after)
    }

    /// The text of a scalar, also through an alias. `None` for nothing: no text, an empty one, a null.
    pub(super) fn string(&self, id: Id) -> Option<&str> {
        let node = self.node(id)?;
        let id = if node.kind == Kind::Alias { *self.anchors.get(&node.anchor)? } else { id };
        let plain = self.node(id)?.kind == Kind::Scalar(ScalarStyle::Plain);
        let null = |text: &str| text.is_empty() || (plain && matches!(text, "~" | "null" | "Null" | "NULL"));
        self.scalar(id).filter(|text| !null(text))
    }

    /// Whether other places of the document follow this node, by an alias of it or of what it is in; or it is itself such a place.
    pub(super) fn is_shared(&self, id: Id) -> bool {
        self.upwards(id).any(|node| node.kind == Kind::Alias || (node.anchor != 0 && self.aliased.contains(&node.anchor)))
    }

    /// The way to a node, for people: `document[1].spec.containers[0].image`.
    pub(super) fn path(&self, id: Id) -> String {
        let name = |key| match self.scalar(key) {
            Some(key) if key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) => format!(".{}", clip(key, MAX_KEY)),
            Some(key) => format!("[{:?}]", clip(key, MAX_KEY)),
            None => "[?]".to_owned(),
        };
        let mut parts: Vec<String> = self
            .upwards(id)
            .map(|node| match node.slot {
                Slot::Root(0) | Slot::Key => String::new(),
                Slot::Root(document) => format!("document[{document}]"),
                Slot::Item(item) => format!("[{item}]"),
                Slot::Value(key) => name(key),
            })
            .collect();
        parts.reverse();
        let path = parts.concat();
        let path = path.strip_prefix('.').unwrap_or(&path);
        match path.char_indices().nth_back(MAX_PATH) {
            Some((cut, _)) => format!("…{}", path.get(cut..).unwrap_or_default()),
            None => path.to_owned(),
        }
    }

    /// One number for the shape and all values of the tree, but for the parts of scalars that are cut out. Cuts are in the order of the text.
    pub(super) fn seal(&self, cuts: &[(Id, std::ops::Range<usize>)]) -> u64 {
        let mut hash = std::hash::DefaultHasher::new();
        let mut cuts = cuts.iter().peekable();
        for (id, node) in self.nodes() {
            (node.kind, node.slot, node.parent, node.anchor, node.tagged).hash(&mut hash);
            let mut from = 0;
            while let Some((_, cut)) = cuts.next_if(|(cut, _)| *cut == id) {
                node.text.get(from..cut.start).hash(&mut hash);
                from = cut.end;
            }
            node.text.get(from..).hash(&mut hash);
        }
        hash.finish()
    }

    fn scalar(&self, id: Id) -> Option<&str> {
        self.node(id).filter(|node| matches!(node.kind, Kind::Scalar(_))).map(|node| node.text.as_ref())
    }

    fn upwards(&self, id: Id) -> impl Iterator<Item = &Node<'t>> {
        std::iter::successors(self.node(id), |node| self.node(node.parent?))
    }

    /// The keys of a mapping.
    fn keys(&self, mapping: Id) -> impl Iterator<Item = Id> {
        let end = self.node(mapping).map_or(0, |node| node.after);
        let children = std::iter::successors(Some(mapping + 1), |child| self.node(*child).map(|node| node.after));
        children.take_while(move |child| *child < end).filter(|child| self.node(*child).is_some_and(|node| node.slot == Slot::Key))
    }
}

/// A collection that is not closed yet.
struct Open {
    node: Id,
    mapping: bool,
    count: u32,
    key: Option<Id>,
}

impl Open {
    /// Where the next node in it stands.
    fn slot(&mut self, next: usize) -> Slot {
        if !self.mapping {
            self.count += 1;
            return Slot::Item(self.count - 1);
        }
        match self.key.take() {
            Some(key) => Slot::Value(key),
            None => {
                self.key = Some(small(next));
                Slot::Key
            }
        }
    }
}

/// The beginning of a text, for a message.
pub(super) fn clip(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

fn broken(text: &str, line: usize, what: &str) -> Unreadable {
    let here = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if here.contains("{{") || text.lines().any(|line| line.trim_start().starts_with("{{")) {
        let message = format!("line {line}: {what}. The file is a template: keep its tag in a values file, which is read");
        return Unreadable { reason: Reason::Template, message };
    }
    Unreadable { reason: Reason::Syntax, message: format!("line {line}: {what}") }
}

/// The line of a position, counted from 1.
fn line(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|b| **b == b'\n').count()
}

/// Positions and counts fit: [`MAX_BYTES`] is far smaller.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
