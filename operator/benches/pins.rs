//! Edits of 1,000 pins in 1,000 files of 20 KB against one `kustomize edit set image` per file, in one run, as ratios: `make bench`.
//!
//! Ours counts all that kustomize does too: the file is read from the disk, the pin found, the tag replaced, the result proven and written. kustomize is
//! the program that `MAINSTAY_KUSTOMIZE` names; without it only our half is measured.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and speaks to a person"
)]
#![allow(missing_docs, reason = "a program")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mainstay::domain::pin::{Change, Targets, apply, scan};

const FILES: usize = 1_000;
const SIZE: usize = 20_000;
const RUNS: usize = 3;
const IMAGE: &str = "registry.example/team/cv";
const OLD: &str = "v1.0.2-0aa1bb2";
const NEW: &str = "v1.0.3-0e2c101";

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..FILES).map(kustomization).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("making {FILES} files, {:.1} MB, one pin in each", bytes as f64 / 1e6);
    let targets: Targets = [IMAGE.to_owned()].into_iter().collect();

    let mut ours = Duration::MAX;
    for _ in 0..RUNS {
        let paths = write(directory.path(), &texts);
        let begun = Instant::now();
        for path in &paths {
            edit(path, &targets);
        }
        ours = ours.min(begun.elapsed());
        for (path, text) in paths.iter().zip(&texts) {
            assert_eq!(fs::read_to_string(path).unwrap(), text.replacen(OLD, NEW, 1), "no other byte may change");
        }
    }
    println!("in one process             {ours:>12.1?}   {:>8.1} MB/s, all byte-exact", bytes as f64 / 1e6 / ours.as_secs_f64());

    let begun = Instant::now();
    let foreign: Targets = ["other.example/team/cv".to_owned()].into_iter().collect();
    assert!(texts.iter().all(|text| scan(text.as_bytes(), &foreign).unwrap().places.is_empty()));
    println!("files without our host     {:>12.1?}", begun.elapsed());

    let Some(kustomize) = std::env::var_os("MAINSTAY_KUSTOMIZE").map(PathBuf::from) else {
        println!("kustomize is not measured: MAINSTAY_KUSTOMIZE names no program");
        return;
    };
    let paths = write(directory.path(), &texts);
    let begun = Instant::now();
    for path in &paths {
        let status = Command::new(&kustomize)
            .args(["edit", "set", "image", &format!("{IMAGE}:{NEW}")])
            .current_dir(path.parent().unwrap())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }
    let theirs = begun.elapsed();
    let mut exact = 0;
    for (path, text) in paths.iter().zip(&texts) {
        let edited = fs::read_to_string(path).unwrap();
        assert!(edited.contains(NEW) && !edited.contains(OLD), "both ways must set the tag");
        exact += usize::from(edited == text.replacen(OLD, NEW, 1));
    }
    println!(
        "kustomize edit set image   {theirs:>12.1?}   {exact} of {FILES} byte-exact; in one process is {:.0} times faster",
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
}

fn edit(path: &Path, targets: &Targets) {
    let text = fs::read(path).unwrap();
    let found = scan(&text, targets).unwrap();
    assert_eq!(found.places.len(), 1);
    let changes = [Change { place: &found.places[0], tag: NEW, digest: None }];
    fs::write(path, apply(&text, &changes, targets).unwrap()).unwrap();
}

fn write(directory: &Path, texts: &[String]) -> Vec<PathBuf> {
    let write = |(number, text): (usize, &String)| {
        let folder = directory.join(format!("app-{number}"));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("kustomization.yaml");
        fs::write(&path, text).unwrap();
        path
    };
    texts.iter().enumerate().map(write).collect()
}

/// A large kustomization, as an application with many files and settings has it: a third resources, a third inline files, a third images.
fn kustomization(number: usize) -> String {
    let mut text = format!(
        "---\n# Application {number}\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: app-{number}\n\nresources:\n"
    );
    let mut count = 0;
    while text.len() < SIZE / 3 {
        writeln!(text, "  - base/part-{count}/deployment.yaml").unwrap();
        count += 1;
    }
    text.push_str("\nconfigMapGenerator:\n");
    while text.len() < SIZE * 2 / 3 {
        write!(text, "  - name: settings-{count}\n    literals:\n      - LOG_LEVEL=info # for now\n      - \"PORT={count}\"\n").unwrap();
        count += 1;
    }
    text.push_str("\nimages:\n");
    while text.len() < SIZE * 5 / 6 {
        write!(text, "  - name: docker.io/library/part-{count}\n    newTag: \"1.{count}\"\n").unwrap();
        count += 1;
    }
    write!(text, "  # ours\n  - name: {IMAGE}\n    newTag: {OLD}   # from main\n").unwrap();
    while text.len() < SIZE - 60 {
        write!(text, "  - name: quay.io/org/part-{count}\n    newTag: v{count}.0\n").unwrap();
        count += 1;
    }
    text
}
