//! What a node offers to a build pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Toleration};

/// Whether a pod with these labels to select by and these tolerations may run on a node.
pub fn may_run(node: &Node, selector: &BTreeMap<String, String>, tolerations: &[Toleration]) -> bool {
    let labels = node.metadata.labels.as_ref();
    let selected = selector.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value));
    let spec = node.spec.as_ref();
    let taints = spec.and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let tolerated = taints.iter().filter(|taint| taint.effect != "PreferNoSchedule").all(|taint| {
        tolerations.iter().any(|t| {
            let key = t.key.as_deref().is_none_or(|key| key == taint.key);
            let effect = t.effect.as_deref().is_none_or(|effect| effect == taint.effect);
            let value = t.operator.as_deref() == Some("Exists") || t.value == taint.value;
            key && effect && value
        })
    });
    selected && tolerated
}

/// Whether a pod with this RuntimeClass, or without one, can have a user namespace of its own on a node. Handlers are told apart by name: that of a
/// RuntimeClass is as a rule its own, and the one without a name is what a pod without a RuntimeClass gets.
pub fn has_user_namespaces(node: &Node, runtime_class: Option<&str>) -> bool {
    let handlers = node.status.as_ref().and_then(|s| s.runtime_handlers.as_deref()).unwrap_or_default();
    handlers
        .iter()
        .filter(|handler| handler.name.as_deref().unwrap_or_default() == runtime_class.unwrap_or_default())
        .any(|handler| handler.features.as_ref().and_then(|f| f.user_namespaces).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(spec: &str, status: &str) -> Node {
        serde_saphyr::from_str(&format!("{{metadata: {{name: a, labels: {{k: v}}}}, spec: {spec}, status: {status}}}")).unwrap()
    }

    #[test]
    fn labels_and_taints_decide_where_a_pod_runs() {
        let select = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let plain = node("{}", "{}");
        assert!(may_run(&plain, &select("k", "v"), &[]) && !may_run(&plain, &select("k", "w"), &[]));
        let tainted = node("{taints: [{key: t, value: x, effect: NoSchedule}]}", "{}");
        let any = Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() };
        assert!(!may_run(&tainted, &BTreeMap::new(), &[]) && may_run(&tainted, &BTreeMap::new(), &[any]));
    }

    #[test]
    fn the_handler_that_the_pod_gets_counts() {
        let able = |name: &str, class| {
            has_user_namespaces(
                &node("{}", &format!("{{runtimeHandlers: [{{name: '{name}', features: {{userNamespaces: true}}}}]}}")),
                class,
            )
        };
        assert!(able("", None) && able("kata", Some("kata")));
        assert!(!able("kata", None) && !able("", Some("kata")));
        assert!(!has_user_namespaces(&node("{}", "{}"), None));
    }
}
