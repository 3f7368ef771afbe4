//! Asks the cluster for all that is judged. Whatever is refused is told, and the rest goes on.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use mainstay::config::Config;
use mainstay_crds::{AllowedImages, ContainerImage, SourceRepository};

use super::{Check, builds, installation, sources};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::rights::{self, Right};

/// Our API group, and the version that this program speaks.
const GROUP: &str = "mainstay.dev";
const VERSION: &str = "mainstay.dev/v1alpha1";

/// What everything of an installation carries.
const LABEL: &str = "app.kubernetes.io/name=mainstay";

/// All checks of a cluster.
pub(super) async fn checks(cluster: &Cluster) -> Vec<Check> {
    let client = cluster.client();
    let info = match cluster.ask(client.apiserver_version()).await {
        Ok(info) => info,
        Err(failure) => {
            return vec![Check::problem(
                "cluster",
                failure.to_string(),
                "does kubectl version answer? Look at the context and the way there",
            )];
        }
    };
    let ours = ListParams::default().labels(LABEL);
    let (definitions, deployments, nodes, bindings, namespaces) = (
        Api::<CustomResourceDefinition>::all(client.clone()),
        Api::<Deployment>::all(client.clone()),
        Api::<Node>::all(client.clone()),
        Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()),
        Api::<Namespace>::all(client.clone()),
    );
    let all = ListParams::default();
    let (kinds, deployments, nodes, bindings, namespace, refused) = tokio::join!(
        kinds(cluster),
        cluster.ask(deployments.list(&ours)),
        cluster.ask(nodes.list(&all)),
        cluster.ask(bindings.list(&ours)),
        cluster.ask(namespaces.get(&cluster.namespace)),
        refused(cluster),
    );
    let mut checks = vec![installation::server(&info, &cluster.url)];
    let kinds = match kinds {
        Ok(kinds) => kinds,
        Err(failure) => {
            checks.push(Check::unseen("kinds", &failure));
            BTreeSet::new()
        }
    };
    let installed = !kinds.is_empty();
    let names: Vec<String> = mainstay_crds::definitions().iter().map(ResourceExt::name_any).collect();
    let found = if installed { join_all(names.iter().map(|name| cluster.ask(definitions.get_opt(name)))).await } else { Vec::new() };
    checks.extend(installation::definitions(&kinds, &found));
    let deployments = deployments.map(|list| list.items);
    checks.extend(installation::operators(&deployments, installed));
    let operators = deployments.as_deref().unwrap_or_default();
    let configs = join_all(operators.iter().map(|operator| config(cluster, operator))).await;
    // One whose settings cannot be read may look at every namespace, as most do.
    let looks = |config: &Result<Config, String>| {
        config.as_ref().map_or(true, |config| config.watch_namespaces.is_empty() || config.watch_namespaces.contains(&cluster.namespace))
    };
    let looking: Vec<String> =
        operators.iter().zip(&configs).filter(|(_, config)| looks(config)).map(|(operator, _)| installation::place(operator)).collect();
    checks.extend(installation::watched(&cluster.namespace, &looking, operators.len()));
    let config = configs.iter().position(looks).unwrap_or_default();
    let config = configs.into_iter().nth(config);
    checks.push(installation::rights(&cluster.namespace, &refused));
    let bindings = bindings.map(|list| list.items);
    let list = allowed(cluster, &bindings).await;
    checks.push(installation::admission(&bindings, list));
    let labels = namespace.as_ref().ok().and_then(|namespace| namespace.metadata.labels.as_ref());
    if matches!(namespace, Err(Failure::NotFound(_))) {
        let text = format!("namespace {} does not exist", cluster.namespace);
        checks.push(Check::problem("namespace", text, format!("kubectl create namespace {}, or name another with -n", cluster.namespace)));
    }
    let nodes = nodes.map(|list| list.items);
    checks.extend(builds::builds(&builds::Seen { namespace: &cluster.namespace, labels, nodes: &nodes, config: &config }));
    if installed {
        let (found, images) = tokio::join!(cluster.list::<SourceRepository>(false), cluster.list::<ContainerImage>(false));
        match (found, images) {
            (Ok(found), Ok(images)) => checks.extend(sources::sources(&found, &images, &cluster.namespace)),
            (Err(failure), _) | (_, Err(failure)) => checks.push(Check::unseen("sources", &failure)),
        }
    }
    checks
}

/// Plurals of the kinds of our group that the cluster serves: none where Mainstay is not installed.
async fn kinds(cluster: &Cluster) -> Result<BTreeSet<String>, Failure> {
    let client = cluster.client();
    let groups = cluster.ask(client.list_api_groups()).await?;
    let served = groups.groups.iter().filter(|group| group.name == GROUP).flat_map(|group| &group.versions);
    if !served.into_iter().any(|version| version.group_version == VERSION) {
        return Ok(BTreeSet::new());
    }
    let resources = cluster.ask(client.list_api_group_resources(VERSION)).await?.resources;
    Ok(resources.into_iter().map(|resource| resource.name).filter(|name| !name.contains('/')).collect())
}

