//! The objects to apply, as YAML with remarks for the one who applies them. Pure.

use std::fmt::Write;

use super::Found;
use super::manifests::many;
use crate::failure::{Failure, one_line};

/// What marks a value that somebody has to write.
pub(super) const FILL_IN: &str = "FILL IN";

/// Directories that are listed.
const LISTED: usize = 40;

/// Writes them. That a text cannot be written to memory is not met.
pub(super) fn write(found: &Found, namespace: Option<&str>) -> String {
    let mut text = String::new();
    let _ = remarks(&mut text, found, namespace);
    let _ = source(&mut text, found, namespace);
    let _ = pin(&mut text, found, namespace);
    text
}

fn remarks(text: &mut String, found: &Found, namespace: Option<&str>) -> std::fmt::Result {
    let containers = many(found.containers.len(), "container");
    writeln!(text, "# From {} at {}: {containers} in {}.\n#", found.branch, found.head, found.containers_path)?;
    for container in found.containers.iter().take(LISTED) {
        let variants: Vec<String> = container
            .variants
            .iter()
            .map(|(variant, version)| match version {
                Ok(version) => format!("{variant} {version}"),
                Err(error) => format!("{variant}: {}", one_line(error)),
            })
            .collect();
        writeln!(text, "#   {}: {}", container.path, variants.join("; "))?;
    }
    match found.containers.len().saturating_sub(LISTED) {
        0 => {}
        more => writeln!(text, "#   and {more} more")?,
    }
    for skipped in found.skipped.iter().take(LISTED) {
        writeln!(text, "#   left out: {skipped}")?;
    }
    let place = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
    let host = found.images.prefix.as_deref().and_then(|prefix| prefix.split('/').next()).unwrap_or("registry.example");
    let git = match found.url.as_deref() {
        Some(url) if !url.starts_with("http") => "--from-file=identity=<private key> --from-file=known_hosts=<output of ssh-keyscan>",
        _ => "--from-literal=username=<user> --from-literal=password=<token>",
    };
    writeln!(text, "#\n# The Secrets that are named below; whoever can do without one takes its two lines away:")?;
    writeln!(text, "#   kubectl create secret generic git{place} {git}")?;
    writeln!(
        text,
        "#   kubectl create secret docker-registry registry{place} --docker-server={host} --docker-username=<user> --docker-password=<token>"
    )?;
    if host.contains(':') || host == "localhost" {
        writeln!(text, "# Where {host} has no TLS, write plainHTTP: true under registry.")?;
    }
    Ok(())
}

/// The begin of an object.
fn head(text: &mut String, kind: &str, name: &str, namespace: Option<&str>) -> std::fmt::Result {
    writeln!(text, "apiVersion: mainstay.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: {}", scalar(name))?;
    if let Some(namespace) = namespace {
        writeln!(text, "  namespace: {}", scalar(namespace))?;
    }
    writeln!(text, "spec:")
}

fn source(text: &mut String, found: &Found, namespace: Option<&str>) -> std::fmt::Result {
    head(text, "SourceRepository", &found.name, namespace)?;
    match &found.url {
        Some(url) => writeln!(text, "  url: {}", scalar(url))?,
        None => writeln!(
            text,
            "  url: https://git.example/team/{}.git # {FILL_IN}: the checkout has no remote origin with an address",
            found.name
        )?,
    }
    writeln!(text, "  branch: {}", scalar(&found.branch))?;
    writeln!(text, "  credentialsSecretRef:\n    name: git")?;
    writeln!(text, "  registry:")?;
    match &found.images.prefix {
        Some(prefix) => writeln!(text, "    prefix: {} # {}", scalar(prefix), found.images.why)?,
        None => writeln!(text, "    prefix: registry.example/team # {FILL_IN}: {}", found.images.why)?,
    }
    writeln!(text, "    credentialsSecretRef:\n      name: registry")?;
    if found.containers_path != "containers" {
        writeln!(text, "  containersPath: {}", scalar(&found.containers_path))?;
    }
    writeln!(
        text,
        "  discovery: Create # a ContainerImage for each container; Off, where you write them yourself (spec: {{}} is a full one)"
    )
}

fn pin(text: &mut String, found: &Found, namespace: Option<&str>) -> std::fmt::Result {
    writeln!(text, "---")?;
    head(text, "ManifestPin", "all", namespace)?;
    writeln!(text, "  sourceRef:\n    name: {}\n  paths:", scalar(&found.name))?;
    for path in &found.images.paths {
        writeln!(text, "    - {}", scalar(path))?;
    }
    if found.images.paths.is_empty() {
        writeln!(text, "    - manifests # {FILL_IN}: where the manifests are; none names an image of this prefix yet")?;
    }
    writeln!(text, "  write: DryRun # kubectl mainstay pin diff all shows what it would write; then Commit, or PullRequest")
}

/// A text as YAML reads it: plain where it can be nothing else.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
    let word = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) && !text.ends_with(':');
    let other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    // What begins with a digit may be a number, a date or a time.
    if word && !other && !text.starts_with(|c: char| c.is_ascii_digit()) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// Whether the API server will take what was written, by the very rules that it has.
pub(super) fn check(text: &str) -> Result<(), Failure> {
    let objects: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(text).map_err(|error| Failure::Failed(one_line(&format!("the objects cannot be read: {error}"))))?;
    let all: Vec<String> = objects.iter().flat_map(mainstay_crds::complaints).collect();
    if all.is_empty() { Ok(()) } else { Err(Failure::Usage(one_line(&format!("that makes no valid object: {}", all.join("; "))))) }
}
