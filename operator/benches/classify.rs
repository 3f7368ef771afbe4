//! The class of every tag of 100 images with 1,000 tags each, against one `git merge-base --is-ancestor` for each tag, in one run, as a ratio:
//! `make bench`. The processes are tried on a sample of the tags: all of them would take an hour.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark may fail loudly, and speaks to a person"
)]
#![allow(missing_docs, reason = "a program")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use git2::{Repository, Sort};
use mainstay::clients::git::refresh_graph;
use mainstay::domain::class::classify_all;
use mainstay::domain::graph::Graph;
use mainstay_crds::Class;

mod synthetic;
use synthetic::{COMMITS, generate};

const IMAGES: usize = 100;
const TAGS: usize = 1_000;
const SAMPLE: usize = 200;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    println!("making a repository of {COMMITS} commits");
    generate(directory.path());
    let repository = Repository::open_bare(directory.path()).unwrap();
    let mut walk = repository.revwalk().unwrap();
    walk.set_sorting(Sort::TOPOLOGICAL).unwrap();
    walk.push_ref("refs/heads/main").unwrap();
    let commits: Vec<String> = walk.map(|commit| commit.unwrap().to_string()).collect();
    // Nine tags in ten are of commits of main, one of a commit that nobody has.
    let tag = |n: usize| match n % 10 {
        9 => format!("v1.0.{n}-{:07x}", 0xfff_ffff - n),
        _ => format!("v1.0.{n}-{}", &commits[n * 7919 % commits.len()][..7]),
    };
    let images: Vec<Vec<String>> = (0..IMAGES).map(|image| (0..TAGS).map(|n| tag(image * TAGS + n)).collect()).collect();

    let begun = Instant::now();
    let mut graph = Arc::new(Graph::default());
    refresh_graph(&repository, "main", &mut graph).unwrap();
    let cold = begun.elapsed();
    let begun = Instant::now();
    let mut on_main = 0;
    for tags in &images {
        on_main += classify_all(tags.iter().map(String::as_str), &graph).iter().filter(|one| one.class == Class::Main).count();
    }
    let warm = begun.elapsed();
    let begun = Instant::now();
    let mut agreed = 0;
    for n in 0..SAMPLE {
        let text = tag(n);
        let theirs = is_ancestor(directory.path(), text.rsplit_once('-').unwrap().1);
        let ours = classify_all([text.as_str()], &graph)[0].class;
        // Seven digits that begin two commits are in doubt for us; git takes the doubt for an error too.
        assert_eq!(ours == Class::Main, theirs, "{text}");
        agreed += 1;
    }
    let each = begun.elapsed() / u32::try_from(SAMPLE).unwrap();
    let all = each * u32::try_from(IMAGES * TAGS).unwrap();
    println!("{} tags, {on_main} on main; {agreed} compared with git", IMAGES * TAGS);
    println!("read the graph once        {cold:>12.1?}");
    println!("class of every tag, warm   {warm:>12.1?}");
    println!("git merge-base for each    {all:>12.1?}   {:>8.0} times slower", all.as_secs_f64() / warm.as_secs_f64());
}

fn is_ancestor(repository: &Path, commit: &str) -> bool {
    let status = Command::new("git").args(["merge-base", "--is-ancestor", commit, "main"]).current_dir(repository).output().unwrap().status;
    status.success()
}
