//! The index of touches against one `git log -1 -- <path>` per container, in one run, as ratios: `make bench`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and speaks to a person"
)]
#![allow(missing_docs, reason = "a program")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use git2::{Oid, Repository};
use mainstay::clients::git::{Index, Store, Watch};

mod synthetic;
use synthetic::{COMMITS, CONTAINERS, generate};

const RUNS: usize = 3;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    // Its settings are those of the operator.
    let _ = Store::new(directory.path().join("clones"), Duration::from_secs(1));
    println!("making a repository of {COMMITS} commits and {CONTAINERS} containers");
    generate(directory.path());
    let repository = Repository::open_bare(directory.path()).unwrap();
    let head = repository.refname_to_id("refs/heads/main").unwrap();
    let before = repository.find_commit(head).unwrap().parent_id(0).unwrap();
    let watches: Vec<Watch> = (0..CONTAINERS).map(|n| Watch { paths: vec![format!("containers/c{n}")] }).collect();

    let (by_git, theirs) = best(1, || watches.iter().map(|watch| git_log(directory.path(), &watch.paths[0])).collect::<Vec<_>>());
    let (cold, ours) = best(RUNS, || Index::default().touches(&repository, head, &watches).unwrap());
    assert_eq!(ours, theirs, "both ways must say the same");
    let mut update = Duration::MAX;
    for _ in 0..RUNS {
        let mut index = Index::default();
        index.touches(&repository, before, &watches).unwrap();
        let begun = Instant::now();
        let updated = index.touches(&repository, head, &watches).unwrap();
        update = update.min(begun.elapsed());
        assert_eq!(updated, theirs);
    }
    println!("git log -1 per container   {by_git:>12.1?}");
    println!("index, cold                {cold:>12.1?}   {:>8.1} times faster than git log", ratio(by_git, cold));
    println!("index, one new commit      {update:>12.1?}   {:>8.1} times faster than cold", ratio(cold, update));
}

fn ratio(slow: Duration, fast: Duration) -> f64 {
    slow.as_secs_f64() / fast.as_secs_f64()
}

/// The shortest of some runs, and what it gave.
fn best<T>(runs: usize, mut work: impl FnMut() -> T) -> (Duration, T) {
    let timed = |work: &mut dyn FnMut() -> T| {
        let begun = Instant::now();
        let result = work();
        (begun.elapsed(), result)
    };
    let mut shortest = timed(&mut work);
    for _ in 1..runs {
        let next = timed(&mut work);
        if next.0 < shortest.0 {
            shortest = next;
        }
    }
    shortest
}

fn git_log(repository: &Path, path: &str) -> Option<Oid> {
    let output = Command::new("git")
        .args(["log", "-1", "--first-parent", "--format=%H", "main", "--", path])
        .current_dir(repository)
        .output()
        .unwrap();
    Oid::from_str(String::from_utf8(output.stdout).unwrap().trim()).ok()
}
