//! The touches of many paths in one pass over main's first-parent line (design sections 2 and 4.2).
//!
//! A path is touched by a commit whose tree differs there from its first parent's. Trees carry the hash of their content, so that equal
//! subtrees are skipped unread, and the paths are held as a trie, so that one look at a directory serves all that lie in it.

use std::collections::{BTreeMap, HashMap};

use git2::{Commit, Oid, Repository, Tree, TreeEntry};

use super::error::GitError;

/// Paths whose newest touch together is asked for: a container and its extra inputs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watch {
    /// The container's directory first, then its inputs.
    pub paths: Vec<String>,
}

/// A touch and its place on the line: a larger number is newer.
type Touch = (i64, Oid);

/// What is known of main's line. It is rebuilt from the clone, and never needed after a crash.
#[derive(Debug, Default)]
pub struct Index {
    /// Head that the touches speak of, and its number.
    head: Option<Touch>,
    touches: HashMap<String, Option<Touch>>,
}

impl Index {
    /// The touch of each watch at `head`; `None` where the first path of the watch is not on main.
    ///
    /// # Errors
    /// Where the clone cannot be read.
    pub fn touches(&mut self, repository: &Repository, head: Oid, watches: &[Watch]) -> Result<Vec<Option<Oid>>, GitError> {
        self.advance(repository, head)?;
        let unknown: Vec<&str> =
            watches.iter().flat_map(|w| &w.paths).map(String::as_str).filter(|path| !self.touches.contains_key(*path)).collect();
        self.learn(repository, head, &unknown)?;
        let tree = repository.find_commit(head)?.tree()?;
        // Containers lie side by side: their directory is read once for all of them.
        let mut directories: HashMap<&str, Option<Tree<'_>>> = HashMap::new();
        let mut touches = Vec::with_capacity(watches.len());
        for watch in watches {
            let (directory, name) = watch.paths.first().map_or(("", ""), |path| path.rsplit_once('/').unwrap_or(("", path)));
            let directory = directories.entry(directory).or_insert_with(|| match directory {
                "" => Some(tree.clone()),
                path => tree.get_path(path.as_ref()).ok().and_then(|entry| repository.find_tree(entry.id()).ok()),
            });
            let there = directory.as_ref().is_some_and(|directory| directory.get_name(name).is_some());
            let newest = watch.paths.iter().filter_map(|path| self.touches.get(path).copied().flatten()).max_by_key(|(place, _)| *place);
            touches.push(newest.filter(|_| there).map(|(_, commit)| commit));
        }
        Ok(touches)
    }

    /// Brings what is known up to `head`: only commits after the last head are read, unless that is no longer on the line.
    fn advance(&mut self, repository: &Repository, head: Oid) -> Result<(), GitError> {
        let Some((place, last)) = self.head else {
            self.head = Some((0, head));
            return Ok(());
        };
        if last == head {
            return Ok(());
        }
        let mut line = Vec::new();
        let mut commit = repository.find_commit(head)?;
        while commit.id() != last {
            line.push(commit.clone());
            match commit.parent(0) {
                Ok(parent) => commit = parent,
                // The root, and the last head was not met: history was rewritten.
                Err(_) => {
                    *self = Self { head: Some((0, head)), touches: HashMap::new() };
                    return Ok(());
                }
            }
        }
        let paths: Vec<String> = self.touches.keys().cloned().collect();
        let trie = Trie::new(paths.iter().map(String::as_str));
        let mut place = place;
        for commit in line.iter().rev() {
            place += 1;
            let mut touched = Vec::new();
            trie.compare(repository, Some(&commit.tree()?), first_parent_tree(commit)?.as_ref(), &mut touched)?;
            for path in touched {
                self.touches.insert(path.to_owned(), Some((place, commit.id())));
            }
        }
        self.head = Some((place, head));
        Ok(())
    }

    /// Finds the touches of paths that were not asked for before, in one walk from the head that ends when all are found.
    fn learn(&mut self, repository: &Repository, head: Oid, paths: &[&str]) -> Result<(), GitError> {
        let head_place = self.head.map_or(0, |(place, _)| place);
        walk(repository, head, Trie::new(paths.iter().copied()), |visit, path| {
            self.touches.insert(path.to_owned(), Some((head_place - visit.depth, visit.commit.id())));
            Ok(true)
        })?;
        for path in paths {
            self.touches.entry((*path).to_owned()).or_insert(None);
        }
        Ok(())
    }
}

/// A commit of the first-parent line that touches a path.
pub(super) struct Visit<'a, 'r> {
    /// Commits between it and the head.
    pub(super) depth: i64,
    pub(super) commit: &'a Commit<'r>,
    pub(super) tree: &'a Tree<'r>,
    /// Its first parent's tree.
    pub(super) before: Option<&'a Tree<'r>>,
}

/// Goes down the first-parent line from `head` until no path is left, or to the root. `step` gets each path that a commit touches, and says
/// whether that path is done with.
pub(super) fn walk<'p>(
    repository: &Repository,
    head: Oid,
    mut trie: Trie<'p>,
    mut step: impl FnMut(&Visit<'_, '_>, &'p str) -> Result<bool, GitError>,
) -> Result<(), GitError> {
    let mut depth = 0;
    let mut commit = repository.find_commit(head)?;
    let mut tree = commit.tree()?;
    let mut touched = Vec::new();
    while !trie.is_empty() {
        let parent = commit.parent(0).ok();
        let parent_tree = parent.as_ref().map(Commit::tree).transpose()?;
        if parent_tree.as_ref().map(Tree::id) != Some(tree.id()) {
            touched.clear();
            trie.compare(repository, Some(&tree), parent_tree.as_ref(), &mut touched)?;
            let visit = Visit { depth, commit: &commit, tree: &tree, before: parent_tree.as_ref() };
            for path in &touched {
                if step(&visit, path)? {
                    trie.remove(path);
                }
            }
        }
        let (Some(next), Some(next_tree)) = (parent, parent_tree) else { break };
        commit = next;
        tree = next_tree;
        depth += 1;
    }
    Ok(())
}

