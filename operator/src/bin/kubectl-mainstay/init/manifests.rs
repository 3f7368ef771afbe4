//! Where a repository's manifests are, and what they write before the names of its containers. Pure.

use std::collections::{BTreeMap, BTreeSet};

use mainstay::clients::git::Manifest;
use mainstay::domain::pin;

/// How manifests name the images of containers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Images {
    /// What image names begin with, such as `registry.example/team`; `None` where that is not clear.
    pub(super) prefix: Option<String>,
    /// Why, for people.
    pub(super) why: String,
    /// Files and directories where manifests name them.
    pub(super) paths: Vec<String>,
}

/// Finds out. `given`: the prefix that somebody named.
pub(super) fn images(names: &[String], files: &[Manifest], given: Option<&str>) -> Images {
    // By prefix the files that mention it.
    let mut mentions: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        let text = String::from_utf8_lossy(&file.bytes);
        for prefix in prefixes(names, &text) {
            mentions.entry(prefix).or_default().insert(&file.path);
        }
    }
    let (prefix, why) = match given {
        Some(given) => (Some(given.trim_end_matches('/').to_owned()), "as you said".to_owned()),
        None => choose(names, files, &mentions),
    };
    let paths = prefix.as_ref().and_then(|prefix| mentions.get(prefix)).map(directories).unwrap_or_default();
    Images { prefix, why, paths }
}

/// The only prefix that stands before tags that Mainstay makes; else the only one that stands before names of containers at all.
fn choose(names: &[String], files: &[Manifest], mentions: &BTreeMap<String, BTreeSet<&str>>) -> (Option<String>, String) {
    let places = |prefix: &String| -> usize {
        let targets: pin::Targets = names.iter().map(|name| format!("{prefix}/{name}")).collect();
        files.iter().filter_map(|file| pin::scan(&file.bytes, &targets).ok()).map(|scan| scan.places.len()).sum()
    };
    let counted: Vec<(&String, usize)> = mentions.keys().map(|prefix| (prefix, places(prefix))).collect();
    let ours: Vec<&(&String, usize)> = counted.iter().filter(|(_, count)| *count > 0).collect();
    let files = |prefix: &String| mentions.get(prefix).map_or(0, BTreeSet::len);
    match (ours.as_slice(), counted.as_slice()) {
        ([(prefix, count)], _) => {
            (Some((*prefix).clone()), format!("from {} in {}", many(*count, "place"), many(files(prefix), "manifest")))
        }
        ([], [(prefix, _)]) => (Some((*prefix).clone()), format!("from {}", many(files(prefix), "manifest"))),
        ([], []) => (None, "no manifest names an image after one of the containers".to_owned()),
        _ => {
            let all: Vec<&str> = mentions.keys().map(String::as_str).collect();
            (None, format!("the manifests say {}", all.join(" and ")))
        }
    }
}

