//! The message of a commit that moves pins: a subject and body from a template, and trailers that machines read.

use serde::Serialize;

use super::template as templates;

/// Longest message.
const MAX: usize = 64 << 10;

/// Trailer of every commit of ours: which ManifestPin wrote it. By it our commits are told from those of people.
pub const TRAILER: &str = "Mainstay-pin";

/// The message where the ManifestPin has no template of its own.
const DEFAULT: &str = "\
{%- if images | length == 1 -%}
Pin {{ images[0] }} to {{ pins[0].new }}
{%- else -%}
Pin {{ images | length }} images from main
{%- endif %}

{% for pin in pins -%}
{{ pin.path }}: {{ pin.image }}
  {{ pin.old }} {{ pin.oldClass }} -> {{ pin.new }} [main]
  digest {{ pin.digest }}
  built from {{ pin.commit }}
{% endfor %}";

/// One pin that moves, as a template sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// File and line.
    pub path: String,
    /// Name of the ContainerImage.
    pub image: String,
    /// Tag before.
    pub old: String,
    /// Its class: `[main]`, `[branch]` or `[unknown]`.
    pub old_class: String,
    /// Tag after.
    pub new: String,
    /// What it names.
    pub digest: String,
    /// Commit that it was built from.
    pub commit: String,
}

/// The commit of the container that a pin follows, for Argo CD's trailers: it shows them as the origin of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// 40 hex digits.
    pub sha: String,
    /// `Name <address>`.
    pub author: String,
    /// When, as RFC 3339.
    pub date: String,
    /// First line of its message.
    pub subject: String,
    /// Where its repository is.
    pub repository: String,
}

/// A template that does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("spec.commit.message: {0}")]
pub struct TemplateError(String);

/// Writes the message: `template` or our own, then the trailers.
///
/// # Errors
/// Words for a person where the template is not valid, takes too long or gives nothing.
pub fn render(template: Option<&str>, lines: &[Line], pin: (&str, &str), origin: Option<&Origin>) -> Result<String, TemplateError> {
    let mut images: Vec<String> = lines.iter().map(|line| line.image.clone()).collect();
    images.sort_unstable();
    images.dedup();
    let (namespace, name) = pin;
    let context = minijinja::context! { pins => minijinja::Value::from(minijinja::value::Serde(lines)), images => images, namespace => namespace.to_owned(), name => name.to_owned() };
    let text = templates::render(template.unwrap_or(DEFAULT), context).map_err(TemplateError)?;
    // A template is a person's text, its values are not: what is no letter on a line has no place in a message.
    let text: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let text = text.trim();
    if text.is_empty() {
        return Err(TemplateError("it gives an empty message".to_owned()));
    }
    if text.len() > MAX {
        return Err(TemplateError(format!("it gives a message of more than {MAX} bytes")));
    }
    let mut message = format!("{text}\n\n{TRAILER}: {namespace}/{name}\n");
    if let Some(origin) = origin {
        for (key, value) in [
            ("repourl", &origin.repository),
            ("sha", &origin.sha),
            ("author", &origin.author),
            ("date", &origin.date),
            ("subject", &origin.subject),
        ] {
            message.push_str(&format!("Argocd-reference-commit-{key}: {}\n", one_line(value)));
        }
    }
    Ok(message)
}

/// Whether a commit with this message was made by an operator of ours.
pub fn is_ours(message: &str) -> bool {
    let trailers = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    trailers.lines().any(|line| line.strip_prefix(TRAILER).is_some_and(|rest| rest.starts_with(": ")))
}

/// Somebody's words as one short line: a line break would be a trailer of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(image: &str) -> Line {
        Line {
            path: format!("apps/{image}.yaml:3"),
            image: image.into(),
            old: "v1.0-1111111".into(),
            old_class: "[branch]".into(),
            new: "v1.0-2222222".into(),
            digest: "sha256:ab".into(),
            commit: "2222222000000000000000000000000000000000".into(),
        }
    }

    fn plain(lines: &[Line]) -> String {
        render(None, lines, ("ops", "all"), None).unwrap()
    }

    #[test]
    fn a_commit_says_what_moved_and_why() {
        assert_eq!(
            plain(&[line("cv")]),
            "Pin cv to v1.0-2222222\n\napps/cv.yaml:3: cv\n  v1.0-1111111 [branch] -> v1.0-2222222 [main]\n  digest sha256:ab\n  built from 2222222000000000000000000000000000000000\n\nMainstay-pin: ops/all\n"
        );
        assert!(plain(&[line("cv"), line("web")]).starts_with("Pin 2 images from main\n\napps/cv.yaml:3: cv\n"));
    }

    #[test]
    fn the_origin_is_written_as_argo_cd_reads_it() {
        let origin = Origin {
            sha: "2".repeat(40),
            author: "A <a@b>".into(),
            date: "2026-11-25T12:00:00Z".into(),
            subject: "Fix\nSigned-off-by: evil".into(),
            repository: "https://g/x".into(),
        };
        let text = render(None, &[line("cv")], ("ops", "all"), Some(&origin)).unwrap();
        assert!(text.ends_with("Argocd-reference-commit-subject: Fix Signed-off-by: evil\n"), "{text}");
        assert!(text.contains(&format!("\nArgocd-reference-commit-sha: {}\n", "2".repeat(40))));
        assert!(is_ours(&text));
    }

    #[test]
    fn our_commits_are_known_by_their_trailer_and_not_by_a_quotation() {
        assert!(is_ours(&plain(&[line("cv")])));
        assert!(!is_ours("Revert \"Pin\"\n\nMainstay-pin: ops/all\n\nReviewed-by: a"));
        assert!(!is_ours("Mainstay-pinned: x"));
    }

    #[test]
    fn a_template_is_a_persons_own() {
        let text = render(Some("chore: {{ images | join(', ') }}"), &[line("b"), line("a")], ("o", "p"), None).unwrap();
        assert_eq!(text, "chore: a, b\n\nMainstay-pin: o/p\n");
    }

    #[test]
    fn a_template_that_does_not_serve_says_why() {
        for (template, words) in [
            ("{{ pins[0].nosuch }}", "undefined"),
            ("{% for x in %}", "spec.commit.message"),
            ("  ", "empty"),
            ("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}", "fuel"),
        ] {
            let said = render(Some(template), &[line("a")], ("o", "p"), None).unwrap_err().to_string();
            assert!(said.contains(words), "{template}: {said}");
        }
    }
}
