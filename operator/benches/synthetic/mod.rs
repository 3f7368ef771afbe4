//! A synthetic repository: 30,000 commits, 140 containers. Four commits in ten touch a container, and containers are not touched alike:
//! container n is touched as often as 1/(n+1) says, as in real repositories, where most rest for months.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use git2::Repository;

/// Commits of main.
pub(crate) const COMMITS: usize = 30_000;

/// Directories under `containers/`.
pub(crate) const CONTAINERS: usize = 140;

/// Makes the repository, bare and packed as after a clone.
pub(crate) fn generate(directory: &Path) {
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
