//! The cluster itself, our kinds in it, the operator, the admission policy and what the caller may do. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::ResourceExt;

use super::Check;
use crate::failure::{Failure, INSTALL};
use crate::rights::Right;

/// The oldest Kubernetes that serves (charts/mainstay/Chart.yaml).
const OLDEST: (u32, u32) = (1, 32);

/// What brings every part of an installation to one version.
const UPGRADE: &str = "helm upgrade mainstay charts/mainstay -n mainstay-system --reset-then-reuse-values";

/// Version of this program; operator and chart have the same.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name of the checks of operators.
const OPERATOR: &str = "operator";

/// Differing fields that are named.
const NAMED: usize = 3;

/// The version of the API server.
pub(super) fn server(info: &Info, url: &str) -> Check {
    const NAME: &str = "cluster";
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().unwrap_or_default();
    let text = format!("{} at {url}", info.git_version);
    if (number(&info.major), number(&info.minor)) < OLDEST {
        return Check::problem(NAME, text, format!("Mainstay needs Kubernetes {}.{} or newer", OLDEST.0, OLDEST.1));
    }
    Check::ok(NAME, text)
}

/// Our kinds: whether all are served, and whether their fields are those that we know. `kinds`: plurals that the cluster serves of our group.
pub(super) fn definitions(kinds: &BTreeSet<String>, found: &[Result<Option<CustomResourceDefinition>, Failure>]) -> Vec<Check> {
    const NAME: &str = "kinds";
    let ours = mainstay_crds::definitions();
    if kinds.is_empty() {
        return vec![Check::warn(NAME, "none of our kinds is there: Mainstay is not installed", INSTALL)];
    }
    let plurals: BTreeSet<&str> = ours.iter().map(|crd| crd.spec.names.plural.as_str()).collect();
    let missing: Vec<&str> = plurals.iter().copied().filter(|plural| !kinds.contains(*plural)).collect();
    let mut checks = Vec::new();
    let left: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| !plurals.contains(kind)).collect();
    if !left.is_empty() {
        let text = format!("{} of mainstay.dev is not of this version", left.join(", "));
        checks.push(Check::warn(
            NAME,
            text,
            "where no newer Mainstay wants it: look at its objects, then kubectl delete crd <name>.mainstay.dev",
        ));
    }
    if !missing.is_empty() {
        checks.push(Check::problem(NAME, format!("missing: {}", missing.join(", ")), UPGRADE));
        return checks;
    }
    if let Some(Err(failure)) = found.iter().find(|one| one.is_err()) {
        checks.push(Check::ok(
            NAME,
            format!("all {} are served; whether their fields are of this version was not looked at: {failure}", ours.len()),
        ));
        return checks;
    }
    let (mut lacks, mut further) = (Vec::new(), Vec::new());
    for (own, there) in ours.iter().zip(found) {
        let Ok(Some(there)) = there else { continue };
        let (own, there) = (fields(own), fields(there));
        lacks.extend(own.difference(&there).cloned());
        further.extend(there.difference(&own).cloned());
    }
    match (lacks.is_empty(), further.is_empty()) {
        (false, _) => checks.push(Check::problem(NAME, format!("older than this program: without {}", some(&lacks)), UPGRADE)),
        (true, false) => {
            let todo = "install the kubectl-mainstay of the operator's version";
            checks.push(Check::warn(NAME, format!("newer than this program: with {}", some(&further)), todo));
        }
        (true, true) => checks.push(Check::ok(NAME, format!("all {} are there, with every field of {VERSION}", ours.len()))),
    }
    checks
}

/// The first few of a list.
fn some(all: &[String]) -> String {
    let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let more = all.len().saturating_sub(NAMED);
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}