/// `1 place`, `2 places`.
pub(super) fn many(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// What a text writes before the names of containers, where that begins with the host of a registry.
fn prefixes(names: &[String], text: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    text.split(|c: char| !part(c)).filter_map(|word| prefix(names, word)).collect()
}

fn prefix(names: &[String], word: &str) -> Option<String> {
    let word = match word.rsplit_once("://") {
        // A web address is for people, or for Git.
        Some((scheme, _)) if ["http", "https", "git", "ssh"].iter().any(|web| scheme.ends_with(web)) => return None,
        Some((_, rest)) => rest,
        None => word,
    };
    let word = word.split('@').next()?;
    let (prefix, last) = word.rsplit_once('/')?;
    let name = last.split(':').next()?;
    let host = prefix.split('/').next()?;
    let is_host = (host.contains('.') || host.contains(':') || host == "localhost") && !host.starts_with(['.', '-', ':']);
    (is_host && names.iter().any(|known| known == name)).then(|| prefix.to_owned())
}

/// Directories that hold these files: for each of the topmost ones the deepest that has them all, or that above it where all lie in one, since the
/// next container's manifests will lie beside them.
fn directories(files: &BTreeSet<&str>) -> Vec<String> {
    let mut roots: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    let mut paths = Vec::new();
    for file in files {
        match file.rsplit_once('/') {
            Some((directory, _)) => {
                let parts: Vec<&str> = directory.split('/').collect();
                roots.entry(parts.first().copied().unwrap_or_default()).or_default().push(parts);
            }
            None => paths.push((*file).to_owned()),
        }
    }
    for all in roots.into_values() {
        let Some((first, rest)) = all.split_first() else { continue };
        let alike = |at: usize| rest.iter().all(|other| other.get(at) == first.get(at));
        let common = (0..first.len()).take_while(|at| alike(*at)).count();
        let alone = rest.iter().all(|other| other == first);
        let keep = if alone && common > 1 { common - 1 } else { common };
        paths.push(first.iter().take(keep).copied().collect::<Vec<_>>().join("/"));
    }
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Manifest {
        Manifest { path: path.to_owned(), blob: String::new(), mode: 0o100_644, bytes: text.as_bytes().to_vec() }
    }

    fn of(files: &[(&str, &str)], given: Option<&str>) -> Images {
        let names = ["cv", "redis", "runner"].map(str::to_owned);
        let files: Vec<Manifest> = files.iter().map(|(path, text)| file(path, text)).collect();
        images(&names, &files, given)
    }

    const KUSTOMIZE: (&str, &str) =
        ("argocd/manifests/cv/kustomization.yaml", "images:\n  - name: registry.example/team/cv\n    newTag: v1.0-0e2c101\n");

    #[test]
    fn the_prefix_is_what_stands_before_our_tags() {
        let other = ("argocd/manifests/redis/redis.yaml", "image: docker.io/library/redis:7-alpine");
        let found = of(&[KUSTOMIZE, other], None);
        assert_eq!(found.prefix.as_deref(), Some("registry.example/team"));
        assert_eq!(found.why, "from 1 place in 1 manifest");
        assert_eq!(found.paths, ["argocd/manifests"], "the directory of one application is too narrow");
    }

    #[test]
    fn one_prefix_without_our_tags_is_clear_and_two_are_not() {
        let one = ("apps/a.yaml", "image: localhost:5000/cv:latest");
        assert_eq!(of(&[one], None).prefix.as_deref(), Some("localhost:5000"));
        let found = of(&[one, ("apps/b.yaml", "value: k8s:docker://r.example/x/runner:1")], None);
        assert_eq!((found.prefix, found.why.as_str()), (None, "the manifests say localhost:5000 and r.example/x"));
        assert_eq!(of(&[], None).prefix, None);
    }

    #[test]
    fn what_only_looks_like_an_image_is_none() {
        for text in ["https://forge.example/team/cv", "path: apps/cv", "git@forge.example:team/cv", "./a/cv", "x: r.example/team/cvs:1"] {
            assert_eq!(of(&[("apps/a.yaml", text)], None).prefix, None, "{text}");
        }
    }

    #[test]
    fn what_somebody_says_counts() {
        let found = of(&[KUSTOMIZE], Some("registry.example/team/"));
        assert_eq!(
            (found.prefix.as_deref(), found.paths.as_slice()),
            (Some("registry.example/team"), &["argocd/manifests".to_owned()][..])
        );
        let found = of(&[KUSTOMIZE], Some("other.example"));
        assert!(found.prefix.as_deref() == Some("other.example") && found.paths.is_empty());
    }

    #[test]
    fn directories_hold_all_files_and_no_more() {
        let of = |files: &[&'static str]| directories(&files.iter().copied().collect());
        assert_eq!(of(&["a/x/1.yaml", "a/y/2.yaml", "b/3.yaml", "root.yaml"]), ["a", "b", "root.yaml"]);
        assert_eq!(of(&["a/m/x/1.yaml", "a/m/y/z/2.yaml"]), ["a/m"]);
        assert_eq!(of(&["a/m/x/1.yaml"]), ["a/m"]);
        assert_eq!(of(&["a/1.yaml"]), ["a"]);
    }
}
