//! The version of a container: text of its files in, version out (design section 2; edge cases from note blumeops, section 5).

use parse_dockerfile::Instruction;
use rnix::ast::{self, InterpolPart};
use rowan::ast::AstNode;

use mainstay_crds::Reason;

use super::nix;
use crate::error::{Class, Classified};

/// Largest Dockerfile that is read, in bytes.
const MAX_DOCKERFILE: usize = 256 << 10;

/// The build argument that holds the version.
pub const ARGUMENT: &str = "CONTAINER_APP_VERSION";

/// The version of a container at some commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// It is written in a file of the container.
    Written(String),
    /// No file says one: nix evaluates `<name>.version` of nixpkgs in the build pod, and the tag is known when the image is.
    Evaluated,
}

impl Version {
    /// The version, where it is known before the build.
    pub fn written(&self) -> Option<&str> {
        match self {
            Version::Written(version) => Some(version),
            Version::Evaluated => None,
        }
    }
}

/// Why a container has no usable version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// A Dockerfile without the argument.
    #[error("the Dockerfile has no line `ARG CONTAINER_APP_VERSION=<version>`: add one above the first FROM")]
    NoArgument,
    /// A file that cannot be read.
    #[error("{file} cannot be read: {message}")]
    Syntax {
        /// Which file.
        file: &'static str,
        /// Why.
        message: String,
    },
    /// A file that is no build file of a person.
    #[error("{file} has {size} bytes, and {max} are read at most: move what is large into a file beside it")]
    TooLarge {
        /// Which file.
        file: &'static str,
        /// Its size in bytes.
        size: usize,
        /// What is read.
        max: usize,
    },
    /// A version that is computed.
    #[error("the version in {file} is computed ({value}): write it out, so that the tag can be known before the build")]
    Computed {
        /// Which file.
        file: &'static str,
        /// The value.
        value: String,
    },
    /// A file that is not text.
    #[error("{file} is not UTF-8 text")]
    NotText {
        /// Which file.
        file: &'static str,
    },
    /// A version that is nothing.
    #[error("the version {version:?} is empty: write one such as 1.2.3")]
    Empty {
        /// The version.
        version: String,
    },
    /// A character that a tag may not have.
    #[error("the version {version:?} has the character {character:?}: a tag takes letters, digits and . _ - only")]
    Character {
        /// The version.
        version: String,
        /// The character.
        character: char,
    },
    /// A tag that no registry takes.
    #[error("the tag would have {length} characters, and a registry takes {max}: shorten the version")]
    TooLong {
        /// Its length.
        length: usize,
        /// What is allowed.
        max: usize,
    },
}

impl Classified for VersionError {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> Reason {
        match self {
            VersionError::NoArgument => Reason::VersionNotFound,
            _ => Reason::VersionInvalid,
        }
    }
}

/// The version in a Dockerfile: the first `ARG CONTAINER_APP_VERSION=<value>`, wherever it stands. A re-declaration without a value does not count.
///
/// # Errors
/// Where there is none, or it is computed from another argument.
pub fn dockerfile(bytes: &[u8]) -> Result<String, VersionError> {
    let text = text("Dockerfile", bytes, MAX_DOCKERFILE)?;
    let syntax = |message: String| VersionError::Syntax { file: "Dockerfile", message };
    // What stands behind the version need not be understood: the engine will say what it thinks of it.
    for instruction in parse_dockerfile::parse_iter(text).map_err(|error| syntax(error.to_string()))? {
        let Instruction::Arg(argument) = instruction.map_err(|error| syntax(error.to_string()))? else { continue };
        let words = words(&argument.arguments.value).ok_or_else(|| syntax("a quote in ARG is not closed".to_owned()))?;
        for word in words {
            if let Some(value) = word.strip_prefix(ARGUMENT).and_then(|rest| rest.strip_prefix('=')) {
                if value.contains('$') {
                    return Err(VersionError::Computed { file: "Dockerfile", value: shown(value) });
                }
                return if value.is_empty() { Err(VersionError::Empty { version: String::new() }) } else { Ok(value.to_owned()) };
            }
        }
    }
    Err(VersionError::NoArgument)
}

/// The version in a default.nix: the first binding `version = "<value>"` in the text, comments and strings aside.
/// `None` where there is no such binding: then the Dockerfile's argument counts.
///
/// # Errors
/// Where the value is computed.
pub fn nix(bytes: &[u8]) -> Result<Option<String>, VersionError> {
    let text = text("default.nix", bytes, nix::MAX)?;
    nix::look(text, binding).map_err(|message| VersionError::Syntax { file: "default.nix", message })?
}

fn binding(root: &rnix::Root) -> Result<Option<String>, VersionError> {
    for binding in root.syntax().descendants().filter_map(ast::AttrpathValue::cast) {
        let named = binding.attrpath().is_some_and(|path| path.syntax().text() == "version");
        let Some(ast::Expr::Str(string)) = binding.value().filter(|_| named) else { continue };
        let mut version = String::new();
        for part in string.normalized_parts() {
            match part {
                InterpolPart::Literal(literal) => version.push_str(&literal),
                InterpolPart::Interpolation(_) => {
                    return Err(VersionError::Computed { file: "default.nix", value: shown(&string.syntax().text().to_string()) });
                }
            }
        }
        return if version.is_empty() { Err(VersionError::Empty { version }) } else { Ok(Some(version)) };
    }
    Ok(None)
}

/// The words of an ARG, as BuildKit splits them: blanks in quotes stay. `None` where a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, _) if character.is_ascii_whitespace() => all.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    all.push(word);
    quote.is_none().then_some(all)
}

