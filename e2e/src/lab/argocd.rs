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

    /// Makes the Application `story`, which keeps the namespace `story` at the folder `path` of the forge's repository `story` on `main`,
    /// by itself: it applies what is new, removes what is gone and undoes what others change. Objects stay when the Application goes.
    ///
    /// # Errors
    /// Where there is no Argo CD, or the API server refuses.
    pub async fn deploy(&self, lab: &Lab, story: &str, path: &str) -> Result<()> {
        let forge = lab.forge();
        let url = forge.clone_url(story);
        let repository = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("repository-{story}"), "labels": {"argocd.argoproj.io/secret-type": "repository", STORY: story}},
            "stringData": {"type": "git", "url": url, "username": forge.user(), "password": forge.token()},
        });
        let application = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": story, "labels": {STORY: story}},
            "spec": {
                "project": "default",
                "source": {"repoURL": url, "targetRevision": "main", "path": path},
                "destination": {"server": self.cluster, "namespace": story},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true},
                    "retry": {"limit": 5, "backoff": {"duration": "1s", "factor": 2, "maxDuration": "10s"}},
                },
            },
        });
        self.apply(&secrets(), &repository).await?;
        self.apply(&applications(), &application).await
    }

    /// Waits until the Application is synced to this commit and everything that it made is healthy. Gives its status.
    ///
    /// # Errors
    /// Where it is not within two minutes: with its state as it was last seen.
    pub async fn wait(&self, story: &str, commit: &str) -> Result<Value> {
        let what = || format!("wait until Argo CD has {story} at {commit}");
        let api = self.api(&applications());
        let begun = Instant::now();
        loop {
            let found = api.get_opt(story).await.context(what())?;
            let status = found.and_then(|object| object.data.get("status").cloned()).unwrap_or_default();
            if is_deployed(&status, commit) {
                return Ok(status);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::new(what(), format!("it is not after {} s: {}", PATIENCE.as_secs(), summary(&status)))
                    .remedy(format!("kubectl -n {NAMESPACE} describe application {story}; cargo lab logs argocd-application-controller")));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Removes the story's Applications and its repository's credentials, and leaves what they deployed. No Argo CD is fine.
    ///
    /// # Errors
    /// Where the API server refuses.
    pub async fn remove(&self, story: &str) -> Result<()> {
        let selected = ListParams::default().labels(&format!("{STORY}={story}"));
        for resource in [applications(), secrets()] {
            match self.api(&resource).delete_collection(&DeleteParams::default(), &selected).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                result => result.map(drop).context(format!("remove the {} of {story} from Argo CD", resource.plural))?,
            }
        }
        Ok(())
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
}
