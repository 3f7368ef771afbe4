//! Which files of a repository a ManifestPin means: files, directories and globs.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Endings of files that count as manifests where a directory is named.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Files that are meant, and what of them is left alone.
#[derive(Debug, Clone)]
pub struct Selection {
    paths: Paths,
    exclude: Paths,
}

#[derive(Debug, Clone)]
struct Paths {
    plain: Vec<String>,
    globs: GlobSet,
}

impl Selection {
    /// Reads `spec.paths` and `spec.exclude`.
    ///
    /// # Errors
    /// Words that name the field and the glob that is none.
    pub fn new(paths: &[String], exclude: &[String]) -> Result<Self, String> {
        Ok(Self { paths: Paths::new("spec.paths", paths)?, exclude: Paths::new("spec.exclude", exclude)? })
    }

    /// Whether a file is meant.
    pub fn matches(&self, path: &str) -> bool {
        let manifest = ENDINGS.iter().any(|ending| path.ends_with(ending));
        self.paths.meets(path, manifest) && !self.exclude.meets(path, true)
    }
}

impl Paths {
    fn new(field: &str, all: &[String]) -> Result<Self, String> {
        let (mut plain, mut globs) = (Vec::new(), GlobSetBuilder::new());
        for one in all {
            if one.contains(['*', '?', '[', '{']) {
                let glob = GlobBuilder::new(one).literal_separator(true).build();
                globs.add(glob.map_err(|error| format!("{field}: {one:?} is not a glob: {}", error.kind()))?);
            } else {
                plain.push(one.trim_end_matches('/').to_owned());
            }
        }
        let globs = globs.build().map_err(|error| format!("{field}: {error}"))?;
        Ok(Self { plain, globs })
    }

    /// A file that is named is meant whatever its ending; below a directory `manifest` must hold.
    fn meets(&self, path: &str, manifest: bool) -> bool {
        let plain = self.plain.iter().any(|one| {
            one == path || (manifest && (one == "." || path.strip_prefix(one.as_str()).is_some_and(|rest| rest.starts_with('/'))))
        });
        plain || self.globs.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(paths: &[&str], exclude: &[&str]) -> Selection {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(paths), &owned(exclude)).unwrap()
    }

    #[test]
    fn a_directory_means_the_manifests_below_it() {
        let all = selection(&["argocd/manifests"], &[]);
        assert!(all.matches("argocd/manifests/cv/kustomization.yaml") && all.matches("argocd/manifests/x.json"));
        assert!(!all.matches("argocd/manifests/README.md") && !all.matches("argocd/manifests-old/a.yaml") && !all.matches("a.yaml"));
        assert!(selection(&["."], &[]).matches("a/b.yml"));
    }

    #[test]
    fn a_file_that_is_named_needs_no_ending() {
        assert!(selection(&["deploy/values"], &[]).matches("deploy/values"));
    }

    #[test]
    fn a_star_stays_in_its_directory_and_two_do_not() {
        let one = selection(&["apps/*/values.yaml"], &[]);
        assert!(one.matches("apps/cv/values.yaml") && !one.matches("apps/cv/prod/values.yaml"));
        assert!(selection(&["apps/**/values*.yaml"], &[]).matches("apps/cv/prod/values-eu.yaml"));
    }

    #[test]
    fn what_is_excluded_stays_out() {
        let some = selection(&["."], &["vendor", "**/secret*.yaml"]);
        assert!(some.matches("a/b.yaml") && !some.matches("vendor/b.yaml") && !some.matches("a/secrets.yaml"));
    }

    #[test]
    fn a_broken_glob_is_named() {
        let said = Selection::new(&["a/[".to_owned()], &[]).unwrap_err();
        assert!(said.contains("spec.paths") && said.contains("a/["), "{said}");
    }
}
