//! The ContainerImages that a ManifestPin keeps pinned.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kube::ResourceExt;
use mainstay_crds::{ContainerImage, ManifestPin, ManifestPinSpec, Reason, ResolvedImage, SourceRepository, Variant, WantedTag};

use crate::clients::git::Watch;
use crate::controllers::context::Context;
use crate::controllers::problem::Problem;
use crate::controllers::source::{self, clone_key};
use crate::domain::graph::Graph;

/// A ContainerImage and where its commits are.
pub(super) struct Image {
    pub(super) name: String,
    pub(super) resolved: ResolvedImage,
    pub(super) repository: Arc<SourceRepository>,
    /// Key of the clone of its repository.
    pub(super) key: String,
    pub(super) graph: Arc<Graph>,
    /// Its directory and further inputs.
    pub(super) paths: Vec<String>,
    /// The touch at main's head as of now, 40 hex digits.
    pub(super) touch: Option<String>,
    pub(super) wanted: BTreeMap<Variant, WantedTag>,
    /// What each variant is waiting for.
    pub(super) waiting: BTreeMap<Variant, String>,
    variants: Option<Vec<Variant>>,
}

impl Image {
    /// Whether it is the object for this variant of its image: two may share an image, each with variants of its own.
    pub(super) fn makes(&self, variant: Variant) -> bool {
        self.variants.as_ref().is_none_or(|variants| variants.contains(&variant))
    }
}

/// Whether a ManifestPin means an image of its namespace.
pub(super) fn is_selected(spec: &ManifestPinSpec, image: &ContainerImage) -> bool {
    let Some(selector) = &spec.images else { return true };
    let named = selector.names.is_empty() || selector.names.contains(&image.name_any());
    named && selector.match_labels.iter().all(|(key, value)| image.labels().get(key) == Some(value))
}

/// The images that are meant. One that cannot be used yet (its repository has not been fetched) is left out: its own status says why.
pub(super) async fn observe(object: &ManifestPin, ctx: &Context) -> Result<Vec<Image>, Problem> {
    let namespace = object.namespace();
    let selected = ctx.images.state_filter(|image| {
        image.namespace() == namespace && image.metadata.deletion_timestamp.is_none() && is_selected(&object.spec, image)
    });
    let missing: Vec<&str> = object
        .spec
        .images
        .iter()
        .flat_map(|selector| &selector.names)
        .filter(|name| !selected.iter().any(|image| image.name_any() == **name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let text = format!("ContainerImage {} (spec.images.names) does not exist: create it, or change spec.images", missing.join(", "));
        return Err(Problem::stuck(Reason::ImageNotFound, text).again_in(std::time::Duration::from_secs(10)));
    }
    let mut graphs: HashMap<String, Arc<Graph>> = HashMap::new();
    let mut images = Vec::new();
    for object in selected {
        let Ok(repository) = source::of(&object, ctx) else { continue };
        let key = clone_key(&repository);
        let graph = match graphs.get(&key) {
            Some(graph) => graph.clone(),
            None => {
                let graph = ctx.calls.outside("git.graph", ctx.git.graph(&key)).await?;
                graphs.insert(key.clone(), graph.clone());
                graph
            }
        };
        images.push(image(&object, repository, key, graph));
    }
    images.sort_by(|a, b| a.name.cmp(&b.name));
    // One question for each repository, not for each image.
    for (key, graph) in graphs {
        let Some(head) = graph.head().map(hex::encode) else { continue };
        let watches: Vec<Watch> = images.iter().filter(|i| i.key == key).map(|i| Watch { paths: i.paths.clone() }).collect();
        let touches = ctx.calls.outside("git.touches", ctx.git.touches(&key, &head, &watches)).await?;
        for (image, touch) in images.iter_mut().filter(|image| image.key == key).zip(touches) {
            image.touch = touch;
        }
    }
    Ok(images)
}

fn image(object: &ContainerImage, repository: Arc<SourceRepository>, key: String, graph: Arc<Graph>) -> Image {
    let resolved = source::resolve(object, &repository);
    let mut paths = vec![resolved.path.clone()];
    paths.extend(object.spec.inputs.iter().cloned());
    let variants = object.status.as_ref().map(|status| status.variants.as_slice()).unwrap_or_default();
    let wanted = variants.iter().filter_map(|one| Some((one.variant, one.wanted.clone()?))).collect();
    let waiting = variants
        .iter()
        .map(|one| {
            (one.variant, format!("ContainerImage {}: {} {}", object.name_any(), one.tag.as_deref().unwrap_or("no tag"), one.reason))
        })
        .collect();
    Image {
        name: object.name_any(),
        resolved,
        repository,
        key,
        graph,
        paths,
        touch: None,
        wanted,
        waiting,
        variants: object.spec.variants.clone(),
    }
}
