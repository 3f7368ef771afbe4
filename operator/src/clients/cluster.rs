//! The few things that we ask of the API server, each through [`Calls`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::AsyncReadExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Node, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};
use mainstay_crds::{ImageBuild, Reason, names};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::call::{CallError, Calls};

/// Lines of a log that are asked for: its tail is much shorter.
const LOG_LINES: i64 = 200;

/// Most bytes of a log that are read. The runtime cuts a line at 16 KiB, so this holds [`LOG_LINES`] of the longest.
const LOG_BYTES: u64 = 4 << 20;

/// Kinds of ours and of Kubernetes that live in a namespace.
pub trait Namespaced: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize {}
impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize> Namespaced for K {}

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    calls: Calls,
    recorder: Recorder,
    namespaces: Arc<[String]>,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// Speaks as field manager and event source `mainstay`. It watches these namespaces only, or all where none is named.
    pub fn new(client: Client, calls: Calls, namespaces: &[String]) -> Self {
        let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: None };
        Self { recorder: Recorder::new(client.clone(), reporter), client, calls, namespaces: namespaces.into() }
    }

    /// The client, for kinds that are not ours.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The layer that every call passes.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// An API for a namespace.
    pub fn api<K: Namespaced>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The namespaces that are watched; none means all.
    pub(super) fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// An object, or `None` where there is none.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn get<K: Namespaced>(&self, namespace: &str, name: &str) -> Result<Option<K>, CallError> {
        self.calls.cluster("api.get", self.api(namespace).get_opt(name)).await
    }

    /// The data of a Secret, or `None` where there is none.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, Vec<u8>>>, CallError> {
        let secret: Option<Secret> = self.calls.cluster("api.get_secret", self.api(namespace).get_opt(name)).await?;
        Ok(secret.map(|secret| secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()))
    }

    /// Creates an object; `None` where one of that name is there already.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn create<K: Namespaced>(&self, namespace: &str, object: &K) -> Result<Option<K>, CallError> {
        match self.calls.cluster("api.create", self.api(namespace).create(&PostParams::default(), object)).await {
            Ok(created) => Ok(Some(created)),
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes exactly this object (by its UID), with its children in the background. It is fine if it is gone.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn delete<K: Namespaced>(&self, object: &K) -> Result<(), CallError> {
        let params =
            DeleteParams { preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }), ..DeleteParams::background() };
        let api: Api<K> = self.api(&object.namespace().unwrap_or_default());
        unless_gone(self.calls.cluster("api.delete", api.delete(&object.name_any(), &params)).await).map(drop)
    }

    /// Replaces our part of the status by server-side apply, and gives the object as it is then; `None` where it is gone.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn apply_status<K: Namespaced>(&self, object: &K, status: &impl Serialize) -> Result<Option<K>, CallError> {
        // The UID makes sure that a status never lands on a later object of the same name.
        let patch = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": object.name_any(), "uid": object.uid()},
            "status": status,
        });
        let api: Api<K> = self.api(&object.namespace().unwrap_or_default());
        let params = PatchParams::apply(names::MANAGER).force();
        unless_gone(self.calls.cluster("api.apply_status", api.patch_status(&object.name_any(), &params, &Patch::Apply(patch))).await)
    }

    /// Makes an object what it is here, by server-side apply.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn apply<K: Namespaced>(&self, object: &K) -> Result<(), CallError> {
        let api: Api<K> = self.api(&object.namespace().unwrap_or_default());
        let params = PatchParams::apply(names::MANAGER).force();
        self.calls.cluster("api.apply", api.patch(&object.name_any(), &params, &Patch::Apply(object))).await.map(drop)
    }

    /// Asks a build to end because `commit` is built instead. It is fine if it is gone.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn supersede(&self, build: &ImageBuild, commit: &str) -> Result<(), CallError> {
        let patch = json!({"metadata": {"uid": build.uid(), "annotations": {names::SUPERSEDED_BY: commit}}, "spec": {"cancel": true}});
        let api: Api<ImageBuild> = self.api(&build.namespace().unwrap_or_default());
        let patched = self.calls.cluster("api.cancel", api.patch(&build.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await;
        unless_gone(patched).map(drop)
    }

    /// Adds an owner to an object that has none.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn adopt<K: Namespaced>(
        &self,
        object: &K,
        owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference,
    ) -> Result<(), CallError> {
        let patch = json!({"metadata": {"uid": object.uid(), "ownerReferences": [owner]}});
        let api: Api<K> = self.api(&object.namespace().unwrap_or_default());
        self.calls.cluster("api.adopt", api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await.map(drop)
    }

    /// The pod of a Job, the newest where there are several.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn pod_of(&self, job: &Job) -> Result<Option<Pod>, CallError> {
        let api: Api<Pod> = self.api(&job.namespace().unwrap_or_default());
        let params = ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={}", job.uid().unwrap_or_default()));
        let pods = self.calls.cluster("api.list_pods", api.list(&params)).await?;
        Ok(pods.items.into_iter().max_by_key(|pod| pod.creation_timestamp()))
    }

    /// All nodes.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn nodes(&self) -> Result<Vec<Node>, CallError> {
        let api: Api<Node> = Api::all(self.client.clone());
        Ok(self.calls.cluster("api.list_nodes", api.list(&ListParams::default())).await?.items)
    }

    /// The newest warning that Kubernetes left on an object; `None` where there is none (any more).
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn last_warning<K: Namespaced>(&self, object: &K) -> Result<Option<String>, CallError> {
        let api: Api<CoreEvent> = self.api(&object.namespace().unwrap_or_default());
        let params = ListParams::default().fields(&format!("type=Warning,involvedObject.uid={}", object.uid().unwrap_or_default()));
        let events = self.calls.cluster("api.list_events", api.list(&params)).await?;
        let time = |event: &CoreEvent| {
            let seen = event.last_timestamp.as_ref().map(|time| time.0).or_else(|| event.event_time.as_ref().map(|time| time.0));
            seen.or_else(|| event.creation_timestamp().map(|time| time.0))
        };
        Ok(events.items.into_iter().max_by_key(time).and_then(|event| event.message))
    }

    /// The end of a container's log; empty where there is none (any more).
    ///
    /// # Errors
    /// Where the API server does not answer.
    pub async fn log(&self, pod: &Pod, container: &str) -> Result<String, CallError> {
        let api: Api<Pod> = self.api(&pod.namespace().unwrap_or_default());
        let params = LogParams { container: Some(container.to_owned()), tail_lines: Some(LOG_LINES), ..LogParams::default() };
        let name = pod.name_any();
        let read = async {
            let mut bytes = Vec::new();
            let stream = match api.log_stream(&name, &params).await {
                // The container never ran, or the pod is gone.
                Err(kube::Error::Api(status)) if status.code == 400 || status.code == 404 => return Ok(bytes),
                other => other?,
            };
            stream.take(LOG_BYTES).read_to_end(&mut bytes).await.map_err(kube::Error::ReadEvents)?;
            Ok(bytes)
        };
        let bytes = self.calls.cluster("api.log", read).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Tells the story of an object. Nobody waits for it, and one that cannot be written is not worth failing for: the status says the same.
    pub fn event<K: Namespaced>(&self, object: &K, warning: bool, reason: Reason, action: &str, note: &str) {
        let note: String = note.chars().take(1000).collect();
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.into(),
            // Events that differ in their note alone are joined, and the first note stays: the hash keeps them apart.
            action: format!("{action}-{}", hex::encode(Sha256::digest(&note)).get(..8).unwrap_or_default()),
            note: Some(note),
            secondary: None,
        };
        let (calls, recorder, about) = (self.calls.clone(), self.recorder.clone(), object.object_ref(&()));
        tokio::spawn(async move {
            if let Err(error) = calls.cluster("api.event", recorder.publish(&event, &about)).await {
                tracing::warn!(%error, reason = event.reason, "event not written");
            }
        });
    }
}

/// An object that is gone, or is another one of the same name by now, is no error.
fn unless_gone<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(None),
        Err(error) => Err(error),
    }
}