/// What the caller may not do, of what the commands need.
async fn refused(cluster: &Cluster) -> Result<Vec<Right>, Failure> {
    let api = Api::<SelfSubjectAccessReview>::all(cluster.client());
    let all = rights::all();
    let answers = join_all(all.iter().map(|right| {
        let review = review(&cluster.namespace, right.verb, right.resource);
        let api = &api;
        async move { cluster.ask(api.create(&PostParams::default(), &review)).await }
    }))
    .await;
    let mut refused = Vec::new();
    for (right, answer) in all.into_iter().zip(answers) {
        if !answer?.status.is_some_and(|status| status.allowed) {
            refused.push(right);
        }
    }
    Ok(refused)
}

fn review(namespace: &str, verb: &str, resource: &str) -> SelfSubjectAccessReview {
    let (resource, part) = resource.split_once('/').map_or((resource, None), |(resource, part)| (resource, Some(part.to_owned())));
    let group = if resource == "pods" { "" } else { GROUP };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: part,
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// The operator's settings, from the ConfigMap that its pod mounts.
async fn config(cluster: &Cluster, operator: &Deployment) -> Result<Config, String> {
    let pod = operator.spec.template.spec.as_ref();
    let mut volumes = pod.and_then(|pod| pod.volumes.as_ref()).into_iter().flatten();
    let name = volumes.find_map(|volume| volume.config_map.as_ref().filter(|_| volume.name == "config").map(|map| map.name.clone()));
    let name = name.ok_or("its Deployment mounts no ConfigMap as volume config")?;
    let api = Api::<ConfigMap>::namespaced(cluster.client(), &operator.namespace().unwrap_or_default());
    let map = cluster.ask(api.get(&name)).await.map_err(|failure| failure.to_string())?;
    let text =
        map.data.as_ref().and_then(|data| data.get("config.yaml")).ok_or_else(|| format!("ConfigMap {name} has no key config.yaml"))?;
    Config::parse(text)
}

/// Whether the list that the admission policy reads is there; `None` where there is no policy, or it may not be looked at.
async fn allowed(cluster: &Cluster, bindings: &Result<Vec<ValidatingAdmissionPolicyBinding>, Failure>) -> Option<bool> {
    let reference = bindings.as_ref().ok()?.first()?.spec.param_ref.clone()?;
    let api = Api::<AllowedImages>::namespaced(cluster.client(), &reference.namespace?);
    Some(cluster.ask(api.get_opt(&reference.name?)).await.ok()?.is_some())
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;
    use crate::fake::{Fake, refusal};
    use serde_json::json;

    fn version() -> (u16, serde_json::Value) {
        let text = |key: &str| (key.to_owned(), json!("1"));
        let mut info: serde_json::Map<String, serde_json::Value> =
            ["buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform", "major"].map(text).into_iter().collect();
        info.extend([("minor".to_owned(), json!("37")), ("gitVersion".to_owned(), json!("v1.37.0"))]);
        (200, info.into())
    }

    #[tokio::test]
    async fn somebody_without_rights_gets_lines_and_no_error() {
        let mut fake = Fake::default();
        fake.answer("/version", version());
        fake.otherwise(refusal(403, "things is forbidden: User \"x\" cannot list resource \"things\""));
        let (cluster, _) = fake.serve();
        let checks = checks(&cluster).await;
        assert_eq!((checks[0].grade, checks[0].text.as_str()), (Grade::Ok, "v1.37.0 at https://fake"));
        for name in ["kinds", "operator", "your rights", "admission", "nodes"] {
            let check = checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}: {checks:#?}"));
            assert!(check.grade == Grade::Warn && check.text.contains("forbidden") && check.todo.is_some(), "{check:?}");
        }
    }

    #[tokio::test]
    async fn a_cluster_that_does_not_answer_is_one_problem() {
        let mut fake = Fake::default();
        fake.otherwise(refusal(503, "later"));
        let checks = checks(&fake.serve().0).await;
        assert_eq!((checks.len(), checks[0].grade), (1, Grade::Problem));
        assert!(checks[0].text.contains("later"), "{checks:?}");
    }

    #[tokio::test]
    async fn before_the_installation_it_says_how_to_install() {
        let mut fake = Fake::default();
        let none = || (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}));
        fake.answer("/version", version());
        fake.answer("/apis", (200, json!({"kind": "APIGroupList", "groups": []})));
        fake.answer("/apis/apps/v1/deployments", none());
        fake.answer("/api/v1/nodes", none());
        fake.answer("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", none());
        let review = json!({"spec": {}, "status": {"allowed": true}});
        fake.answer("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", (201, review));
        fake.object("namespaces", "n", &json!({"metadata": {"name": "n"}}));
        let (cluster, log) = fake.serve();
        let checks = checks(&cluster).await;
        assert!(checks.iter().all(|check| check.grade < Grade::Problem), "{checks:#?}");
        let operator = checks.iter().find(|check| check.name == "operator").unwrap();
        assert!(operator.todo.as_ref().unwrap().starts_with("helm upgrade --install"), "{operator:?}");
        assert!(log.all().iter().all(|(_, path, _)| !path.contains("secrets")));
    }
}
