//! Whether what is pinned runs: pods by image, and Argo CD's Applications by path.

use std::collections::BTreeMap;

use crate::clients::workloads::Application;
use crate::controllers::context::Context;
use crate::controllers::pods::images_of;
use crate::domain::graph::{Graph, id};

/// What is said of an Application that has not synced the commit of a pin.
pub(super) const NOT_SYNCED: &str = "not synced yet";

/// What runs in the pods of the cluster: for an image repository its tags, and the pods of each.
#[derive(Debug, Default)]
pub(super) struct Running {
    pods: BTreeMap<String, Vec<(String, Option<String>)>>,
}

impl Running {
    /// Counts the pods that run one of these image repositories.
    pub(super) fn of<'a>(ctx: &Context, repositories: impl Iterator<Item = &'a str>) -> Self {
        let mut pods: BTreeMap<String, Vec<(String, Option<String>)>> = repositories.map(|name| (name.to_owned(), Vec::new())).collect();
        for pod in ctx.pods.state() {
            for (repository, tag, digest) in images_of(&pod) {
                if let Some(all) = pods.get_mut(&repository) {
                    all.push((tag, digest));
                }
            }
        }
        Self { pods }
    }

    /// `2/3`: pods with this tag (and this digest, where both are known), of all that run the image. `None` where no pod runs it.
    pub(super) fn count(&self, repository: &str, tag: &str, digest: Option<&str>) -> Option<(usize, usize)> {
        let all = self.pods.get(repository).filter(|all| !all.is_empty())?;
        let same = |(theirs, running): &&(String, Option<String>)| {
            theirs == tag && (digest.is_none() || running.is_none() || running.as_deref() == digest)
        };
        Some((all.iter().filter(same).count(), all.len()))
    }
}

/// What the Application says that deploys a file: its name, and whether it has synced a commit that has the pin.
pub(super) fn application(applications: &[Application], url: &str, path: &str, changed_in: Option<&str>, graph: &Graph) -> Option<String> {
    let bare = |url: &str| url.trim_end_matches('/').trim_end_matches(".git").to_owned();
    let deploys = |one: &&Application| {
        bare(&one.repository) == bare(url) && (one.path == "." || path.strip_prefix(&one.path).is_some_and(|rest| rest.starts_with('/')))
    };
    // The one with the longest path is the nearest.
    let one = applications.iter().filter(deploys).max_by_key(|one| one.path.len())?;
    let revision = one.revision.as_deref().unwrap_or_default();
    let has_it = match (changed_in.and_then(id), id(revision)) {
        (Some(change), Some(revision)) => graph.descends(&revision, &change),
        _ => false,
    };
    let state = if has_it { one.sync.as_str() } else { NOT_SYNCED };
    Some(format!("{}: {state} at {}, {}", one.name, crate::domain::build::short(revision), one.health))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_application_deploys_a_file() {
        let one = |name: &str, path: &str| Application {
            name: name.into(),
            repository: "https://g/x.git".into(),
            path: path.into(),
            revision: Some("a".repeat(40)),
            sync: "Synced".into(),
            health: "Healthy".into(),
        };
        let all = [one("apps", "."), one("cv", "apps/cv"), one("cv2", "apps/cv2")];
        let text = |path| application(&all, "https://g/x", path, None, &Graph::default()).unwrap();
        assert_eq!(text("apps/cv/kustomization.yaml"), "cv: not synced yet at aaaaaaa, Healthy");
        assert!(text("apps/web/a.yaml").starts_with("apps:"));
        assert_eq!(application(&all, "https://g/y", "apps/cv/a.yaml", None, &Graph::default()), None);
    }
}
