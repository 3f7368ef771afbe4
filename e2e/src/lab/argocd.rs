//! Argo CD as a story sees it: an Application that keeps the story's namespace at what its repository says.

use std::time::{Duration, Instant};

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Context, Error, Lab, Result};

/// Where Argo CD and its Applications live.
pub const NAMESPACE: &str = "argocd";

/// Longest time that a story waits for Argo CD.
const PATIENCE: Duration = Duration::from_secs(120);
/// On everything that a story leaves with Argo CD, with the story's name.
const STORY: &str = "mainstay.dev/story";

/// Argo CD in the lab's cluster, or in the one you have.
#[derive(Clone)]
pub struct ArgoCd {
    client: Client,
    cluster: &'static str,
}

impl std::fmt::Debug for ArgoCd {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ArgoCd").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl ArgoCd {
    /// Argo CD that deploys to the cluster which it knows under this address.
    pub(crate) fn new(client: Client, cluster: &'static str) -> Self {
        Self { client, cluster }
    }

    /// The address by which Argo CD knows the cluster that it deploys to.
    pub fn cluster(&self) -> &'static str {
        self.cluster
    }

    /// Gives Argo CD the credentials of the forge's repository `story`.
    ///
    /// # Errors
    /// Where the API server refuses.
    pub async fn trust(&self, lab: &Lab, story: &str) -> Result<()> {
        let forge = lab.forge();
        let repository = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("repository-{story}"), "labels": {"argocd.argoproj.io/secret-type": "repository", STORY: story}},
            "stringData": {"type": "git", "url": forge.clone_url(story), "username": forge.user(), "password": forge.token()},
        });
        self.apply(&secrets(), &repository).await
    }

    /// Makes the Application `story`, which keeps the namespace `story` at the folder `path` of the forge's repository `story` on `main`,
    /// by itself: it applies what is new, removes what is gone and undoes what others change. Objects stay when the Application goes.
    ///
    /// # Errors
    /// Where there is no Argo CD, or the API server refuses.
    pub async fn deploy(&self, lab: &Lab, story: &str, path: &str) -> Result<()> {
        let application = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": story},
            "spec": {
                "project": "default",
                "source": {"repoURL": lab.forge().clone_url(story), "targetRevision": "main", "path": path},
                "destination": {"server": self.cluster, "namespace": story},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true},
                    "retry": {"limit": 5, "backoff": {"duration": "1s", "factor": 2, "maxDuration": "10s"}},
                },
            },
        });
        self.trust(lab, story).await?;
        self.apply(&applications(), &of_story(application, story)).await
    }

    /// Makes an Application as somebody wrote it, for as long as the story lasts.
    ///
    /// # Errors
    /// Where there is no Argo CD, or the API server refuses.
    pub async fn add(&self, story: &str, application: Value) -> Result<()> {
        self.apply(&applications(), &of_story(application, story)).await
    }

    /// Waits until the Application is synced to this commit and everything that it made is healthy. Gives its status.
    ///
    /// # Errors
    /// Where it is not within two minutes: with its state as it was last seen.
    pub async fn wait(&self, story: &str, commit: &str) -> Result<Value> {
        self.until(story, &format!("has {commit}"), |status| is_deployed(status, commit)).await
    }

    /// Waits until the status of an Application is as wanted, and gives it.
    ///
    /// # Errors
    /// Where it is not within two minutes: with its state as it was last seen.
    pub async fn until(&self, application: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = || format!("wait until Application {application} {what}");
        let api = self.api(&applications());
        let begun = Instant::now();
        loop {
            let found = api.get_opt(application).await.context(what())?;
            let status = found.and_then(|object| object.data.get("status").cloned()).unwrap_or_default();
            if wanted(&status) {
                return Ok(status);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::new(what(), format!("it is not after {} s: {}", PATIENCE.as_secs(), summary(&status))).remedy(format!(
                    "kubectl -n {NAMESPACE} describe application {application}; cargo lab logs argocd-application-controller"
                )));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Removes the story's Applications and its repository's credentials, and what they deployed where their finalizer says so. No Argo CD is
    /// fine.
    ///
    /// # Errors
    /// Where the API server refuses, or Argo CD does not finish.
    pub async fn remove(&self, story: &str) -> Result<()> {
        let selected = ListParams::default().labels(&format!("{STORY}={story}"));
        let begun = Instant::now();
        // One Application may be making another while both are removed.
        while self.remove_some(&applications(), &selected).await? > 0 {
            if begun.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                return Err(Error::new(format!("remove the Applications of {story}"), format!("they are there after {seconds} s"))
                    .remedy("cargo lab logs argocd-application-controller"));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        self.remove_some(&secrets(), &selected).await.map(drop)
    }

    /// Begins to remove objects, and gives how many there were.
    async fn remove_some(&self, resource: &ApiResource, selected: &ListParams) -> Result<usize> {
        let (api, what) = (self.api(resource), format!("remove {} from Argo CD", resource.plural));
        let found = match api.list(selected).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(0),
            found => found.context(&what)?.items.len(),
        };
        if found > 0 {
            api.delete_collection(&DeleteParams::default(), selected).await.context(what)?;
        }
        Ok(found)
    }

    async fn apply(&self, resource: &ApiResource, object: &Value) -> Result<()> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let what = format!("apply {} {name} in {NAMESPACE}", resource.kind);
        let applied = self.api(resource).patch(name, &PatchParams::apply("story").force(), &Patch::Apply(object)).await;
        applied.map(drop).context(what).map_err(|error| error.remedy("is Argo CD in the cluster? cargo lab status"))
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, resource)
    }
}

