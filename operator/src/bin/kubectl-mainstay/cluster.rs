//! The API server, with the rights and the namespace of the one who asks. The only place of the plugin that touches the world.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use mainstay::error::chain;
use mainstay_crds::names::MANAGER;
use mainstay_crds::{ContainerImage, ImageBuild};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::failure::{Failure, one_line};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long to wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Kinds that we ask for.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned + Send + 'static
{
}
impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned + Send + 'static
{
}

/// One cluster and one namespace.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// Its address, for messages.
    pub(crate) url: String,
    /// The namespace that is meant.
    pub(crate) namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig as kubectl does. Nothing is asked yet.
    pub(crate) async fn connect(global: &Global) -> Result<Self, Failure> {
        let mut config = config(global).await?;
        config.connect_timeout = Some(CONNECT);
        let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|error| Failure::of(error, &url))?;
        Ok(Self::new(client, url, namespace))
    }

    /// A cluster behind a client.
    pub(crate) fn new(client: Client, url: String, namespace: String) -> Self {
        Self { client, url, namespace }
    }

    /// For what is not in a namespace.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Objects of the namespace.
    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of the namespace, or of all.
    pub(crate) fn scope<K: Kind>(&self, all: bool) -> Api<K> {
        if all { Api::all(self.client.clone()) } else { self.api() }
    }

    /// All objects of a kind: one request.
    pub(crate) async fn list<K: Kind>(&self, all: bool) -> Result<Vec<K>, Failure> {
        let api = self.scope::<K>(all);
        Ok(self.ask(api.list(&ListParams::default())).await?.items)
    }

    /// One object, or `None`.
    pub(crate) async fn find<K: Kind>(&self, name: &str) -> Result<Option<K>, Failure> {
        // A name that no object can have would be another path of the API.
        if name.is_empty() || name.contains(['/', '%', '?', '#']) {
            return Ok(None);
        }
        match self.ask(self.api::<K>().get(name)).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// One object; where there is none, the failure offers the nearest names.
    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Result<K, Failure> {
        match self.find(name).await? {
            Some(found) => Ok(found),
            None => Err(self.unknown::<K>(name).await?),
        }
    }

    /// The failure for a name that does not exist.
    pub(crate) async fn unknown<K: Kind>(&self, name: &str) -> Result<Failure, Failure> {
        let there: Vec<String> = self.list::<K>(false).await?.iter().map(ResourceExt::name_any).collect();
        Ok(Failure::unknown(&K::kind(&()), name, &self.namespace, &there))
    }

    /// The failure for a name that neither a ContainerImage nor an ImageBuild has.
    pub(crate) async fn unknown_target(&self, name: &str, builds: &[ImageBuild]) -> Result<Failure, Failure> {
        let mut there: Vec<String> = self.list::<ContainerImage>(false).await?.iter().map(ResourceExt::name_any).collect();
        there.extend(builds.iter().map(ResourceExt::name_any));
        Ok(Failure::unknown("ContainerImage or ImageBuild", name, &self.namespace, &there))
    }

    /// Makes an object.
    pub(crate) async fn create<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        self.ask(self.api::<K>().create(&params(), object)).await
    }

    /// Changes some fields of an object (a merge patch). A field that the cluster does not know is an error, and not dropped in silence.
    pub(crate) async fn merge<K: Kind>(&self, name: &str, patch: &Value) -> Result<(), Failure> {
        let strict = Some(ValidationDirective::Strict);
        let params = PatchParams { field_manager: params().field_manager, field_validation: strict, ..PatchParams::default() };
        match self.ask(self.api::<K>().patch(name, &params, &Patch::Merge(patch))).await {
            Err(Failure::NotFound(_)) => Err(self.unknown::<K>(name).await?),
            result => result.map(drop),
        }
    }

    /// Sets an annotation.
    pub(crate) async fn annotate<K: Kind>(&self, name: &str, key: &str, value: &str) -> Result<(), Failure> {
        self.merge::<K>(name, &json!({"metadata": {"annotations": BTreeMap::from([(key, value)])}})).await
    }

    /// One question with a deadline.
    pub(crate) async fn ask<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        match tokio::time::timeout(ANSWER, call).await {
            Ok(answer) => answer.map_err(|error| Failure::of(error, &self.url)),
            Err(_) => Err(Failure::Cluster(format!("no answer from the cluster at {} within {ANSWER:?}", self.url))),
        }
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(format!("kubectl-{MANAGER}")), ..PostParams::default() }
}

async fn config(global: &Global) -> Result<Config, Failure> {
    let named = global.kubeconfig.as_deref();
    let kubeconfig = match read(named) {
        Ok(kubeconfig) => kubeconfig,
        // In a pod there is no file, and a service account instead.
        Err(error) if named.is_none() && global.context.is_none() => return Config::incluster().map_err(|_| unreadable(&error, named)),
        Err(error) => return Err(unreadable(&error, named)),
    };
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| match error {
        KubeconfigError::LoadContext(_) | KubeconfigError::CurrentContextNotSet => Failure::Cluster(no_context(global, &contexts)),
        other => unreadable(&other, named),
    })
}

fn read(path: Option<&Path>) -> Result<Kubeconfig, KubeconfigError> {
    path.map_or_else(Kubeconfig::read, Kubeconfig::read_from)
}

fn unreadable(error: &KubeconfigError, path: Option<&Path>) -> Failure {
    if let KubeconfigError::ReadConfig(error, path) = error {
        let hint = "name another with --kubeconfig or KUBECONFIG";
        return Failure::Cluster(one_line(&format!("cannot read the kubeconfig {}: {error}; {hint}", path.display())));
    }
    let which = path.map_or("the kubeconfig (KUBECONFIG, else ~/.kube/config)".to_owned(), |path| path.display().to_string());
    Failure::Cluster(one_line(&format!("cannot use {which}: {}", chain(error))))
}

fn no_context(global: &Global, contexts: &[String]) -> String {
    let which = global.context.as_ref().map_or("no current context".to_owned(), |name| format!("no context {name}"));
    let has = if contexts.is_empty() { "none".to_owned() } else { contexts.join(", ") };
    format!("the kubeconfig has {which}; it has: {has}")
}
