//! Whether something can build Dockerfiles and nix files here: engines, nodes, and what the namespace lets pods be. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use mainstay::config::Config;
use mainstay::domain::node::{has_user_namespaces, may_run};

use super::Check;
use crate::failure::Failure;

/// What the namespace's label says of the pods that it takes; Kubernetes' own name of the label.
pub(super) const LEVEL: &str = "pod-security.kubernetes.io/enforce";

/// What was seen.
pub(super) struct Seen<'a> {
    pub(super) namespace: &'a str,
    /// Labels of the namespace, where they may be read.
    pub(super) labels: Option<&'a BTreeMap<String, String>>,
    pub(super) nodes: &'a Result<Vec<Node>, Failure>,
    /// The operator's settings; `None` where there is no operator yet.
    pub(super) config: &'a Option<Result<Config, String>>,
}

/// Engines, nodes and the namespace.
pub(super) fn builds(seen: &Seen<'_>) -> Vec<Check> {
    let nodes = match seen.nodes {
        Ok(nodes) => nodes,
        Err(failure) => return vec![Check::unseen("nodes", failure)],
    };
    let able = nodes.iter().filter(|node| has_user_namespaces(node, None)).count();
    let mut checks = vec![Check::ok("nodes", format!("{able} of {} have user namespaces for pods", nodes.len()))];
    match seen.config {
        Some(Ok(config)) => checks.extend(configured(config, nodes, seen)),
        Some(Err(message)) => {
            let todo = "bring operator and kubectl-mainstay to one version";
            checks.push(Check::warn("engines", format!("the operator's settings were not read: {message}"), todo));
        }
        None if able == 0 => checks.push(Check::warn(
            "engines",
            "BuildKit, which the chart brings, finds no node with user namespaces",
            "give the chart kaniko: --set engines.kaniko.image=<image of osscontainertools/kaniko>; docs/engines.md",
        )),
        None => checks.push(Check::ok("engines", "BuildKit, which the chart brings, can build Dockerfiles here")),
    }
    checks
}

