//! The samples of `crds/samples` against a real API server, by dry run.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::fs;

use mainstay_e2e::lab::machine::checkout;

async fn tried(folder: &str) -> Vec<(String, String, Result<String, String>)> {
    let lab = support::lab().await.unwrap();
    let mut all = Vec::new();
    let mut files: Vec<_> =
        fs::read_dir(checkout().unwrap().join("crds/samples").join(folder)).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let result = lab.run_with("kubectl", &["create", "--dry-run=server", "-f", "-"], &text).await.map_err(|error| error.to_string());
        all.push((file.file_name().unwrap().to_string_lossy().into_owned(), text, result));
    }
    assert!(all.len() > 5 || folder == "valid");
    all
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn valid_samples_are_accepted() {
    for (name, _, result) in tried("valid").await {
        assert!(result.is_ok(), "{name}: {result:?}");
    }
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn invalid_samples_are_refused_with_the_words_they_expect() {
    for (name, text, result) in tried("invalid").await {
        let expected = text.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
        let refusal = result.expect_err(&name);
        assert!(refusal.contains(expected), "{name}: wanted {expected:?} in {refusal}");
    }
}
