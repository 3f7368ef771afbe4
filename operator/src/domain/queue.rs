//! Whose turn it is: builds wait for a free place of their engine and of their repository (design section 4.4). Pure.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use mainstay_crds::{Engine, Origin};

/// How long a build lets others pass, of main or of an older commit. After that those who came later wait behind it: nobody waits for ever.
const PATIENCE: Duration = Duration::from_secs(600);

/// A build that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub id: String,
    /// What builds it.
    pub engine: Engine,
    /// Namespace and name of its SourceRepository.
    pub repository: String,
    /// Builds of the repository that may run at once; `None`: as many as the engines allow.
    pub repository_cap: Option<usize>,
    /// Where its commit lay.
    pub origin: Origin,
    /// When its commit was made. The oldest goes first: it has been missing for the longest time.
    pub committed: Option<Timestamp>,
    /// Since when it waits.
    pub since: Timestamp,
    /// Whether it has had its turn.
    pub running: bool,
}

/// What a build may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Begin.
    Now,
    /// Wait.
    Wait {
        /// Its place among those who wait for the same engine, from 1.
        position: usize,
        /// How many they are.
        waiting: usize,
        /// What it waits for, for people.
        limit: String,
    },
}

/// Whether it is the turn of the build `id`. `cap` says how many builds of an engine may run at once.
///
/// One that has to wait for its engine or repository holds nobody up who waits for another.
pub fn turn(entries: &[Entry], id: &str, now: Timestamp, cap: impl Fn(Engine) -> usize) -> Turn {
    let mut engines: HashMap<Engine, usize> = HashMap::new();
    let mut repositories: HashMap<&str, usize> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.running) {
        *engines.entry(entry.engine).or_default() += 1;
        *repositories.entry(&entry.repository).or_default() += 1;
    }
    let mut waiting: Vec<&Entry> = entries.iter().filter(|entry| !entry.running).collect();
    waiting.sort_by_key(|entry| order(entry, now));
    let mut positions: HashMap<Engine, usize> = HashMap::new();
    let mut mine = None;
    for entry in waiting {
        let engine = engines.entry(entry.engine).or_default();
        let repository = repositories.entry(&entry.repository).or_default();
        let limit = if *engine >= cap(entry.engine) {
            let count = if *engine == 1 { "1 build runs".to_owned() } else { format!("{engine} builds run") };
            Some(format!("{count} with engine {}, as many as may", entry.engine.as_str()))
        } else if entry.repository_cap.is_some_and(|cap| *repository >= cap) {
            Some(format!("SourceRepository {} has as many builds as spec.maxConcurrentBuilds allows", entry.repository))
        } else {
            None
        };
        match limit {
            None if entry.id == id => return Turn::Now,
            None => {
                *engine += 1;
                *repository += 1;
            }
            Some(limit) => {
                let position = positions.entry(entry.engine).or_default();
                *position += 1;
                if entry.id == id {
                    mine = Some((entry.engine, *position, limit));
                }
            }
        }
    }
    match mine {
        Some((engine, position, limit)) => Turn::Wait { position, waiting: positions.get(&engine).copied().unwrap_or(position), limit },
        // It is running, or has ended.
        None => Turn::Now,
    }
}

