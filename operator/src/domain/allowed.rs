//! What the admission policy lets in: the images that ContainerImages know to be from main. Pure.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_crds::{Class, ContainerImage};

/// Most bytes of lines: etcd takes 1.5 MiB, and names and keys come on top.
const MAX_BYTES: usize = 1_300_000;

/// The list, and how many of the older images did not fit into it.
#[derive(Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Lines by their last two digits, as AllowedImages holds them.
    pub images: BTreeMap<String, String>,
    /// Lines that were left out.
    pub left_out: usize,
}

/// Makes the list. What is wanted comes first, then the tags of main, the newest of each image before the older ones.
pub fn allowed<'a>(images: impl IntoIterator<Item = &'a ContainerImage>) -> Allowed {
    let mut ranked: BTreeSet<(usize, String)> = BTreeSet::new();
    for image in images {
        let Some(status) = &image.status else { continue };
        let Some(repository) = status.resolved.as_ref().map(|resolved| &resolved.image) else { continue };
        for wanted in status.variants.iter().filter_map(|variant| variant.wanted.as_ref()) {
            ranked.insert((0, wanted.digest.clone()));
            ranked.insert((0, format!("{repository}:{}", wanted.tag)));
        }
        let of_main = status.tags.iter().flat_map(|tags| &tags.newest).filter(|tag| tag.class == Class::Main);
        for (rank, tag) in of_main.enumerate() {
            ranked.insert((rank + 1, format!("{repository}:{}", tag.tag)));
            ranked.extend(tag.digest.clone().map(|digest| (rank + 1, digest)));
        }
    }
    let (mut lines, mut bytes, mut left_out): (BTreeMap<String, BTreeSet<String>>, _, _) = (BTreeMap::new(), 0, 0);
    for (_, line) in ranked {
        let Some(key) = key(&line) else { continue };
        let of_key = lines.entry(key).or_default();
        if of_key.contains(&line) {
            continue;
        }
        if bytes + line.len() + 1 > MAX_BYTES {
            left_out += 1;
            continue;
        }
        bytes += line.len() + 1;
        of_key.insert(line);
    }
    let images = lines.into_iter().filter(|(_, lines)| !lines.is_empty());
    Allowed { images: images.map(|(key, lines)| (key, lines.into_iter().collect::<Vec<_>>().join("\n"))).collect(), left_out }
}

/// The last two digits, those before `-nix`.
fn key(line: &str) -> Option<String> {
    let line = line.strip_suffix("-nix").unwrap_or(line);
    let key = line.get(line.len().checked_sub(2)?..)?;
    key.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, status: &str) -> ContainerImage {
        let text = format!(
            "{{apiVersion: a, kind: b, metadata: {{name: {name}}}, spec: {{}}, status: {{resolved: {{source: ops, path: p, image: r/{name}}}, {status}}}}}"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_from_main_is_listed_by_tag_and_where_known_by_digest() {
        let cv = image(
            "cv",
            "variants: [{variant: nix, reason: UpToDate, wanted: {tag: v2-abcdef1-nix, digest: 'sha256:00aa', commit: c}}], \
             tags: {main: 2, branch: 1, unknown: 0, foreign: 0, newest: [{tag: v2-abcdef1-nix, class: main, reason: r}, \
             {tag: v1-1234567-nix, class: main, reason: r, digest: 'sha256:00f1'}, {tag: v3-7654321, class: branch, reason: r}]}",
        );
        let Allowed { images, left_out } = allowed([&cv]);
        let all: Vec<_> = images.iter().map(|(key, lines)| (key.as_str(), lines.as_str())).collect();
        assert_eq!(all, [("67", "r/cv:v1-1234567-nix"), ("aa", "sha256:00aa"), ("f1", "r/cv:v2-abcdef1-nix\nsha256:00f1")]);
        assert_eq!(left_out, 0);
        assert!(allowed([&image("empty", "variants: []")]).images.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_the_oldest() {
        let long = "x".repeat(MAX_BYTES / 2);
        let tags = "tags: {main: 2, branch: 0, unknown: 0, foreign: 0, newest: [{tag: v2-1111111, class: main, reason: r}, {tag: v1-2222222, class: main, reason: r}]}";
        let mut big = image("big", tags);
        big.status.as_mut().unwrap().resolved.as_mut().unwrap().image = long;
        let Allowed { images, left_out } = allowed([&big]);
        assert_eq!((images.keys().map(String::as_str).collect::<Vec<_>>(), left_out), (vec!["11"], 1));
    }
}