/// The paths of all fields of a kind, such as `manifestpins spec.hold`.
fn fields(crd: &CustomResourceDefinition) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for schema in crd.spec.versions.iter().filter_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref()) {
        // apiVersion, kind and metadata are there or not, as the API server likes it.
        for part in ["spec", "status"] {
            if let Some(schema) = schema.properties.as_ref().and_then(|properties| properties.get(part)) {
                walk(schema, &format!("{} {part}", crd.spec.names.plural), &mut all);
            }
        }
    }
    all
}

fn walk(schema: &JSONSchemaProps, path: &str, all: &mut BTreeSet<String>) {
    for (name, inner) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        walk(inner, &path, all);
        all.insert(path);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
        walk(item, &format!("{path}[]"), all);
    }
}

/// The operators' Deployments: most clusters have one. `installed`: our kinds are there.
pub(super) fn operators(found: &Result<Vec<Deployment>, Failure>, installed: bool) -> Vec<Check> {
    match found {
        Ok(found) if !found.is_empty() => found.iter().map(operator).collect(),
        Ok(_) if installed => vec![Check::problem(OPERATOR, "no Deployment with the label app.kubernetes.io/name=mainstay", INSTALL)],
        Ok(_) => vec![Check::warn(OPERATOR, "it is not installed", INSTALL)],
        Err(failure) => vec![Check::unseen(OPERATOR, failure)],
    }
}

fn operator(one: &Deployment) -> Check {
    let (place, status) = (place(one), one.status.clone().unwrap_or_default());
    let version = one.labels().get("app.kubernetes.io/version").cloned().unwrap_or_else(|| "no version".to_owned());
    if status.ready_replicas.unwrap_or_default() == 0 {
        let why = status
            .conditions
            .iter()
            .flatten()
            .find(|one| one.type_.as_deref() == Some("Available") && one.status.as_deref() != Some("True"))
            .and_then(|one| one.message.clone())
            .unwrap_or_else(|| "no pod is ready".to_owned());
        let (namespace, name) = (one.namespace().unwrap_or_default(), one.name_any());
        return Check::problem(
            OPERATOR,
            format!("{place} is not ready: {why}"),
            format!(
                "kubectl -n {namespace} describe pods -l app.kubernetes.io/name=mainstay; kubectl -n {namespace} logs deployment/{name}"
            ),
        );
    }
    if version != VERSION {
        return Check::warn(OPERATOR, format!("{place} is ready, of {version}; this program is of {VERSION}"), "bring both to one version");
    }
    Check::ok(OPERATOR, format!("{place} is ready, of {version}"))
}

/// Namespace and name.
pub(super) fn place(one: &Deployment) -> String {
    format!("{}/{}", one.namespace().unwrap_or_default(), one.name_any())
}

/// Whether exactly one operator looks at a namespace; `None` where that is so. `looking`: those that do, of `all`.
pub(super) fn watched(namespace: &str, looking: &[String], all: usize) -> Option<Check> {
    match looking {
        [] if all > 0 => {
            let todo = format!("add {namespace} to watchNamespaces of the chart, or name another namespace with -n");
            Some(Check::problem(OPERATOR, format!("none looks at namespace {namespace}"), todo))
        }
        [] | [_] => None,
        several => {
            let text = format!("{} look at namespace {namespace}, and undo each other's work", several.join(" and "));
            Some(Check::problem(OPERATOR, text, "uninstall all but one, or give each its watchNamespaces"))
        }
    }
}

/// What the caller may not do, of what the commands need.
pub(super) fn rights(namespace: &str, refused: &Result<Vec<Right>, Failure>) -> Check {
    const NAME: &str = "your rights";
    let refused = match refused {
        Ok(refused) => refused,
        Err(failure) => return Check::unseen(NAME, failure),
    };
    let words = |acts: bool| {
        let meant = refused.iter().filter(|right| right.acts == acts);
        let all: Vec<String> = meant.map(|right| format!("{} {} ({})", right.verb, right.resource, right.commands.join(", "))).collect();
        all.join(", ")
    };
    let (see, act) = (words(false), words(true));
    let role = |role: &str| format!("have the role {role} bound to you in {namespace}; what each command needs: docs/plugin.md");
    match (see.is_empty(), act.is_empty()) {
        (true, true) => Check::ok(NAME, format!("you may see and do all of it in {namespace}")),
        (true, false) => Check::warn(NAME, format!("you may see all of it in {namespace}, and not {act}"), role("edit")),
        (false, _) => Check::problem(NAME, format!("in {namespace} you may not {see}"), role("view")),
    }
}

