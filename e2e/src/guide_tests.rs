//! The docs as they stand: blocks, links, the quickstart. What can only be tried in a cluster is in `tests/docs.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mainstay_crds::{complaints, unknown_fields};
use serde_json::Value;

use super::*;
use crate::lab::machine::checkout;

/// Pages whose `sh run` blocks a story runs.
const RUN: [&str; 1] = ["docs/quickstart.md"];

/// Every page of the checkout, by its path in it.
fn pages() -> BTreeMap<String, String> {
    let root = checkout().unwrap();
    let mut found = BTreeMap::new();
    let mut pending: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !name.starts_with('.') && name != "target" {
                    pending.push(path);
                }
            } else if name.ends_with(".md") {
                let shown = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.insert(shown, fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(found.len() > 20, "{:?}", found.keys());
    found
}

/// What bash thinks of a script, without running it.
fn shell(script: &str) -> Option<String> {
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A placeholder such as <name> is for people.
    let script: String = script.lines().map(placeholders).collect();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn placeholders(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        match after.split_once('>') {
            Some((word, after)) if !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '|')) => {
                text.push_str(before);
                text.push_str("placeholder");
                rest = after;
            }
            _ => {
                text.push_str(before);
                text.push('<');
                rest = after;
            }
        }
    }
    format!("{text}{rest}\n")
}

/// What is wrong with YAML: whole objects of ours are judged as the API server judges them, parts of them and values of the chart by their fields.
fn yaml(text: &str) -> Vec<String> {
    let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
        Ok(documents) => documents,
        Err(error) => return vec![error.to_string()],
    };
    let mut faults = Vec::new();
    for document in documents {
        let word = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
        if word("apiVersion").starts_with("mainstay.dev/") {
            faults.extend(complaints(&document));
        } else if !word("kind").is_empty() {
            faults.extend(unknown_fields(&document));
        } else {
            faults.extend(values(&document));
        }
    }
    faults
}

/// Fields that the chart's values do not have, where the first of them is one that they have.
fn values(document: &Value) -> Vec<String> {
    let schema = fs::read_to_string(checkout().unwrap().join("charts/mainstay/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut faults = Vec::new();
    if document.as_object().is_some_and(|map| map.keys().any(|key| schema["properties"].get(key).is_some())) {
        unknown_values(document, &schema, &schema, "", &mut faults);
    }
    faults
}

fn unknown_values(value: &Value, schema: &Value, root: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let Some(map) = value.as_object() else { return };
    for (key, value) in map {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) => unknown_values(value, schema, root, &format!("{at}.{key}"), faults),
            (None, Value::Bool(false)) => faults.push(format!("the chart has no value {at}.{key}")),
            (None, other) if other.is_object() => unknown_values(value, other, root, &format!("{at}.{key}"), faults),
            (None, _) => {}
        }
    }
}

#[test]
fn every_block_is_run_or_an_example_or_holds() {
    let mut faults = Vec::new();
    let mut judged = 0;
    for (page, text) in pages() {
        for block in blocks(&text) {
            judged += 1;
            let fault = match (block.language.as_str(), block.mark.as_str()) {
                ("sh", "run") if !RUN.contains(&page.as_str()) => vec!["no story runs this page: mark it as an example".to_owned()],
                ("sh", "run" | "example") => {
                    let inputs = commands(&block.text)
                        .iter()
                        .filter(|c| c.starts_with("kubectl apply"))
                        .filter_map(|c| input(c))
                        .collect::<Vec<_>>();
                    shell(&block.text).into_iter().chain(inputs.iter().flat_map(|text| yaml(text))).collect()
                }
                ("sh", _) => vec!["say whether it is `sh run` or `sh example`".to_owned()],
                ("yaml", _) => yaml(&block.text),
                ("json", _) => serde_json::from_str::<Value>(&block.text).err().map(|error| error.to_string()).into_iter().collect(),
                ("" | "text" | "dockerfile" | "nix", _) => Vec::new(),
                (other, _) => vec![format!("{other} is a language that nobody judges")],
            };
            faults.extend(fault.into_iter().map(|fault| format!("{page}:{}: {fault}", block.line)));
        }
    }
    assert!(judged > 30, "{judged}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_link_goes_somewhere() {
    let (all, root) = (pages(), checkout().unwrap());
    let mut faults = Vec::new();
    for (page, text) in &all {
        for (line, link) in links(text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { join(page, path) };
            if !root.join(&target).exists() {
                faults.push(format!("{page}:{line}: {link}: there is no {target}"));
            } else if !anchor.is_empty() && !all.get(&target).is_some_and(|text| anchors(text).iter().any(|one| one == anchor)) {
                faults.push(format!("{page}:{line}: {link}: {target} has no such heading"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The path of a link, as seen from the checkout.
fn join(page: &str, path: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_page_of_the_docs_can_be_reached_from_their_index() {
    let all = pages();
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut pending = vec!["docs/README.md".to_owned()];
    while let Some(page) = pending.pop() {
        let Some(text) = all.get(&page) else { continue };
        if reached.insert(page.clone()) {
            pending.extend(links(text).into_iter().map(|(_, link)| join(&page, link.split('#').next().unwrap())));
        }
    }
    let lost: Vec<&String> =
        all.keys().filter(|page| page.starts_with("docs/") && !page.contains("/decisions/") && !reached.contains(*page)).collect();
    assert!(lost.is_empty(), "docs/README.md leads to none of {lost:?}");
}

#[test]
fn the_quickstart_is_short() {
    let text = &pages()["docs/quickstart.md"];
    let words = text.split_whitespace().count();
    assert!(words <= 500, "{words} words");
    let all: Vec<String> = blocks(text).iter().filter(|block| block.language == "sh").flat_map(|block| commands(&block.text)).collect();
    assert!((1..=8).contains(&all.len()), "{} commands: {all:#?}", all.len());
}

#[test]
fn a_script_is_parted_into_commands() {
    let script = "# first\nkubectl apply -f - <<'END'\na: 1\n\n# kept\nEND\nhelm install a b \\\n  --set c=d\n\nmake\n";
    let all = commands(script);
    assert_eq!(all, ["kubectl apply -f - <<'END'\na: 1\n\n# kept\nEND", "helm install a b \\\n  --set c=d", "make"]);
    assert_eq!(input(&all[0]).as_deref(), Some("a: 1\n\n# kept"));
    assert_eq!(input(&all[2]), None);
}

#[test]
fn mistakes_are_found() {
    let page = "# A b\n\nText [one](two.md#three) and `[no](link)`.\n\n1. so\n\n   ```sh run\n   make\n   ```\n\n```yaml\na: [\n```\n";
    let all = blocks(page);
    assert_eq!((all[0].language.as_str(), all[0].mark.as_str(), all[0].text.as_str(), all[0].line), ("sh", "run", "make\n", 7));
    assert_eq!(yaml(&all[1].text).len(), 1);
    assert_eq!(links(page), [(3, "two.md#three".to_owned())]);
    assert_eq!(anchors("## `Ready`, and more\n```\n# no\n```\n"), ["ready-and-more"]);
    assert_eq!(yaml("engines: {nix: {nodeSelektor: {a: b}}}"), ["the chart has no value .engines.nix.nodeSelektor"]);
    assert_eq!(yaml("kind: SourceRepository\nspec: {provenance: {key: a}}"), ["there is no field spec.provenance.key"]);
    assert!(shell("if true\n").is_some());
    assert_eq!(join("docs/a.md", "../crds/./b.md"), "crds/b.md");
    assert!(Path::new(&join("docs/reference/a.md", "../b.md")).starts_with("docs"));
}
