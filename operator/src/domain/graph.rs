//! The commits of a repository and how they hang together: what is on main, in which order, and which commit seven digits name
//! (design section 2). Commits never change, so that what was learnt stays; only what the branches reach is computed anew.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// The 20 bytes of a commit's name.
pub type Id = [u8; 20];

/// Digits of a commit in a tag.
const SHORT: usize = 7;

/// All commits that the branches reach, and those of main in order. Built by [`Graph::learn`] and [`Graph::set_branches`].
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// By index: parents come before their children.
    nodes: Vec<Node>,
    index: HashMap<Id, u32>,
    /// Branches and where they point, sorted by name; the answer to "has anything moved?".
    branches: Vec<(String, Id)>,
    /// Which of them is main.
    main: String,
    /// What seven digits name among the commits that a branch reaches.
    short: HashMap<u32, Short>,
}

#[derive(Debug, Clone)]
struct Node {
    id: Id,
    /// Indices; the first parent first.
    parents: Vec<u32>,
    /// Longest way to a root: an ancestor always has a smaller one.
    generation: u32,
    /// Whether a branch reaches it.
    reached: bool,
    /// Number of the commit on main's first-parent line that brought it in, from 1; 0 where it is not on main.
    place: u32,
    /// Whether it is itself on the first-parent line.
    on_line: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Short {
    One(u32),
    Several,
}

/// What seven digits, or forty, name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No commit that a branch reaches.
    Absent,
    /// More than one.
    Ambiguous,
    /// This one.
    One(Commit),
}

/// A commit of the graph. Of two on main the one with the larger [`Commit::order`] is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: Id,
    /// Whether it is main's head or an ancestor of it.
    pub on_main: bool,
    /// Whether it is on main's first-parent line.
    pub on_line: bool,
    place: u32,
    generation: u32,
}

impl Commit {
    /// Order by main's graph: when main got it, then how deep it lies. Never by date.
    pub fn order(&self) -> (u32, u32) {
        (self.place, self.generation)
    }

    /// 40 hex digits.
    pub fn hex(&self) -> String {
        hex::encode(self.id)
    }
}

/// Reads 40 hex digits.
pub fn id(text: &str) -> Option<Id> {
    let mut id = Id::default();
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id)
}

impl Graph {
    /// Whether a commit is known already, so that its ancestors need not be read again.
    pub fn knows(&self, id: &Id) -> bool {
        self.index.contains_key(id)
    }

    /// Branches and where they point, as last set.
    pub fn branches(&self) -> &[(String, Id)] {
        &self.branches
    }

    /// Adds a commit. Its parents must have been added before; one that was not is taken for a missing end of history, and then nothing
    /// beyond it is claimed.
    pub fn learn(&mut self, id: Id, parents: &[Id]) {
        if self.knows(&id) {
            return;
        }
        let parents: Vec<u32> = parents.iter().filter_map(|parent| self.index.get(parent).copied()).collect();
        let generation = parents.iter().filter_map(|at| self.node(*at)).map(|node| node.generation).max().map_or(1, |deepest| deepest + 1);
        let at = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.index.insert(id, at);
        self.nodes.push(Node { id, parents, generation, reached: false, place: 0, on_line: false });
    }

    /// Says where the branches point now, and which of them is main. Everything that depends on it is computed anew, in memory.
    pub fn set_branches(&mut self, mut branches: Vec<(String, Id)>, main: &str) {
        branches.sort();
        for node in &mut self.nodes {
            (node.reached, node.place, node.on_line) = (false, 0, false);
        }
        for (_, head) in &branches {
            if let Some(at) = self.index.get(head).copied() {
                self.mark(at, |node| !std::mem::replace(&mut node.reached, true));
            }
        }
        let head = branches.iter().find(|(name, _)| name == main).and_then(|(_, head)| self.index.get(head).copied());
        let mut line = Vec::new();
        let mut next = head;
        while let Some(at) = next {
            line.push(at);
            next = self.node(at).and_then(|node| node.parents.first().copied());
        }
        for (place, at) in (1_u32..).zip(line.iter().rev()) {
            self.mark(*at, |node| {
                let new = node.place == 0;
                if new {
                    node.place = place;
                }
                new
            });
            if let Some(node) = usize::try_from(*at).ok().and_then(|at| self.nodes.get_mut(at)) {
                node.on_line = true;
            }
        }
        self.short.clear();
        for (at, node) in (0_u32..).zip(&self.nodes) {
            if node.reached {
                self.short.entry(prefix(&node.id)).and_modify(|short| *short = Short::Several).or_insert(Short::One(at));
            }
        }
        self.branches = branches;
        main.clone_into(&mut self.main);
    }

    /// Whether the branches point where they did when they were last set, and main is the same one.
    pub fn is_at(&self, branches: &[(String, Id)], main: &str) -> bool {
        self.branches == branches && self.main == main
    }

    /// A short hash of where the branches point.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (name, head) in &self.branches {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(head);
        }
        hex::encode(hash.finalize().get(..6).unwrap_or_default())
    }

    /// Main's head.
    pub fn head(&self) -> Option<Id> {
        self.branches.iter().find(|(name, _)| *name == self.main).map(|(_, head)| *head)
    }

    /// What the first seven digits of a commit name.
    pub fn find_short(&self, digits: &str) -> Found {
        let parsed = (digits.len() == SHORT && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten();
        match parsed.and_then(|number| self.short.get(&number)) {
            None => Found::Absent,
            Some(Short::Several) => Found::Ambiguous,
            Some(Short::One(at)) => self.node(*at).map_or(Found::Absent, |node| Found::One(commit(node))),
        }
    }

    /// The commit of that full name, where a branch reaches it.
    pub fn find(&self, id: &Id) -> Option<Commit> {
        let node = self.index.get(id).and_then(|at| self.node(*at))?;
        node.reached.then(|| commit(node))
    }

    /// Whether `old` is `new` or an ancestor of it, by the whole graph.
    pub fn descends(&self, new: &Id, old: &Id) -> bool {
        let (Some(new), Some(old)) = (self.index.get(new).copied(), self.index.get(old).copied()) else { return false };
        let (Some(from), Some(to)) = (self.node(new), self.node(old)) else { return false };
        // On one line the numbers say it.
        if from.on_line && to.on_line {
            return from.place >= to.place;
        }
        let mut seen = std::collections::HashSet::new();
        let mut open = vec![new];
        while let Some(at) = open.pop() {
            if at == old {
                return true;
            }
            let Some(node) = self.node(at) else { continue };
            if node.generation > to.generation && seen.insert(at) {
                open.extend(&node.parents);
            }
        }
        false
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(at).ok()?)
    }

    /// Visits a commit and its ancestors, as long as `visit` says that it is new.
    fn mark(&mut self, from: u32, mut visit: impl FnMut(&mut Node) -> bool) {
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            let Some(node) = usize::try_from(at).ok().and_then(|at| self.nodes.get_mut(at)) else { continue };
            if visit(node) {
                open.extend(&node.parents);
            }
        }
    }
}

fn commit(node: &Node) -> Commit {
    Commit { id: node.id, on_main: node.place > 0, on_line: node.on_line, place: node.place, generation: node.generation }
}

/// The first seven digits as a number.
fn prefix(id: &Id) -> u32 {
    let [a, b, c, d, ..] = *id;
    u32::from_be_bytes([a, b, c, d]) >> 4
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
