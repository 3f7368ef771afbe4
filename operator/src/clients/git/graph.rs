//! Fills the graph of a clone: every commit that a branch reaches is read once, and never again while the program runs.

use std::sync::Arc;

use git2::{Oid, Repository, Sort};

use super::error::GitError;
use crate::domain::graph::{Graph, Id};

/// Brings the graph up to what the branches of the clone are now. Replace references and grafts are no part of it: libgit2 does not know
/// them, and only heads are fetched.
///
/// # Errors
/// Where the clone cannot be read.
pub fn refresh(repository: &Repository, main: &str, graph: &mut Arc<Graph>) -> Result<(), GitError> {
    let branches = branches(repository)?;
    if graph.is_at(&branches, main) {
        return Ok(());
    }
    // Those who read the graph as it was keep it.
    let graph = Arc::make_mut(graph);
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    for (_, head) in &branches {
        if !graph.knows(head) {
            walk.push(oid(head))?;
        }
    }
    for (_, head) in graph.branches() {
        // Their ancestors were read. One that was pruned since hides nothing, which costs time alone.
        let _ = walk.hide(oid(head));
    }
    for commit in walk {
        let commit = commit?;
        let parents: Vec<Id> = repository.find_commit(commit)?.parent_ids().map(id).collect();
        graph.learn(id(commit), &parents);
    }
    graph.set_branches(branches, main);
    Ok(())
}

/// All branches and where they point, sorted by name.
fn branches(repository: &Repository) -> Result<Vec<(String, Id)>, GitError> {
    let mut all = Vec::new();
    for reference in repository.references_glob("refs/heads/*")? {
        let reference = reference?;
        if let (Ok(name), Some(target)) = (reference.shorthand(), reference.target()) {
            all.push((name.to_owned(), id(target)));
        }
    }
    all.sort();
    Ok(all)
}

fn id(oid: Oid) -> Id {
    oid.as_bytes().try_into().unwrap_or_default()
}

fn oid(id: &Id) -> Oid {
    Oid::from_bytes(id).unwrap_or(Oid::ZERO_SHA1)
}