/// Whether only images from main may run. `list`: whether the list that the policy reads is there, where that is known.
pub(super) fn admission(bindings: &Result<Vec<ValidatingAdmissionPolicyBinding>, Failure>, list: Option<bool>) -> Check {
    const NAME: &str = "admission";
    let bindings = match bindings {
        Ok(bindings) => bindings,
        Err(failure) => return Check::unseen(NAME, failure),
    };
    let spec = bindings.first().map(|binding| &binding.spec);
    let Some(spec) = spec else { return Check::ok(NAME, "off: any image may run (docs/admission.md)") };
    let denies = spec.validation_actions.iter().any(|action| action == "Deny");
    if denies && list == Some(false) {
        return Check::problem(
            NAME,
            "deny, and the list of allowed images is not there: nothing new runs",
            "is the operator ready? It writes the list",
        );
    }
    Check::ok(
        NAME,
        if denies { "deny: only images from main run in the chosen namespaces" } else { "warn: images that are not from main are told" },
    )
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn forbidden() -> Failure {
        Failure::Cluster("deployments.apps is forbidden: User \"x\" cannot list".to_owned())
    }

    fn ours() -> Vec<Result<Option<CustomResourceDefinition>, Failure>> {
        mainstay_crds::definitions().into_iter().map(|crd| Ok(Some(crd))).collect()
    }

    fn kinds() -> BTreeSet<String> {
        mainstay_crds::definitions().into_iter().map(|crd| crd.spec.names.plural).collect()
    }

    #[test]
    fn an_old_cluster_is_a_problem() {
        let info = |minor: &str| Info { major: "1".into(), minor: minor.into(), git_version: format!("v1.{minor}"), ..Info::default() };
        assert_eq!(server(&info("37"), "u").grade, Grade::Ok);
        assert_eq!(server(&info("32+"), "u").grade, Grade::Ok);
        assert_eq!(server(&info("31"), "u").grade, Grade::Problem);
    }

    #[test]
    fn kinds_are_of_this_version_or_it_says_which_field_differs() {
        let only = |checks: Vec<Check>| {
            assert_eq!(checks.len(), 1, "{checks:?}");
            checks.into_iter().next().unwrap()
        };
        assert_eq!(only(definitions(&kinds(), &ours())).grade, Grade::Ok);
        let at = |plural: &str| mainstay_crds::definitions().iter().position(|crd| crd.spec.names.plural == plural).unwrap();
        let with = |edit: &dyn Fn(&mut JSONSchemaProps)| {
            let mut all = ours();
            let crd = all[at("manifestpins")].as_mut().unwrap().as_mut().unwrap();
            edit(
                crd.spec.versions[0]
                    .schema
                    .as_mut()
                    .unwrap()
                    .open_api_v3_schema
                    .as_mut()
                    .unwrap()
                    .properties
                    .as_mut()
                    .unwrap()
                    .get_mut("spec")
                    .unwrap(),
            );
            only(definitions(&kinds(), &all))
        };
        let older = with(&|spec| drop(spec.properties.as_mut().unwrap().remove("hold")));
        assert!(older.grade == Grade::Problem && older.text.contains("manifestpins spec.hold"), "{older:?}");
        let newer = with(&|spec| drop(spec.properties.as_mut().unwrap().insert("new".into(), JSONSchemaProps::default())));
        assert!(newer.grade == Grade::Warn && newer.text.contains("manifestpins spec.new"), "{newer:?}");
        let blind = only(definitions(&kinds(), &[Err(forbidden())]));
        assert!(blind.grade == Grade::Ok && blind.text.contains("not looked at"), "{blind:?}");
    }

    #[test]
    fn missing_and_left_kinds_are_named() {
        assert_eq!(definitions(&BTreeSet::new(), &[])[0].grade, Grade::Warn);
        let mut some = kinds();
        some.remove("imagebuilds");
        some.insert("buildrequests".into());
        let checks = definitions(&some, &ours());
        assert!(checks[0].grade == Grade::Warn && checks[0].text.contains("buildrequests"), "{checks:?}");
        assert!(checks[1].grade == Grade::Problem && checks[1].text.contains("imagebuilds"), "{checks:?}");
    }

    #[test]
    fn the_operator_is_one_and_ready_and_of_this_version() {
        let deployment = |version: &str, ready: u32| -> Deployment {
            serde_saphyr::from_str(&format!(
                "{{metadata: {{name: m, namespace: s, labels: {{app.kubernetes.io/version: '{version}'}}}}, status: {{readyReplicas: {ready}, \
                 conditions: [{{type: Available, status: 'False', message: 'no minimum availability'}}]}}}}"
            ))
            .unwrap()
        };
        let of = |all: Vec<Deployment>, installed| operators(&Ok(all), installed).remove(0);
        assert_eq!(of(vec![deployment(VERSION, 1)], true).grade, Grade::Ok);
        assert_eq!(of(vec![deployment("0.0.1", 1)], true).grade, Grade::Warn);
        let down = of(vec![deployment(VERSION, 0)], true);
        assert!(
            down.grade == Grade::Problem
                && down.text.contains("no minimum availability")
                && down.todo.unwrap().contains("logs deployment/m")
        );
        assert_eq!(operators(&Ok(vec![deployment(VERSION, 1), deployment(VERSION, 0)]), true).len(), 2);
        assert_eq!((of(Vec::new(), true).grade, of(Vec::new(), false).grade), (Grade::Problem, Grade::Warn));
        assert_eq!(operators(&Err(forbidden()), true)[0].grade, Grade::Warn);
    }

    #[test]
    fn one_operator_looks_at_a_namespace() {
        let of = |names: &[&str], all| watched("n", &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), all);
        assert!(of(&["s/m"], 2).is_none() && of(&[], 0).is_none());
        assert!(of(&[], 1).unwrap().todo.unwrap().contains("watchNamespaces"));
        assert!(of(&["s/m", "t/m"], 2).unwrap().text.starts_with("s/m and t/m look at"));
    }

    #[test]
    fn rights_are_those_to_see_and_those_to_act() {
        let right = |verb, resource, acts| Right { verb, resource, acts, commands: vec!["list"] };
        assert_eq!(rights("n", &Ok(Vec::new())).grade, Grade::Ok);
        let reader = rights("n", &Ok(vec![right("create", "imagebuilds", true)]));
        assert!(reader.grade == Grade::Warn && reader.todo.unwrap().contains("role edit"));
        let stranger = rights("n", &Ok(vec![right("list", "containerimages", false), right("create", "imagebuilds", true)]));
        assert!(stranger.grade == Grade::Problem && stranger.text == "in n you may not list containerimages (list)");
    }

    #[test]
    fn a_policy_without_its_list_denies_everything() {
        let binding = |actions: &str| -> ValidatingAdmissionPolicyBinding {
            serde_saphyr::from_str(&format!("{{metadata: {{name: m}}, spec: {{validationActions: [{actions}]}}}}")).unwrap()
        };
        assert!(admission(&Ok(Vec::new()), None).text.starts_with("off"));
        assert!(admission(&Ok(vec![binding("Warn, Audit")]), None).text.starts_with("warn"));
        assert_eq!(admission(&Ok(vec![binding("Deny")]), Some(true)).grade, Grade::Ok);
        assert_eq!(admission(&Ok(vec![binding("Deny")]), Some(false)).grade, Grade::Problem);
    }
}
