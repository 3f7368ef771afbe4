//! Whether a directory's name can be the last part of an image name (OCI distribution specification: lower-case letters and digits, with
//! `.`, `_`, `__` or dashes between them).

/// Longest part that we take; registries differ in what they allow of a whole name.
const MAX: usize = 128;

/// Checks a name.
///
/// # Errors
/// Words that name what is wrong and what to do.
pub fn check(name: &str) -> Result<(), String> {
    if name.len() > MAX {
        return Err(format!("its name has {} characters, and an image name takes {MAX}: shorten it", name.len()));
    }
    if let Some(character) = name.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))) {
        return Err(format!("its name has the character {character:?}: an image name takes lower-case letters, digits and . _ - only"));
    }
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let separators = |part: &str| part.is_empty() || part == "." || part == "_" || part == "__" || part.bytes().all(|b| b == b'-');
    let between = name.split(|c: char| c.is_ascii_alphanumeric()).all(separators);
    if !between || ends.iter().any(|end| end.is_none_or(|b| !b.is_ascii_alphanumeric())) {
        return Err("its name must begin and end with a letter or digit, and have one separator at a time: rename it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for good in ["cv", "grafana-sidecar", "a__b", "a--b", "a.b_c-1", "0"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, words) in [
            ("CV", "'C'"),
            ("a b", "' '"),
            ("-a", "begin and end"),
            ("a.", "begin and end"),
            ("a..b", "one separator"),
            ("a._b", "one separator"),
            ("ü", "'ü'"),
            ("", "begin and end"),
        ] {
            let said = check(bad).unwrap_err();
            assert!(said.contains(words), "{bad}: {said}");
        }
        assert!(check(&"a".repeat(129)).is_err());
    }
}
