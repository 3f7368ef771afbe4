//! The index of touches against one `git log -1 -- <path>` per container, in one run, as ratios: `make bench`.
//!
//! A synthetic repository: 30,000 commits, 140 containers. Four commits in ten touch a container, and containers are not touched alike:
//! container n is touched as often as 1/(n+1) says, as in real repositories, where most rest for months.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and speaks to a person"
)]
#![allow(missing_docs, reason = "a program")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use git2::{Oid, Repository};
use mainstay::clients::git::{Index, Watch};

const COMMITS: usize = 30_000;
const CONTAINERS: usize = 140;
const RUNS: usize = 3;

fn main() {
    let directory = tempfile::tempdir().unwrap();
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

fn generate(directory: &Path) {
    Repository::init_bare(directory).unwrap();
    let mut stream = String::new();
    // The same numbers each time (a linear congruential generator): two runs measure the same repository.
    let mut state = 42u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let weights: Vec<usize> = (0..CONTAINERS).map(|n| 10_000 / (n + 1)).collect();
    let total: usize = weights.iter().sum();
    for commit in 0..COMMITS {
        write!(stream, "commit refs/heads/main\ncommitter a <a@b> {commit} +0000\ndata 1\nm\n").unwrap();
        if commit == 0 {
            for container in 0..CONTAINERS {
                write!(stream, "M 100644 inline containers/c{container}/Dockerfile\ndata 1\n0\n").unwrap();
            }
        } else if next(10) < 4 {
            let mut pick = next(total);
            let container = weights.iter().position(|weight| {
                let found = pick < *weight;
                pick = pick.saturating_sub(*weight);
                found
            });
            let text = format!("{commit}");
            write!(stream, "M 100644 inline containers/c{}/file{}\ndata {}\n{text}\n", container.unwrap_or(0), next(20), text.len())
                .unwrap();
        } else {
            let text = format!("{commit}");
            write!(stream, "M 100644 inline manifests/m{}/file{}\ndata {}\n{text}\n", next(300), next(5), text.len()).unwrap();
        }
        stream.push('\n');
    }
    let mut import = Command::new("git").args(["fast-import", "--quiet"]).current_dir(directory).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    // As after a clone: one pack.
    assert!(Command::new("git").args(["gc", "--quiet"]).current_dir(directory).status().unwrap().success());
}
