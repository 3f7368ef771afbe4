//! What runs in the cluster: workloads whose images can be set, and the Applications of Argo CD.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::call::CallError;
use super::cluster::Cluster;

/// Field manager of the images that we set: apart from our other name, so that one can see who set an image.
const FIELD_MANAGER: &str = "mainstay-pin";

/// Field managers of those who deploy from Git and would undo a change.
const GITOPS_MANAGERS: [&str; 3] = ["argocd-controller", "kustomize-controller", "helm-controller"];

/// Labels and annotations that they leave.
const GITOPS_MARKS: [(&str, &str); 3] =
    [("argocd.argoproj.io/tracking-id", "Argo CD"), ("kustomize.toolkit.fluxcd.io/name", "Flux"), ("helm.toolkit.fluxcd.io/name", "Flux")];

/// A workload with containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// `Deployment`, `StatefulSet`, `DaemonSet` or `CronJob`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Name and image of each container, init containers too.
    pub containers: Vec<(String, String)>,
    /// Who deploys it from Git, where somebody does.
    pub managed_by: Option<String>,
}

impl Workload {
    /// Kind and name: `Deployment/web`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// How a container of it is named, for people and for [`Cluster::set_image`].
    pub fn field(&self, container: &str) -> String {
        format!("containers[{container}].image")
    }
}

/// An Application of Argo CD that deploys a path of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// URL of the repository.
    pub repository: String,
    /// Path in it.
    pub path: String,
    /// Commit that it compared or synced last.
    pub revision: Option<String>,
    /// `Synced`, `OutOfSync` or `Unknown`.
    pub sync: String,
    /// `Healthy`, `Progressing`, `Degraded` and the like.
    pub health: String,
}

impl Cluster {
    /// The workloads of a namespace.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn workloads(&self, namespace: &str) -> Result<Vec<Workload>, CallError> {
        let mut all = Vec::new();
        for resource in kinds() {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client(), namespace, &resource);
            let list = self.calls().cluster("api.list_workloads", api.list(&ListParams::default())).await?;
            all.extend(list.items.iter().map(|object| workload(&resource.kind, object)));
        }
        Ok(all)
    }

    /// Sets the image of one container by server-side apply, and no other field. `path` and `field` are those of [`Workload`].
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn set_image(&self, namespace: &str, path: &str, field: &str, image: &str) -> Result<(), CallError> {
        let (kind, name) = path.split_once('/').unwrap_or_default();
        let Some(resource) = kinds().into_iter().find(|resource| resource.kind == kind) else { return Ok(()) };
        let container = field.trim_start_matches("containers[").trim_end_matches("].image");
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), namespace, &resource);
        let object = self.calls().cluster("api.get", api.get(name)).await?;
        let list = if containers(pod(kind, &object.data), "initContainers").any(|(name, _)| name == container) {
            "initContainers"
        } else {
            "containers"
        };
        let mut patch = json!({"template": {"spec": {list: [{"name": container, "image": image}]}}});
        if kind == "CronJob" {
            patch = json!({"jobTemplate": {"spec": patch}});
        }
        let patch = json!({"apiVersion": resource.api_version, "kind": kind, "metadata": {"name": name}, "spec": patch});
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.calls().cluster("api.set_image", api.patch(name, &params, &Patch::Apply(patch))).await.map(drop)
    }

    /// All Applications that deploy one path of one repository. Where there is no Argo CD, or we may not look, there are none.
    ///
    /// # Errors
    /// Where the API server does not answer.
    pub async fn applications(&self) -> Result<Vec<Application>, CallError> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
        let api: Api<DynamicObject> = Api::all_with(self.client(), &resource);
        let list = async {
            match api.list(&ListParams::default()).await {
                Ok(list) => Ok(list.items),
                Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        let found = self.calls().cluster("api.list_applications", list).await?;
        Ok(found.iter().filter_map(application).collect())
    }
}

fn kinds() -> [ApiResource; 4] {
    [ApiResource::erase::<Deployment>(&()), ApiResource::erase::<StatefulSet>(&()), ApiResource::erase::<DaemonSet>(&()), {
        ApiResource::erase::<CronJob>(&())
    }]
}

fn workload(kind: &str, object: &DynamicObject) -> Workload {
    let pod = pod(kind, &object.data);
    let all = containers(pod, "containers").chain(containers(pod, "initContainers"));
    let marked = GITOPS_MARKS.iter().find(|(key, _)| object.labels().contains_key(*key) || object.annotations().contains_key(*key));
    let managers = object.meta().managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
    let manager = managers.into_iter().find(|manager| GITOPS_MANAGERS.contains(manager));
    Workload {
        kind: kind.to_owned(),
        name: object.name_any(),
        containers: all.collect(),
        managed_by: marked.map(|(_, who)| (*who).to_owned()).or_else(|| manager.map(str::to_owned)),
    }
}

/// The specification of the pods.
fn pod<'a>(kind: &str, data: &'a Value) -> Option<&'a Value> {
    data.pointer(if kind == "CronJob" { "/spec/jobTemplate/spec/template/spec" } else { "/spec/template/spec" })
}

fn containers<'a>(pod: Option<&'a Value>, list: &str) -> impl Iterator<Item = (String, String)> + use<'a> {
    let all = pod.and_then(|pod| pod.get(list)).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|one| Some((one.get("name")?.as_str()?.to_owned(), one.get("image")?.as_str()?.to_owned())))
}

fn application(object: &DynamicObject) -> Option<Application> {
    let text = |at: &str| object.data.pointer(at).and_then(Value::as_str).map(str::to_owned);
    Some(Application {
        name: object.name_any(),
        repository: text("/spec/source/repoURL")?,
        path: text("/spec/source/path")?,
        revision: text("/status/sync/revision"),
        sync: text("/status/sync/status").unwrap_or_else(|| "Unknown".to_owned()),
        health: text("/status/health/status").unwrap_or_else(|| "Unknown".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> DynamicObject {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn containers_of_every_kind_are_found() {
        let pod = "spec: {containers: [{name: a, image: 'r/x:1'}], initContainers: [{name: b, image: 'r/y:2'}]}";
        let deployment =
            object(&format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{template: {{{pod}}}}}}}"));
        let cron = object(&format!(
            "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: web}}, spec: {{jobTemplate: {{spec: {{template: {{{pod}}}}}}}}}}}"
        ));
        for (kind, object) in [("Deployment", deployment), ("CronJob", cron)] {
            let found = workload(kind, &object);
            assert_eq!(found.containers, [("a".to_owned(), "r/x:1".to_owned()), ("b".to_owned(), "r/y:2".to_owned())]);
            assert_eq!((found.path(), found.managed_by), (format!("{kind}/web"), None));
        }
    }

    #[test]
    fn what_gitops_manages_is_known_by_marks_and_by_field_managers() {
        let of = |meta: &str| {
            workload("Deployment", &object(&format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {meta}}}"))).managed_by
        };
        assert_eq!(of("{name: a, annotations: {argocd.argoproj.io/tracking-id: x}}").as_deref(), Some("Argo CD"));
        assert_eq!(of("{name: a, labels: {kustomize.toolkit.fluxcd.io/name: x}}").as_deref(), Some("Flux"));
        assert_eq!(of("{name: a, managedFields: [{manager: argocd-controller, operation: Apply}]}").as_deref(), Some("argocd-controller"));
        assert_eq!(of("{name: a, managedFields: [{manager: kubectl, operation: Apply}]}"), None);
    }
}