/// The beginning of a value, for a message.
fn shown(value: &str) -> String {
    value.chars().take(80).collect()
}

fn text<'a>(file: &'static str, bytes: &'a [u8], max: usize) -> Result<&'a str, VersionError> {
    if bytes.len() > max {
        return Err(VersionError::TooLarge { file, size: bytes.len(), max });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| VersionError::NotText { file })?;
    // A byte order mark would shift every position (note crates, section 5).
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker(text: &str) -> Result<String, VersionError> {
        dockerfile(text.as_bytes())
    }

    #[test]
    fn the_first_argument_with_a_value_counts() {
        for (text, wanted) in [
            ("# about\nARG CONTAINER_APP_VERSION=1.0.3\nFROM x\nARG CONTAINER_APP_VERSION\n", "1.0.3"),
            ("FROM x\nARG CONTAINER_APP_VERSION\nARG CONTAINER_APP_VERSION=v4.1.1-r1\n", "v4.1.1-r1"),
            ("ARG CONTAINER_APP_VERSION=\"2026.2.0\"\nFROM x\n", "2026.2.0"),
            ("ARG CONTAINER_APP_VERSION='1.0'  \r\nFROM x\r\n", "1.0"),
            ("\u{feff}ARG CONTAINER_APP_VERSION=1.0\nFROM x\n", "1.0"),
            ("ARG A=1 CONTAINER_APP_VERSION=1.0 B=2\nFROM x\n", "1.0"),
            ("arg \\\n  CONTAINER_APP_VERSION=1.0\nFROM x\n", "1.0"),
            ("# ARG CONTAINER_APP_VERSION=9\nARG OTHER_CONTAINER_APP_VERSION=8\nARG CONTAINER_APP_VERSION=1.0\nFROM x\n", "1.0"),
            ("ARG CONTAINER_APP_VERSION=1.0\nFROM x\nRUN <<EOF\nARG CONTAINER_APP_VERSION=2\nEOF\n", "1.0"),
        ] {
            assert_eq!(docker(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_missing_or_computed_version_is_named() {
        assert_eq!(docker("FROM x\n"), Err(VersionError::NoArgument));
        assert_eq!(docker("ARG CONTAINER_APP_VERSION\nFROM x\n"), Err(VersionError::NoArgument));
        assert!(matches!(docker("ARG B=1\nARG CONTAINER_APP_VERSION=${B}.0\nFROM x\n"), Err(VersionError::Computed { .. })));
        assert!(matches!(docker("ARG CONTAINER_APP_VERSION=\nFROM x\n"), Err(VersionError::Empty { .. })));
        assert_eq!(dockerfile(b"\xff\xfe"), Err(VersionError::NotText { file: "Dockerfile" }));
        assert_eq!(VersionError::NoArgument.reason(), "VersionNotFound");
    }

    #[test]
    fn quotes_are_read_as_the_builder_reads_them() {
        assert_eq!(
            docker("ARG NOTE=\"was CONTAINER_APP_VERSION=9 before\"\nARG CONTAINER_APP_VERSION=1.0\nFROM x\n").as_deref(),
            Ok("1.0")
        );
        assert_eq!(docker("ARG CONTAINER_APP_VERSION=\"1 0\"\nFROM x\n").as_deref(), Ok("1 0"), "refused later, with its blank named");
        assert!(matches!(docker("ARG CONTAINER_APP_VERSION=\"1.0'\nFROM x\n"), Err(VersionError::Syntax { .. })));
    }

    #[test]
    fn hostile_files_end_in_words() {
        for broken in ["{ version = \"1.0;\n}", "{ version = \"1.0\" }", "{", "'' ${"] {
            assert!(matches!(nix(broken.as_bytes()), Err(VersionError::Syntax { .. })), "{broken}");
        }
        for deep in ["[", "!", "{a="] {
            let text = deep.repeat(nix::MAX / deep.len());
            assert!(matches!(nix(text.as_bytes()), Err(VersionError::Syntax { .. })), "{deep}");
        }
        let closed = format!("{}1{}", "[".repeat(8_000), "]".repeat(8_000));
        assert_eq!(nix(closed.as_bytes()), Ok(None));
        assert!(matches!(nix(&vec![b' '; nix::MAX + 1]), Err(VersionError::TooLarge { .. })));
        assert!(matches!(dockerfile(&vec![b' '; MAX_DOCKERFILE + 1]), Err(VersionError::TooLarge { .. })));
    }

    #[test]
    fn nix_takes_the_first_binding() {
        for (text, wanted) in [
            (
                "{ pkgs }: let\n  # Builds v2.17.0 (nixpkgs has 2.15.0) version = \"9\";\n  version = \"2.17.0\";\nin { inherit version; rev = \"v${version}\"; }",
                Some("2.17.0"),
            ),
            ("let v = { version = \"1.0\"; }; in { version = \"2.0\"; }", Some("1.0")),
            ("{ x = \"version = \\\"9\\\";\"; version = \"1.0\"; }", Some("1.0")),
            ("{ version=\"1.0\"; }", Some("1.0")),
            ("{ pkgs }: pkgs.hello", None),
            ("{ version = pkgs.hello.version; }", None),
            ("{ app.version = \"1.0\"; }", None),
        ] {
            assert_eq!(nix(text.as_bytes()).unwrap().as_deref(), wanted, "{text}");
        }
        assert!(matches!(nix(b"{ version = \"3.${x}\"; }"), Err(VersionError::Computed { .. })));
    }
}