/// What builds Dockerfiles, and the pod security level that its pods want.
enum Dockerfiles {
    BuildKit(usize),
    Kaniko(&'static str),
    Nothing(&'static str),
}

fn configured(config: &Config, nodes: &[Node], seen: &Seen<'_>) -> Vec<Check> {
    let engines = &config.engines;
    let mut checks = Vec::new();
    let fit = |engine: &mainstay::config::EngineConfig, node: &&Node| may_run(node, &engine.node_selector, &engine.tolerations);
    let buildkit = engines.buildkit.as_ref().map(|engine| {
        nodes.iter().filter(|node| fit(engine, node) && has_user_namespaces(node, engine.runtime_class_name.as_deref())).count()
    });
    let why = if buildkit.is_some() { "no node that BuildKit's pods may run on has user namespaces" } else { "BuildKit is not configured" };
    let chosen = match (buildkit, &engines.kaniko) {
        (Some(count), _) if count > 0 => Dockerfiles::BuildKit(count),
        (_, Some(_)) => Dockerfiles::Kaniko(why),
        (_, None) => Dockerfiles::Nothing(why),
    };
    let level = seen.labels.and_then(|labels| labels.get(LEVEL)).map(String::as_str);
    checks.push(match (&chosen, level) {
        (Dockerfiles::Nothing(why), _) => Check::problem(
            "dockerfile",
            format!("nothing can build Dockerfiles: {why}, and kaniko is not configured"),
            "set engines.kaniko.image of the chart, or have a node with user namespaces; docs/engines.md",
        ),
        (Dockerfiles::BuildKit(_), Some(level @ ("baseline" | "restricted"))) => {
            refused("dockerfile", "BuildKit's", seen.namespace, level, "privileged")
        }
        (Dockerfiles::Kaniko(_), Some(level @ "restricted")) => refused("dockerfile", "kaniko's", seen.namespace, level, "baseline"),
        (Dockerfiles::BuildKit(count), _) => Check::ok("dockerfile", format!("BuildKit, on {count} of the nodes")),
        (Dockerfiles::Kaniko(why), _) => Check::ok("dockerfile", format!("kaniko: {why}")),
    });
    checks.push(match &engines.nix {
        None => Check::warn(
            "nix",
            "nothing can build a default.nix: nix is not configured",
            "if there are any, set engines.nix.image of the chart",
        ),
        Some(nix) => match (nodes.iter().filter(|node| fit(nix, node)).count(), level) {
            (0, _) => {
                let words: Vec<String> = nix.node_selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let text = format!("no node takes nix's pods: {} with engines.nix.tolerations", words.join(", "));
                // What Kubernetes itself writes on nodes is no label to set by hand.
                let own = nix.node_selector.keys().any(|key| key.split('/').next().is_some_and(|prefix| prefix.ends_with("kubernetes.io")));
                let todo = if own {
                    "if there are any default.nix: check engines.nix.nodeSelector and tolerations of the chart".to_owned()
                } else {
                    format!("if there are any default.nix: kubectl label node <name> {}", words.join(" "))
                };
                Check::warn("nix", text, todo)
            }
            (_, Some(level @ "restricted")) => refused("nix", "nix's", seen.namespace, level, "baseline"),
            (count, _) => Check::ok("nix", format!("{count} of the nodes take its pods")),
        },
    });
    checks
}

/// The namespace does not take the pods of an engine.
fn refused(name: &str, whose: &str, namespace: &str, level: &str, needs: &str) -> Check {
    Check::problem(
        name,
        format!("namespace {namespace} takes pods of level {level}, and {whose} build pods are {needs}"),
        format!("kubectl label namespace {namespace} {LEVEL}={needs} --overwrite, or build in another namespace"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn node(able: bool, label: &str) -> Node {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{name: a, labels: {{{label}}}}}, status: {{runtimeHandlers: [{{name: '', features: {{userNamespaces: {able}}}}}]}}}}"
        ))
        .unwrap()
    }

    fn of(nodes: Vec<Node>, engines: &str, level: &str) -> Vec<(String, Grade)> {
        let config = (!engines.is_empty()).then(|| Config::parse(&format!("{{steps: {{image: r/m:1}}, engines: {{{engines}}}}}")));
        let labels = BTreeMap::from([(LEVEL.to_owned(), level.to_owned())]);
        let seen = Seen { namespace: "n", labels: Some(&labels), nodes: &Ok(nodes), config: &config };
        builds(&seen).into_iter().map(|check| (format!("{} {}", check.name, check.text), check.grade)).collect()
    }

    fn grade(all: &[(String, Grade)], begin: &str) -> Grade {
        all.iter().find(|(text, _)| text.starts_with(begin)).unwrap_or_else(|| panic!("{begin}: {all:?}")).1
    }

    const BUILDKIT: &str = "buildkit: {image: r/b:1}";
    const KANIKO: &str = "kaniko: {image: r/k:1}";
    const NIX: &str = "nix: {image: r/n:1, nodeSelector: {builder: nix}}";

    #[test]
    fn before_the_installation_the_nodes_decide() {
        assert_eq!(grade(&of(vec![node(true, "")], "", ""), "engines BuildKit"), Grade::Ok);
        assert_eq!(grade(&of(vec![node(false, "")], "", ""), "engines BuildKit"), Grade::Warn);
    }

    #[test]
    fn an_engine_needs_a_node_that_it_fits() {
        assert_eq!(grade(&of(vec![node(true, "")], BUILDKIT, ""), "dockerfile BuildKit, on 1"), Grade::Ok);
        assert_eq!(grade(&of(vec![node(false, "")], BUILDKIT, ""), "dockerfile nothing"), Grade::Problem);
        assert_eq!(grade(&of(vec![node(false, "")], &format!("{BUILDKIT}, {KANIKO}"), ""), "dockerfile kaniko: no node"), Grade::Ok);
        assert_eq!(grade(&of(vec![node(true, "")], KANIKO, ""), "dockerfile kaniko: BuildKit is not"), Grade::Ok);
        assert_eq!(grade(&of(vec![node(true, "")], BUILDKIT, ""), "nix nothing"), Grade::Warn);
        assert_eq!(grade(&of(vec![node(true, "")], NIX, ""), "nix no node takes nix's pods: builder=nix"), Grade::Warn);
        assert_eq!(grade(&of(vec![node(true, "builder: nix")], NIX, ""), "nix 1 of"), Grade::Ok);
    }

    #[test]
    fn the_namespace_must_take_the_pods_of_the_engine() {
        let nodes = || vec![node(true, "builder: nix")];
        let both = format!("{BUILDKIT}, {NIX}");
        assert_eq!(grade(&of(nodes(), &both, "baseline"), "dockerfile namespace n"), Grade::Problem);
        assert_eq!(grade(&of(nodes(), &both, "baseline"), "nix 1 of"), Grade::Ok);
        assert_eq!(grade(&of(nodes(), &both, "privileged"), "dockerfile BuildKit"), Grade::Ok);
        assert_eq!(grade(&of(nodes(), &both, "restricted"), "nix namespace n"), Grade::Problem);
        assert_eq!(grade(&of(nodes(), KANIKO, "baseline"), "dockerfile kaniko"), Grade::Ok);
        assert_eq!(grade(&of(nodes(), KANIKO, "restricted"), "dockerfile namespace n"), Grade::Problem);
    }

    #[test]
    fn what_may_not_be_seen_is_no_problem() {
        let forbidden = Err(Failure::Cluster("nodes is forbidden: User".into()));
        let checks = builds(&Seen { namespace: "n", labels: None, nodes: &forbidden, config: &None });
        assert_eq!((checks.len(), checks[0].grade), (1, Grade::Warn));
    }
}
