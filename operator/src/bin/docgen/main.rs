//! Writes `docs/reference` from the types: `cargo docgen [directory]`. A test fails where a page is stale.

#![allow(clippy::print_stderr, reason = "a program of the terminal")]

mod kinds;
mod metrics;
mod names;
mod reasons;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

/// First line of every page.
const HEAD: &str = "<!-- Written by `cargo docgen` from the types. Do not edit. -->\n";

/// A page that cannot be written: something has no description.
type Gap = String;

/// File name and text of every page.
fn pages() -> Result<Vec<(String, String)>, Gap> {
    let mut pages = kinds::pages()?;
    pages.push(("reasons.md".to_owned(), reasons::page()));
    pages.push(("annotations.md".to_owned(), names::page()));
    pages.push(("metrics.md".to_owned(), metrics::page()?));
    Ok(pages.into_iter().map(|(name, text)| (name, format!("{HEAD}{text}"))).collect())
}

fn directory() -> PathBuf {
    env::args().nth(1).map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference")), PathBuf::from)
}

fn write() -> Result<(), Box<dyn std::error::Error>> {
    let directory = directory();
    fs::create_dir_all(&directory)?;
    for (name, text) in pages().map_err(io::Error::other)? {
        fs::write(directory.join(name), text)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_reference_is_fresh() {
        let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference"));
        let wanted = super::pages().unwrap();
        let names: BTreeSet<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
        let there: BTreeSet<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(names, there, "run `cargo docgen`");
        for (name, text) in wanted {
            assert!(fs::read_to_string(directory.join(&name)).unwrap() == text, "docs/reference/{name} is stale: run `cargo docgen`");
        }
    }
}