/// Main before branches, the oldest commit first; what is left is decided by age and name, so that the order is always the same. Who has lost
/// patience goes before all who have not, and those who came in the same span of time keep the order of commits among them.
fn order(entry: &Entry, now: Timestamp) -> (i64, bool, Timestamp, Timestamp, &str) {
    let waited = Duration::try_from(now.duration_since(entry.since)).unwrap_or_default();
    let patient = waited < PATIENCE;
    let span = if patient { i64::MAX } else { entry.since.as_second() / PATIENCE.as_secs().cast_signed() };
    let later = entry.origin == Origin::Branch && patient;
    // Dates of commits are whatever somebody wrote: one from the future has no advantage, and one from the past is just early.
    let committed = match entry.origin {
        Origin::Main => entry.committed.unwrap_or(entry.since).min(entry.since),
        Origin::Branch => entry.since,
    };
    (span, later, committed, entry.since, &entry.id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn entry(id: &str, committed: i64) -> Entry {
        Entry {
            id: id.to_owned(),
            engine: Engine::Buildkit,
            repository: "ops/ops".to_owned(),
            repository_cap: None,
            origin: Origin::Main,
            committed: Some(at(committed)),
            since: at(1000),
            running: false,
        }
    }

    fn branch(id: &str) -> Entry {
        Entry { origin: Origin::Branch, ..entry(id, 0) }
    }

    fn running(id: &str) -> Entry {
        Entry { running: true, ..entry(id, 0) }
    }

    fn place(entries: &[Entry], id: &str, second: i64) -> (usize, usize) {
        match turn(entries, id, at(second), |_| 2) {
            Turn::Now => (0, 0),
            Turn::Wait { position, waiting, .. } => (position, waiting),
        }
    }

    #[test]
    fn the_oldest_commit_goes_first_as_far_as_there_is_room() {
        let all = [entry("c", 3), running("r"), entry("a", 1), entry("b", 2)];
        assert_eq!(place(&all, "a", 1001), (0, 0));
        assert_eq!(place(&all, "b", 1001), (1, 2));
        assert_eq!(place(&all, "c", 1001), (2, 2));
        assert_eq!(place(&all, "r", 1001), (0, 0), "it has had its turn");
    }

    #[test]
    fn main_goes_before_a_branch_until_the_branch_has_waited_long() {
        let mut all = vec![running("r"), branch("x"), entry("a", 999)];
        assert_eq!(place(&all, "x", 1001), (1, 1));
        assert_eq!(place(&all, "a", 1001), (0, 0));
        // Main's builds keep coming.
        all.push(Entry { since: at(1600), ..entry("b", 1599) });
        all.remove(2);
        assert_eq!(place(&all, "x", 1599), (1, 1));
        assert_eq!(place(&all, "x", 1600), (0, 0), "older than the newcomer");
    }

    #[test]
    fn old_commits_that_keep_coming_let_nobody_wait_for_ever() {
        // Each minute one build ends, and one of an older commit comes. Two wait from the beginning: of a branch, and of main's newest commit.
        for slow in [branch("slow"), entry("slow", 990)] {
            let mut all = vec![slow];
            let first = (0..60).find(|minute| {
                let now = 1000 + minute * 60;
                all.push(Entry { since: at(now), ..entry(&format!("m{minute}"), 0) });
                let next = all.iter().position(|one| turn(&all, &one.id, at(now), |_| 1) == Turn::Now).unwrap();
                all.remove(next).id == "slow"
            });
            assert!(first.is_some_and(|minute| minute <= 11), "{first:?}");
        }
    }

    #[test]
    fn a_batch_that_waits_long_keeps_its_order() {
        let all = [running("r"), running("s"), entry("c", 3), entry("a", 1), entry("b", 2)];
        let places = ["a", "b", "c"].map(|id| place(&all, id, 9999).0);
        assert_eq!(places, [1, 2, 3]);
    }

    #[test]
    fn engines_and_repositories_do_not_hold_each_other_up() {
        let nix = Entry { engine: Engine::Nix, ..entry("n", 9) };
        let capped = |id: &str| Entry { repository: "ops/small".to_owned(), repository_cap: Some(1), ..entry(id, 0) };
        let all = [running("r1"), Entry { running: true, ..capped("r2") }, nix.clone(), capped("s"), entry("a", 5)];
        assert_eq!(place(&all, "n", 1001), (0, 0), "another engine");
        let one = [Entry { running: true, ..capped("r2") }, capped("s"), entry("a", 5)];
        assert_eq!(place(&one, "a", 1001), (0, 0), "another repository");
        match turn(&one, "s", at(1001), |_| 2) {
            Turn::Wait { limit, .. } => assert!(limit.contains("ops/small") && limit.contains("maxConcurrentBuilds"), "{limit}"),
            Turn::Now => panic!("the repository has its one build"),
        }
    }

    proptest! {
        /// Whoever is asked, in whatever order: never more than the cap begin, and while there is room somebody does.
        #[test]
        fn the_cap_holds_and_no_place_stays_empty(
            commits in proptest::collection::vec((0_i64..50, any::<bool>(), any::<bool>()), 1..30),
            cap in 1_usize..5,
        ) {
            let mut all: Vec<Entry> = commits.iter().enumerate().map(|(n, (committed, branch, running))| Entry {
                origin: if *branch { Origin::Branch } else { Origin::Main },
                running: *running && n < cap,
                ..entry(&format!("e{n}"), *committed)
            }).collect();
            for n in 0..all.len() {
                let id = all[n].id.clone();
                if turn(&all, &id, at(1001), |_| cap) == Turn::Now {
                    all[n].running = true;
                }
            }
            let running = all.iter().filter(|entry| entry.running).count();
            prop_assert_eq!(running, cap.min(all.len()));
        }
    }
}
