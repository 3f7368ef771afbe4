use super::*;
use proptest::prelude::*;

fn commit_id(n: u32) -> Id {
    let mut id = Id::default();
    id[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_be_bytes());
    id[16..].copy_from_slice(&n.to_be_bytes());
    id
}

/// Commits by number with their parents, and branches.
fn graph(commits: &[(u32, &[u32])], branches: &[(&str, u32)]) -> Graph {
    let mut graph = Graph::default();
    for (n, parents) in commits {
        graph.learn(commit_id(*n), &parents.iter().map(|p| commit_id(*p)).collect::<Vec<_>>());
    }
    graph.set_branches(branches.iter().map(|(name, n)| ((*name).to_owned(), commit_id(*n))).collect(), "main");
    graph
}

fn seven(n: u32) -> String {
    hex::encode(commit_id(n))[..7].to_owned()
}

fn on_main(graph: &Graph, n: u32) -> bool {
    matches!(graph.find_short(&seven(n)), Found::One(commit) if commit.on_main)
}

/// 1 - 2 - 3 - 6 main, with 4 - 5 beside it, merged in 6.
const MERGED: &[(u32, &[u32])] = &[(1, &[]), (2, &[1]), (3, &[2]), (4, &[2]), (5, &[4]), (6, &[3, 5])];

#[test]
fn main_is_everything_that_its_head_reaches() {
    let graph = graph(MERGED, &[("main", 6)]);
    assert!((1..=6).all(|n| on_main(&graph, n)));
}

#[test]
fn a_squashed_branch_is_not_on_main_and_is_absent_once_deleted() {
    let squashed: &[(u32, &[u32])] = &[(1, &[]), (2, &[1]), (4, &[1]), (5, &[4])];
    let with = graph(squashed, &[("main", 2), ("feature", 5)]);
    assert!(matches!(with.find_short(&seven(5)), Found::One(commit) if !commit.on_main));
    let mut without = with.clone();
    without.set_branches(vec![("main".into(), commit_id(2))], "main");
    assert_eq!(without.find_short(&seven(5)), Found::Absent);
    assert_eq!(without.find(&commit_id(5)), None);
}

#[test]
fn rewritten_main_keeps_nothing_of_the_old_line() {
    let mut graph = graph(&[(1, &[]), (2, &[1]), (3, &[2])], &[("main", 3)]);
    graph.learn(commit_id(7), &[commit_id(1)]);
    graph.set_branches(vec![("main".into(), commit_id(7))], "main");
    assert!(on_main(&graph, 7) && on_main(&graph, 1));
    assert!(!on_main(&graph, 2) && !on_main(&graph, 3));
}

#[test]
fn order_is_when_main_got_it_and_not_when_it_was_made() {
    let graph = graph(MERGED, &[("main", 6)]);
    let order = |n| graph.find(&commit_id(n)).unwrap().order();
    assert!(order(2) < order(3));
    assert!(order(3) < order(4), "4 is older than 3 by date, and came to main with 6");
    assert!(order(4) < order(5) && order(5) < order(6));
}

#[test]
fn seven_digits_of_two_commits_name_none() {
    let (mut a, mut b) = (commit_id(1), commit_id(2));
    b[..4].copy_from_slice(&a[..4]);
    a[19] = 1;
    let mut graph = Graph::default();
    graph.learn(a, &[]);
    graph.learn(b, &[a]);
    graph.set_branches(vec![("main".into(), a), ("other".into(), b)], "main");
    assert_eq!(graph.find_short(&hex::encode(a)[..7]), Found::Ambiguous);
    assert!(graph.find(&a).unwrap().on_main, "the full name is not ambiguous");
    graph.set_branches(vec![("main".into(), a)], "main");
    assert!(matches!(graph.find_short(&hex::encode(a)[..7]), Found::One(_)), "what no branch reaches does not count");
}

#[test]
fn what_is_no_prefix_names_nothing() {
    let graph = graph(MERGED, &[("main", 6)]);
    for text in ["", "abc", "ABCDEF0", "zzzzzzz", "00000000", "+123456"] {
        assert_eq!(graph.find_short(text), Found::Absent, "{text}");
    }
}

#[test]
fn descent_goes_by_the_whole_graph() {
    let graph = graph(MERGED, &[("main", 6)]);
    let descends = |new, old| graph.descends(&commit_id(new), &commit_id(old));
    assert!(descends(6, 1) && descends(6, 5) && descends(5, 2) && descends(3, 3));
    assert!(!descends(5, 3) && !descends(3, 4) && !descends(1, 6));
    assert!(!descends(6, 99));
}

proptest! {
    /// Reachability, order and descent say the same as walking the parents one by one.
    #[test]
    fn as_a_plain_walk_says(edges in prop::collection::vec((0_u32..1000, 0_u32..1000, prop::bool::ANY), 1..40), heads in (0_u32..1000, 0_u32..1000)) {
        let count = u32::try_from(edges.len()).unwrap();
        let parents: Vec<Vec<u32>> = (0..count).zip(&edges).map(|(n, (a, b, merge))| match n {
            0 => vec![],
            n if *merge && a % n != b % n => vec![a % n, b % n],
            n => vec![a % n],
        }).collect();
        let mut graph = Graph::default();
        for (n, parents) in (0_u32..).zip(&parents) {
            graph.learn(commit_id(n), &parents.iter().map(|p| commit_id(*p)).collect::<Vec<_>>());
        }
        let (main, other) = (heads.0 % count, heads.1 % count);
        graph.set_branches(vec![("main".into(), commit_id(main)), ("other".into(), commit_id(other))], "main");
        let reach = |from: u32| {
            let mut seen = std::collections::BTreeSet::new();
            let mut open = vec![from];
            while let Some(n) = open.pop() {
                if seen.insert(n) { open.extend(&parents[n as usize]); }
            }
            seen
        };
        let (ours, theirs) = (reach(main), reach(other));
        for n in 0..count {
            let found = graph.find(&commit_id(n));
            prop_assert_eq!(found.is_some(), ours.contains(&n) || theirs.contains(&n));
            prop_assert_eq!(found.is_some_and(|c| c.on_main), ours.contains(&n));
            let below = reach(n);
            for old in 0..count {
                prop_assert_eq!(graph.descends(&commit_id(n), &commit_id(old)), below.contains(&old));
                if !below.contains(&old) { continue; }
                if let (Some(new), Some(old)) = (found, graph.find(&commit_id(old))) && new.on_main {
                    prop_assert!(old.order() <= new.order());
                }
            }
        }
    }
}
