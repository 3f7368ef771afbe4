//! Which nixpkgs a default.nix is built with: one that the repository pins (`flake.lock`, `npins`, a fetch of a commit), or one that floats.
//! Read from the text, never evaluated: what is not understood is not called pinned.

use std::collections::BTreeMap;

use mainstay_crds::Nixpkgs;
use rnix::Root;
use rnix::ast::{Apply, AttrSet, AttrpathValue, Expr, HasEntry, InterpolPart, PathRel, PathSearch, Str};
use rowan::ast::AstNode;
use serde::Deserialize;
use serde_json::Value;

use super::nix;

/// What is said of one that floats.
const FLOATS: &str =
    "the same commit may be built into another image on another day: pin nixpkgs by flake.lock, npins, or a fetch with rev or sha256";

/// A place of the text that says where nixpkgs comes from.
#[derive(Debug, PartialEq, Eq)]
enum Mention {
    /// `<nixpkgs>`.
    SearchPath,
    /// A path of the repository that holds pins, relative to the default.nix.
    File(String),
    /// A fetch.
    Fetch { uri: String, revision: Option<String>, hash: Option<String> },
}

/// The nixpkgs of a default.nix. `read` gives a file of the repository by its path relative to the default.nix. `None` where no nixpkgs is named
/// that we know of: an expression that stands on its own, or one that is not understood.
pub fn find(default_nix: &[u8], read: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Nixpkgs> {
    let text = std::str::from_utf8(default_nix).ok().filter(|text| text.len() <= nix::MAX)?;
    let mentions = nix::look(text, mentions).ok()?;
    let mut pinned = None;
    for mention in mentions {
        let found = match mention {
            Mention::SearchPath => Some(floating("default.nix", None, "default.nix takes <nixpkgs> as the engine has it")),
            Mention::Fetch { uri, revision, hash } if revision.is_some() || hash.is_some() => {
                Some(Nixpkgs { pinned: true, from: "default.nix".to_owned(), uri: Some(uri), revision, hash, message: None })
            }
            Mention::Fetch { uri, .. } => {
                let message = format!("default.nix fetches {uri} without a commit or hash");
                Some(floating("default.nix", Some(uri), &message))
            }
            Mention::File(path) => read(&path).as_deref().and_then(pins).map(|(uri, revision, hash)| Nixpkgs {
                pinned: true,
                from: path.trim_start_matches("./").to_owned(),
                uri,
                revision,
                hash,
                message: None,
            }),
        };
        match found {
            // One place that floats is enough for another image on another day.
            Some(found) if !found.pinned => return Some(found),
            found => pinned = pinned.or(found),
        }
    }
    pinned
}

/// What `<nixpkgs>` means by the engine's `NIX_PATH`, where that names a commit.
pub fn by_engine(found: Nixpkgs, nix_path: Option<&str>) -> Nixpkgs {
    let uri = nix_path.and_then(|path| path.split(' ').find_map(|entry| entry.strip_prefix("nixpkgs=")));
    match uri.and_then(|uri| Some((uri, commit_in(uri)?))) {
        Some((uri, revision)) if !found.pinned && found.uri.is_none() => Nixpkgs {
            pinned: true,
            from: "engines.nix.environment.NIX_PATH".to_owned(),
            uri: Some(shown(uri)),
            revision: Some(revision),
            hash: None,
            message: None,
        },
        _ => found,
    }
}

/// The nixpkgs that a version is evaluated with, where default.nix names none: the engine's own.
pub fn of_version() -> Nixpkgs {
    floating("default.nix", None, "no file says a version, so that it is taken from <nixpkgs> as the engine has it")
}

fn floating(from: &str, uri: Option<String>, what: &str) -> Nixpkgs {
    Nixpkgs { pinned: false, from: from.to_owned(), uri, revision: None, hash: None, message: Some(format!("{what}: {FLOATS}")) }
}

fn mentions(root: &Root) -> Vec<Mention> {
    let known = bindings(root);
    let mut all = Vec::new();
    for node in root.syntax().descendants() {
        if let Some(path) = PathSearch::cast(node.clone()) {
            let text = path.syntax().text().to_string();
            if text == "<nixpkgs>" || text.starts_with("<nixpkgs/") {
                all.push(Mention::SearchPath);
            }
        } else if let Some(path) = PathRel::cast(node.clone()) {
            all.extend(file(&path.syntax().text().to_string()).map(Mention::File));
        } else if let Some(apply) = Apply::cast(node) {
            all.extend(fetch(&apply, &known));
        }
    }
    all
}

/// The file with pins that a path means: a lock file, or the directory of npins.
fn file(path: &str) -> Option<String> {
    let directory = path.trim_end_matches("/default.nix").trim_end_matches('/');
    let name = directory.rsplit('/').next()?;
    match name {
        "flake.lock" => Some(path.to_owned()),
        "npins" => Some(format!("{directory}/sources.json")),
        "sources.json" if path.ends_with("npins/sources.json") => Some(path.to_owned()),
        _ => None,
    }
}

/// Names that are bound to a plain string, wherever: a commit is often written once, above.
fn bindings(root: &Root) -> BTreeMap<String, String> {
    let bound = |binding: AttrpathValue| {
        let Expr::Str(value) = binding.value()? else { return None };
        Some((binding.attrpath()?.syntax().text().to_string(), plain(&value, &BTreeMap::new())?))
    };
    root.syntax().descendants().filter_map(AttrpathValue::cast).filter_map(bound).collect()
}

/// A string without what is computed; names that are bound to a string are put in.
fn plain(text: &Str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut all = String::new();
    for part in text.normalized_parts() {
        match part {
            InterpolPart::Literal(literal) => all.push_str(&literal),
            InterpolPart::Interpolation(inner) => all.push_str(known.get(&inner.expr()?.syntax().text().to_string())?),
        }
    }
    Some(all)
}

fn fetch(apply: &Apply, known: &BTreeMap<String, String>) -> Option<Mention> {
    let function = apply.lambda()?.syntax().text().to_string();
    let function = function.rsplit('.').next().unwrap_or_default();
    if function == "getFlake"
        && let Some(path) = apply.argument()?.syntax().descendants().find_map(PathRel::cast)
    {
        return Some(Mention::File(format!("{}/flake.lock", path.syntax().text().to_string().trim_end_matches("/."))));
    }
    if !matches!(function, "fetchTarball" | "fetchzip" | "fetchGit" | "fetchTree" | "getFlake" | "fetchFromGitHub") {
        return None;
    }
    let (uri, revision, hash) = match apply.argument()? {
        Expr::Str(text) => (plain(&text, known)?, None, None),
        Expr::AttrSet(set) => {
            let field = |names: &[&str]| names.iter().find_map(|name| attribute(&set, name, known));
            let github = || Some(format!("github:{}/{}", field(&["owner"])?, field(&["repo"])?));
            (field(&["url"]).or_else(github)?, field(&["rev"]), field(&["sha256", "hash", "narHash"]))
        }
        _ => return None,
    };
    let lower = uri.to_lowercase();
    if !["nixpkgs", "nixos.org/"].iter().any(|word| lower.contains(word)) {
        return None;
    }
    let revision = revision.filter(|revision| is_commit(revision)).or_else(|| commit_in(&uri));
    Some(Mention::Fetch { uri: shown(&uri), revision, hash: hash.filter(|hash| !hash.is_empty()) })
}

fn attribute(set: &AttrSet, name: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let value = set.attrpath_values().find(|entry| entry.attrpath().is_some_and(|path| path.syntax().text() == name));
    match value.and_then(|entry| entry.value()) {
        Some(Expr::Str(text)) => plain(&text, known),
        Some(other) => known.get(&other.syntax().text().to_string()).cloned(),
        // `inherit rev;`
        None => {
            let inherited = set.inherits().flat_map(|inherit| inherit.attrs()).any(|attr| attr.syntax().text() == name);
            known.get(name).filter(|_| inherited).cloned()
        }
    }
}

type Pin = (Option<String>, Option<String>, Option<String>);

/// Address, commit and hash of nixpkgs in a lock file of flakes, or in the sources of npins.
fn pins(json: &[u8]) -> Option<Pin> {
    #[derive(Deserialize)]
    struct Lock {
        nodes: BTreeMap<String, Value>,
        root: String,
    }
    #[derive(Deserialize)]
    struct Npins {
        pins: BTreeMap<String, Value>,
    }
    let text = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    if let Ok(lock) = serde_json::from_slice::<Lock>(json) {
        let input = lock.nodes.get(&lock.root).and_then(|root| text(root, "/inputs/nixpkgs"));
        let named = input.and_then(|name| lock.nodes.get(&name));
        let node = named.or_else(|| lock.nodes.values().find(|node| text(node, "/locked/repo").as_deref() == Some("nixpkgs")))?;
        let uri = match (text(node, "/locked/type"), text(node, "/locked/owner"), text(node, "/locked/repo")) {
            (Some(kind), Some(owner), Some(repo)) => Some(format!("{kind}:{owner}/{repo}")),
            _ => text(node, "/locked/url").map(|url| shown(&url)),
        };
        return complete((uri, text(node, "/locked/rev"), text(node, "/locked/narHash")));
    }
    let sources = serde_json::from_slice::<Npins>(json).ok()?;
    let pin = sources.pins.get("nixpkgs").or_else(|| sources.pins.iter().find(|(name, _)| name.contains("nixpkgs")).map(|(_, pin)| pin))?;
    let uri = match (text(pin, "/repository/owner"), text(pin, "/repository/repo")) {
        (Some(owner), Some(repo)) => Some(format!("github:{owner}/{repo}")),
        _ => text(pin, "/url").map(|url| shown(&url)),
    };
    complete((uri, text(pin, "/revision"), text(pin, "/hash")))
}

/// A pin that names neither commit nor hash is none.
fn complete(pin: Pin) -> Option<Pin> {
    (pin.1.is_some() || pin.2.is_some()).then_some(pin)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn commit_in(uri: &str) -> Option<String> {
    uri.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_commit(word)).map(str::to_owned)
}

/// An address as it may stand in a status: without a password, and not longer than people read.
fn shown(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host);
    let whole = match (scheme.is_empty(), path.is_empty()) {
        (true, _) => uri.to_owned(),
        (false, true) => format!("{scheme}://{host}"),
        (false, false) => format!("{scheme}://{host}/{path}"),
    };
    whole.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REV: &str = "ac62194c3917d5f474c1a844b6fd6da2db95077d";

    fn of(text: &str) -> Option<Nixpkgs> {
        find(text.as_bytes(), |_| None)
    }

    #[test]
    fn the_search_path_floats() {
        for text in ["{ pkgs ? import <nixpkgs> { } }: pkgs.hello", "(import <nixpkgs/nixos> { }).system"] {
            let found = of(text).unwrap();
            assert!(!found.pinned && found.message.unwrap().contains("<nixpkgs>"), "{text}");
        }
        assert_eq!(of("derivation { name = \"<nixpkgs>\"; }"), None, "a word in a string");
        assert_eq!(of("{ # <nixpkgs>\n}"), None, "and in a comment");
        assert_eq!(of("{"), None);
    }

    #[test]
    fn a_fetch_of_a_commit_or_with_a_hash_is_pinned() {
        let archive = format!("https://github.com/NixOS/nixpkgs/archive/{REV}.tar.gz");
        for text in [
            format!("import (fetchTarball \"{archive}\") {{ }}"),
            format!("import (builtins.fetchTarball {{ url = \"{archive}\"; sha256 = \"0abc\"; }}) {{ }}"),
            format!("let rev = \"{REV}\"; in import (fetchTarball \"https://github.com/NixOS/nixpkgs/archive/${{rev}}.tar.gz\") {{ }}"),
            format!(
                "let rev = \"{REV}\"; in import (builtins.fetchGit {{ url = \"https://u:p@git.example/nixpkgs\"; inherit rev; }}) {{ }}"
            ),
            format!("(builtins.getFlake \"github:NixOS/nixpkgs/{REV}\").legacyPackages"),
            format!(
                "import (pkgs.fetchFromGitHub {{ owner = \"NixOS\"; repo = \"nixpkgs\"; rev = \"{REV}\"; hash = \"sha256-x\"; }}) {{ }}"
            ),
        ] {
            let found = of(&text).unwrap();
            assert!(found.pinned && found.message.is_none(), "{text}");
            assert_eq!(found.revision.as_deref(), Some(REV), "{text}");
            assert!(!found.uri.unwrap().contains("u:p"), "{text}");
        }
        let hash = of("import (fetchTarball { url = \"https://nixos.org/channels/nixos-25.05/nixexprs.tar.xz\"; sha256 = \"0abc\"; }) { }")
            .unwrap();
        assert_eq!((hash.pinned, hash.revision, hash.hash.as_deref()), (true, None, Some("0abc")));
    }

    #[test]
    fn a_fetch_of_a_branch_floats_and_other_fetches_are_not_meant() {
        let found = of("import (fetchTarball \"https://github.com/NixOS/nixpkgs/archive/nixos-25.05.tar.gz\") { }").unwrap();
        assert!(!found.pinned && found.message.unwrap().contains("nixos-25.05"));
        assert_eq!(of("fetchTarball \"https://example.org/app.tar.gz\""), None);
        let both = format!("{{ pkgs ? import <nixpkgs> {{ }} }}: fetchTarball \"https://github.com/NixOS/nixpkgs/archive/{REV}.tar.gz\"");
        assert!(!of(&both).unwrap().pinned, "one that floats is enough");
    }

    #[test]
    fn lock_files_are_read_where_the_file_uses_them() {
        let lock = format!(
            "{{\"nodes\": {{\"nixpkgs_2\": {{\"locked\": {{\"type\": \"github\", \"owner\": \"NixOS\", \"repo\": \"nixpkgs\", \"rev\": \"{REV}\", \"narHash\": \"sha256-x\"}}}}, \
             \"root\": {{\"inputs\": {{\"nixpkgs\": \"nixpkgs_2\"}}}}}}, \"root\": \"root\", \"version\": 7}}"
        );
        let read = |path: &str| (path == "../../flake.lock" || path == "./flake.lock").then(|| lock.clone().into_bytes());
        for (text, from) in [
            ("let l = builtins.fromJSON (builtins.readFile ../../flake.lock); in l", "../../flake.lock"),
            ("(builtins.getFlake (toString ./.)).packages", "flake.lock"),
        ] {
            let found = find(text.as_bytes(), read).unwrap();
            assert_eq!((found.from.as_str(), found.uri.as_deref()), (from, Some("github:NixOS/nixpkgs")));
            assert_eq!((found.revision.as_deref(), found.hash.as_deref()), (Some(REV), Some("sha256-x")));
        }
        assert_eq!(find(b"{ }", read), None, "a lock file that is not used says nothing");
    }

    #[test]
    fn npins_is_read_by_its_directory() {
        let git = format!(
            "{{\"pins\": {{\"nixpkgs\": {{\"type\": \"Git\", \"repository\": {{\"type\": \"GitHub\", \"owner\": \"NixOS\", \"repo\": \"nixpkgs\"}}, \"revision\": \"{REV}\", \"hash\": \"0abc\"}}}}, \"version\": 5}}"
        );
        let channel = "{\"pins\": {\"nixpkgs\": {\"type\": \"Channel\", \"name\": \"nixos-25.05\", \"url\": \"https://releases.nixos.org/x/nixexprs.tar.xz\", \"hash\": \"0abc\"}}, \"version\": 5}";
        for (text, json, uri) in [
            ("let s = import ./npins; in import s.nixpkgs { }", git.as_str(), "github:NixOS/nixpkgs"),
            ("let s = import ./npins/default.nix; in s", channel, "https://releases.nixos.org/x/nixexprs.tar.xz"),
        ] {
            let found = find(text.as_bytes(), |path| (path == "./npins/sources.json").then(|| json.as_bytes().to_vec())).unwrap();
            assert_eq!((found.from.as_str(), found.uri.as_deref(), found.hash.as_deref()), ("npins/sources.json", Some(uri), Some("0abc")));
        }
        assert_eq!(find(b"import ./npins", |_| Some(b"junk".to_vec())), None);
    }

    #[test]
    fn the_engine_may_pin_it() {
        let path = format!("other=/x nixpkgs=https://github.com/NixOS/nixpkgs/archive/{REV}.tar.gz");
        let found = by_engine(of("import <nixpkgs> { }").unwrap(), Some(&path));
        assert_eq!((found.pinned, found.revision.as_deref()), (true, Some(REV)));
        assert!(!by_engine(of("import <nixpkgs> { }").unwrap(), Some("nixpkgs=channel:nixos-25.05")).pinned);
        let fetched = of("fetchTarball \"https://github.com/NixOS/nixpkgs/archive/master.tar.gz\"").unwrap();
        assert!(!by_engine(fetched, Some(&path)).pinned, "it is not taken from there");
    }
}