fn applications() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"))
}

fn secrets() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"))
}

/// The Application with the label by which [`ArgoCd::remove`] finds it.
fn of_story(mut application: Value, story: &str) -> Value {
    let metadata = application.get_mut("metadata").and_then(Value::as_object_mut);
    let labels = metadata.map(|metadata| metadata.entry("labels").or_insert_with(|| json!({})));
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.insert(STORY.to_owned(), story.into());
    }
    application
}

/// Whether an Application's status says that everything is as in this commit, and well.
fn is_deployed(status: &Value, commit: &str) -> bool {
    let is = |pointer: &str, wanted: &str| status.pointer(pointer).and_then(Value::as_str) == Some(wanted);
    is("/sync/status", "Synced") && is("/sync/revision", commit) && is("/health/status", "Healthy")
}

/// What of an Application's status explains a wait.
fn summary(status: &Value) -> Value {
    let part = |pointer: &str| status.pointer(pointer).cloned().unwrap_or_default();
    json!({
        "sync": part("/sync/status"), "revision": part("/sync/revision"), "health": part("/health/status"),
        "operation": part("/operationState/message"), "conditions": part("/conditions"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployed_is_synced_and_healthy_at_that_commit() {
        let status = |sync: &str, revision: &str, health: &str| json!({"sync": {"status": sync, "revision": revision}, "health": {"status": health}});
        assert!(is_deployed(&status("Synced", "c1", "Healthy"), "c1"));
        assert!(!is_deployed(&status("Synced", "c0", "Healthy"), "c1"));
        assert!(!is_deployed(&status("OutOfSync", "c1", "Healthy"), "c1"));
        assert!(!is_deployed(&status("Synced", "c1", "Progressing"), "c1"));
        assert!(!is_deployed(&Value::Null, "c1"));
    }

    #[test]
    fn an_application_keeps_its_labels() {
        let labelled = of_story(json!({"metadata": {"name": "a", "labels": {"b": "c"}}}), "s");
        assert_eq!(labelled["metadata"]["labels"], json!({"b": "c", STORY: "s"}));
        assert_eq!(of_story(json!({"metadata": {"name": "a"}}), "s")["metadata"]["labels"], json!({STORY: "s"}));
    }
}