fn first_parent_tree<'r>(commit: &Commit<'r>) -> Result<Option<Tree<'r>>, GitError> {
    Ok(commit.parent(0).ok().map(|parent| parent.tree()).transpose()?)
}

/// Paths by their parts.
#[derive(Debug, Default)]
pub(super) struct Trie<'p> {
    /// The path that ends here.
    path: Option<&'p str>,
    children: BTreeMap<&'p str, Trie<'p>>,
}

impl<'p> Trie<'p> {
    pub(super) fn new(paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut node = &mut root;
            for part in path.split('/') {
                node = node.children.entry(part).or_default();
            }
            node.path = Some(path);
        }
        root
    }

    fn is_empty(&self) -> bool {
        self.path.is_none() && self.children.is_empty()
    }

    fn remove(&mut self, path: &str) {
        self.remove_parts(path.split('/'));
    }

    fn remove_parts<'a>(&mut self, mut parts: impl Iterator<Item = &'a str>) {
        let Some(part) = parts.next() else {
            self.path = None;
            return;
        };
        if let Some(child) = self.children.get_mut(part) {
            child.remove_parts(parts);
            if child.is_empty() {
                self.children.remove(part);
            }
        }
    }

    /// Adds the paths that differ between two trees.
    fn compare(
        &self,
        repository: &Repository,
        new: Option<&Tree<'_>>,
        old: Option<&Tree<'_>>,
        touched: &mut Vec<&'p str>,
    ) -> Result<(), GitError> {
        if self.children.len() <= FEW {
            for (name, child) in &self.children {
                child.compare_entry(repository, name, (new, old), touched)?;
            }
            return Ok(());
        }
        // Most of a directory of many containers is the same on both sides: what differs is looked for first.
        for name in differing(new, old) {
            if let Some((name, child)) = self.children.get_key_value(name.as_str()) {
                child.compare_entry(repository, name, (new, old), touched)?;
            }
        }
        Ok(())
    }

    /// Adds the paths that differ between the entries of one name in two directories.
    fn compare_entry(
        &self,
        repository: &Repository,
        name: &str,
        (new, old): (Option<&Tree<'_>>, Option<&Tree<'_>>),
        touched: &mut Vec<&'p str>,
    ) -> Result<(), GitError> {
        let entry = |tree: Option<&Tree<'_>>| tree.and_then(|tree| tree.get_name(name).map(|entry| entry.to_owned()));
        let (new, old) = (entry(new), entry(old));
        if identity(new.as_ref()) == identity(old.as_ref()) {
            return Ok(());
        }
        touched.extend(self.path);
        if !self.children.is_empty() {
            let (new, old) = (subtree(repository, new.as_ref())?, subtree(repository, old.as_ref())?);
            self.compare(repository, new.as_ref(), old.as_ref(), touched)?;
        }
        Ok(())
    }
}

/// Names up to which looking each of them up is cheaper than reading both directories.
const FEW: usize = 8;

/// The names whose entries differ between two directories. Both are sorted alike, so that one pass over them is enough; a file that became a
/// directory has another place on each side, and is named twice.
fn differing(new: Option<&Tree<'_>>, old: Option<&Tree<'_>>) -> Vec<String> {
    // Git sorts a directory as if its name ended with a slash.
    let order = |a: &TreeEntry<'_>, b: &TreeEntry<'_>| {
        let slash = |entry: &TreeEntry<'_>| (entry.kind() == Some(git2::ObjectType::Tree)).then_some(b'/');
        a.name_bytes().iter().copied().chain(slash(a)).cmp(b.name_bytes().iter().copied().chain(slash(b)))
    };
    let same = |a: &TreeEntry<'_>, b: &TreeEntry<'_>| a.id() == b.id() && a.name_bytes() == b.name_bytes() && a.filemode() == b.filemode();
    let mut names = Vec::new();
    let mut left = new.map(Tree::iter).into_iter().flatten().peekable();
    let mut right = old.map(Tree::iter).into_iter().flatten().peekable();
    loop {
        let (of_left, of_right) = match (left.peek(), right.peek()) {
            (None, None) => return names,
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
            (Some(a), Some(b)) if same(a, b) => {
                left.next();
                right.next();
                continue;
            }
            (Some(a), Some(b)) => {
                let order = order(a, b);
                (order.is_le(), order.is_ge())
            }
        };
        let first = if of_left { left.next() } else { None };
        let second = if of_right { right.next() } else { None };
        // A name that is not UTF-8 is nobody's path.
        names.extend(first.or(second).and_then(|entry| String::from_utf8(entry.name_bytes().to_vec()).ok()));
    }
}

/// Content and mode: a file that becomes executable is another file.
fn identity(entry: Option<&TreeEntry<'_>>) -> Option<(Oid, i32)> {
    entry.map(|entry| (entry.id(), entry.filemode()))
}

fn subtree<'r>(repository: &'r Repository, entry: Option<&TreeEntry<'_>>) -> Result<Option<Tree<'r>>, GitError> {
    match entry {
        Some(entry) if entry.kind() == Some(git2::ObjectType::Tree) => Ok(Some(repository.find_tree(entry.id())?)),
        _ => Ok(None),
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
