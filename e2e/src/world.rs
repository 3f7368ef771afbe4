//! A namespace with a repository of its own, in which one story is told. Each begins from nothing: what an earlier run left is removed.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::lab::{Context, Error, Lab, Result, image};

/// Longest time that a story waits for one thing.
const PATIENCE: Duration = Duration::from_secs(120);

/// One story's surroundings.
#[derive(Clone)]
pub struct World {
    /// Cluster, registry and forge.
    pub lab: Lab,
    /// The API server.
    pub client: Client,
    /// Namespace, forge repository and image prefix of the story.
    pub name: String,
    end: Arc<End>,
}

/// Stories that have been told: what is left of them is removed when the next one begins, so that the operator does not go on polling for them.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes the end of a story. One that failed is kept for a look.
struct End(String);

impl Drop for End {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.0));
        }
    }
}

impl Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({})", self.end.0)
    }
}

/// Kinds that a story looks at.
pub trait Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned {}
impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned> Kind for K {}

impl World {
    /// Makes namespace, repository (private, with one commit) and Secrets `git` and `registry`.
    ///
    /// # Errors
    /// Where cluster, registry or forge does not answer.
    pub async fn new(lab: Lab, story: &str) -> Result<Self> {
        let client = lab.client().await?;
        let told = std::mem::take(&mut *TOLD.lock().unwrap_or_else(PoisonError::into_inner));
        forget(&lab, &client, &told).await?;
        let name = format!("story-{story}");
        let world = Self { lab, client, end: Arc::new(End(name.clone())), name };
        world.remove().await?;
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let namespace =
            Namespace { metadata: kube::api::ObjectMeta { name: Some(world.name.clone()), ..Default::default() }, ..Default::default() };
        namespaces.create(&Default::default(), &namespace).await.context(format!("make namespace {}", world.name))?;
        world.lab.forge().create_repo(&world.name, true).await?;
        let (forge, registry) = (world.lab.forge(), world.lab.registry());
        world
            .apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git"}, "stringData": {"username": forge.user(), "password": forge.token()}}))
            .await?;
        let docker = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": registry.docker_config()},
        });
        world.apply(&docker).await?;
        Ok(world)
    }

    /// Removes what the story left with Argo CD, the namespace with all that is in it, the repository and the images.
    ///
    /// # Errors
    /// Where cluster, registry or forge does not answer.
    pub async fn remove(&self) -> Result<()> {
        // First, so that nothing fills the namespace again.
        self.lab.argocd().await?.remove(&self.name).await?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if namespaces.get_opt(&self.name).await.context("look for the namespace")?.is_some() {
            namespaces.delete(&self.name, &DeleteParams::default()).await.context("remove the namespace")?;
            let begun = Instant::now();
            while namespaces.get_opt(&self.name).await.context("look for the namespace")?.is_some() {
                if begun.elapsed() > PATIENCE {
                    return Err(Error::new(format!("remove namespace {}", self.name), "it is still there"));
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        self.lab.forge().delete_repo(&self.name).await
    }

    /// An API for this namespace.
    pub fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The repository's SourceRepository, named `ops`, with `spec` added to what it needs.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub async fn source(&self, spec: Value) -> Result<()> {
        let mut full = json!({
            "url": self.lab.forge().clone_url(&self.name),
            "branch": "main",
            "credentialsSecretRef": {"name": "git"},
            "registry": {"prefix": self.lab.image(&self.name), "credentialsSecretRef": {"name": "registry"}, "plainHTTP": true},
        });
        merge(&mut full, spec);
        self.apply(&json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "SourceRepository", "metadata": {"name": "ops"}, "spec": full}))
            .await
    }

    /// A ContainerImage.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub async fn image(&self, name: &str, spec: Value) -> Result<()> {
        self.apply(&json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "ContainerImage", "metadata": {"name": name}, "spec": spec}))
            .await
    }

    /// An ImageBuild.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub async fn build(&self, name: &str, spec: Value) -> Result<()> {
        self.apply(&json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "ImageBuild", "metadata": {"name": name}, "spec": spec})).await
    }

    /// Applies an object as a person does.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind, name) = (word("/apiVersion"), word("/kind"), word("/metadata/name"));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let resource = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(group, version, &kind));
        // The plural that kube guesses is not the one of the definition.
        let resource =
            if kind == "SourceRepository" { kube::api::ApiResource { plural: "sourcerepositories".into(), ..resource } } else { resource };
        let api: Api<kube::api::DynamicObject> = Api::namespaced_with(self.client.clone(), &self.name, &resource);
        let params = PatchParams::apply("story").force();
        api.patch(&name, &params, &Patch::Apply(object)).await.map(drop).context(format!("apply {kind} {name}"))
    }

    /// Commits files to a branch of the repository; `None` removes one.
    ///
    /// # Errors
    /// Where the forge refuses.
    pub async fn commit(&self, branch: &str, files: &[(&str, Option<&str>)]) -> Result<String> {
        self.lab.forge().commit(&self.name, branch, "Change containers", files).await
    }

    /// Lets Argo CD keep the story's namespace at this folder of its repository.
    ///
    /// # Errors
    /// Where there is no Argo CD, or the API server refuses.
    pub async fn deploy(&self, path: &str) -> Result<()> {
        self.lab.argocd().await?.deploy(&self.lab, &self.name, path).await
    }

    /// Waits until Argo CD has deployed this commit, and gives the status of its Application.
    ///
    /// # Errors
    /// Where it has not within two minutes: with the Application's state as it was last seen.
    pub async fn deployed(&self, commit: &str) -> Result<Value> {
        self.lab.argocd().await?.wait(&self.name, commit).await
    }

    /// Puts an image of a container into the registry as if it had been built from this commit. Gives tag and digest. No build, no wait.
    ///
    /// # Errors
    /// Where the registry refuses.
    pub async fn publish(&self, container: &str, version: &str, commit: &str) -> Result<(String, String)> {
        let work = tempfile::tempdir().context("make a folder for an image")?;
        let (tree, layout) = (work.path().join("tree"), work.path().join("layout"));
        std::fs::create_dir(&tree).context("make a folder for an image")?;
        image::write(&tree, &layout, &image::Config::default()).await?;
        let (registry, repository) = (self.lab.registry(), self.repository(container));
        registry.push(&layout, &repository, "seed").await?;
        let seed =
            registry.manifest(&repository, "seed").await?.ok_or_else(|| Error::new("publish an image", "what was pushed is not there"))?;
        let mut manifest = seed.content;
        merge(&mut manifest, json!({"annotations": {"org.opencontainers.image.revision": commit}}));
        let tag = format!("v{version}-{}", commit.chars().take(7).collect::<String>());
        registry.put_manifest(&repository, &tag, &seed.media_type, manifest.to_string().into_bytes()).await?;
        let put = registry.manifest(&repository, &tag).await?.ok_or_else(|| Error::new("publish an image", "its tag is not there"))?;
        Ok((tag, put.digest))
    }

    /// A ManifestPin.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub async fn pin(&self, name: &str, spec: Value) -> Result<()> {
        self.apply(&json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "ManifestPin", "metadata": {"name": name}, "spec": spec})).await
    }

    /// Sets an annotation on an object, as `kubectl annotate --overwrite` does.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub async fn annotate<K: Kind>(&self, name: &str, key: &str, value: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop).context(format!("annotate {name}"))
    }

    /// Waits until an object is as wanted.
    ///
    /// # Errors
    /// Where it is not within two minutes: with the object as it was last seen.
    pub async fn until<K: Kind>(&self, name: &str, what: &str, wanted: impl Fn(&K) -> bool) -> Result<K> {
        let api: Api<K> = self.api();
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < PATIENCE {
            let found = api.get_opt(name).await.context(format!("look at {name}"))?;
            if let Some(object) = found {
                if wanted(&object) {
                    return Ok(object);
                }
                last = Some(object);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(Error::new(format!("wait until {} {name} {what}", K::kind(&())), format!("it did not; it was {last:#?}")))
    }

    /// The name of an image of this story in the registry, without host.
    pub fn repository(&self, container: &str) -> String {
        format!("{}/{container}", self.name)
    }
}

/// Lets the stories that an earlier run left go, all but the demonstrations.
///
/// # Errors
/// Where the cluster does not answer.
pub async fn forget_all(lab: &Lab) -> Result<()> {
    let client = lab.client().await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let all = namespaces.list(&Default::default()).await.context("list the namespaces")?;
    let stories: Vec<String> = all
        .iter()
        .filter_map(|one| one.metadata.name.clone())
        .filter(|name| name.starts_with("story-") && !name.starts_with("story-demo"))
        .collect();
    forget(lab, &client, &stories).await
}

/// Begins to remove the namespaces of stories; nobody waits for the end.
async fn forget(lab: &Lab, client: &Client, stories: &[String]) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for story in stories {
        lab.argocd().await?.remove(story).await?;
        match namespaces.delete(story, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            result => result.map(drop).context(format!("remove namespace {story}"))?,
        }
    }
    Ok(())
}

/// A default.nix of version 1.0 that stands alone: it makes a Docker archive without nixpkgs.
pub const DEFAULT_NIX: &str = include_str!("image.nix");

/// That default.nix with another version, and a line of shell in its build.
pub fn default_nix(version: &str, line: &str) -> String {
    DEFAULT_NIX.replacen("1.0", version, 1).replacen("    tar --sort", &format!("    {line}\n    tar --sort"), 1)
}

/// A Dockerfile that builds in a second.
pub fn dockerfile(version: &str, line: &str) -> String {
    format!("ARG CONTAINER_APP_VERSION={version}\nFROM 10.88.0.1:5001/library/busybox:1\n{line}\n")
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value))
        }
        (into, from) => *into = from,
    }
}
