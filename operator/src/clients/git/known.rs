//! What was read from a clone and is asked for again and again: nobody waits for a fetch to hear it once more.
//!
//! What a commit holds never changes. What the branches reach is as of the last fetch, and a fetch says so when it has ended.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::Watch;
use super::listing::Container;
use crate::domain::graph::Graph;

/// Containers that are remembered: above it, all are forgotten at once, which costs time alone.
const MAX_CONTAINERS: usize = 4096;

/// Answers about one clone.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The commits and branches as of the last fetch; `None` before they were read.
    pub(super) graph: Option<Arc<Graph>>,
    /// Main's head that the touches speak of.
    head: String,
    touches: HashMap<Watch, Option<String>>,
    /// By commit and path.
    containers: HashMap<(String, String), Arc<Container>>,
}

impl Known {
    /// The touch of each watch at `head`, where all of them are known.
    pub(super) fn touches(&self, head: &str, watches: &[Watch]) -> Option<Vec<Option<String>>> {
        if self.head != head {
            return None;
        }
        watches.iter().map(|watch| self.touches.get(watch).cloned()).collect()
    }

    /// Remembers touches; those of another head are forgotten.
    pub(super) fn set_touches(&mut self, head: &str, touches: impl IntoIterator<Item = (Watch, Option<String>)>) {
        if self.head != head {
            head.clone_into(&mut self.head);
            self.touches.clear();
        }
        self.touches.extend(touches);
    }

    /// A container at a commit.
    pub(super) fn container(&self, commit: &str, path: &str) -> Option<Arc<Container>> {
        self.containers.get(&(commit.to_owned(), path.to_owned())).cloned()
    }

    /// Remembers a container at a commit.
    pub(super) fn set_container(&mut self, commit: &str, path: &str, container: &Arc<Container>) {
        if self.containers.len() >= MAX_CONTAINERS {
            self.containers.clear();
        }
        self.containers.insert((commit.to_owned(), path.to_owned()), container.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(path: &str) -> Watch {
        Watch { paths: vec![path.to_owned()] }
    }

    #[test]
    fn touches_are_those_of_one_head() {
        let mut known = Known::default();
        known.set_touches("a", [(watch("x"), Some("1".to_owned())), (watch("y"), None)]);
        assert_eq!(known.touches("a", &[watch("y"), watch("x")]), Some(vec![None, Some("1".to_owned())]));
        assert_eq!(known.touches("a", &[watch("x"), watch("z")]), None, "one is not known");
        assert_eq!(known.touches("b", &[watch("x")]), None);
        known.set_touches("b", [(watch("z"), None)]);
        assert_eq!(known.touches("b", &[watch("x")]), None, "forgotten");
    }
}
