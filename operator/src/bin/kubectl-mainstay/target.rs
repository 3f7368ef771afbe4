//! What a name on the command line means.

use crate::failure::Failure;

/// An object that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// ContainerImage.
    Image(String),
    /// ManifestPin.
    Pin(String),
    /// SourceRepository.
    Source(String),
    /// ImageBuild.
    Build(String),
}

impl Target {
    /// Reads `cv`, `pin/all`, `source/ops` or `build/cv-0e2c101-1`; the short names that kubectl knows serve too.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let Some((kind, name)) = text.split_once('/') else { return Ok(Self::Image(text.to_owned())) };
        let name = name.to_owned();
        match kind.to_lowercase().trim_end_matches(".mainstay.dev") {
            "image" | "cimg" | "containerimage" => Ok(Self::Image(name)),
            "pin" | "mpin" | "manifestpin" => Ok(Self::Pin(name)),
            "source" | "srepo" | "sourcerepository" => Ok(Self::Source(name)),
            "build" | "ibuild" | "imagebuild" => Ok(Self::Build(name)),
            _ => Err(Failure::Usage(format!("{text}: write NAME for a ContainerImage, pin/NAME, source/NAME or build/NAME"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_a_kind() {
        for (text, target) in [
            ("cv", Target::Image("cv".into())),
            ("cimg/cv", Target::Image("cv".into())),
            ("pin/all", Target::Pin("all".into())),
            ("manifestpin.mainstay.dev/all", Target::Pin("all".into())),
            ("source/ops", Target::Source("ops".into())),
            ("imagebuild.mainstay.dev/cv-1", Target::Build("cv-1".into())),
        ] {
            assert_eq!(Target::parse(text).unwrap(), target);
        }
        assert!(matches!(Target::parse("pod/x"), Err(Failure::Usage(_))));
    }
}
