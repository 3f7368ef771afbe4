//! What Kubernetes said that keeps a build's pod from being made or started. Pure.

/// What keeps a Job from getting its pod, or a pod from starting, by the warning that Kubernetes left: `None` where it says nothing of ours.
/// Nothing of it is final: the Job gets its pod when what refuses it has changed.
pub(super) fn refused(warning: &str) -> Option<String> {
    let lower = warning.to_lowercase();
    let has = |words: &str| lower.contains(words);
    let remedy = if has("violates podsecurity") {
        "label the namespace with the pod security level that the engine needs (docs/engines.md), or set spec.build.engine to one that needs less"
    } else if has("runtimeclass") || has("runtime handler") || has("no runtime for") {
        "check runtimeClassName of the engine in the chart, and that the node has that runtime"
    } else if has("serviceaccount") || has("service account") {
        "create the ServiceAccount that serviceAccountName of the engine names in this namespace"
    } else if has("priorityclass") {
        "check priorityClassName of the engine in the chart"
    } else if has("exceeded quota") || has("must specify") || has("limitrange") || has("maximum") || has("minimum") {
        "it goes on when the quota of the namespace has room; see spec.build.resources and the engine's resources in the chart"
    } else if has("user namespace") || has("userns") || has("idmap") {
        "the node or a volume has no user namespaces: set spec.build.engine to kaniko, or place the engine on nodes that have them"
    } else if has("denied the request") || has("forbidden") {
        "see what the admission of the cluster asks of pods"
    } else {
        return None;
    };
    Some(format!("{}: {remedy}", warning.trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_the_pod_is_passed_on_with_what_to_do() {
        for (warning, remedy) in [
            (
                "Error creating: pods \"cv-1\" is forbidden: violates PodSecurity \"restricted:latest\": unrestricted capabilities (container \"build\" must not include \"SYS_ADMIN\")",
                "label the namespace",
            ),
            ("Error creating: pods \"cv-1\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found", "runtimeClassName"),
            (
                "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for \"gvisor\" is configured",
                "runtimeClassName",
            ),
            (
                "Error creating: pods \"cv-1\" is forbidden: error looking up service account ops/builder: serviceaccount \"builder\" not found",
                "serviceAccountName",
            ),
            ("Error creating: pods \"cv-1\" is forbidden: no PriorityClass with name low was found", "priorityClassName"),
            (
                "Error creating: pods \"cv-1\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=10, limited: pods=10",
                "quota",
            ),
            ("Error creating: admission webhook \"policy.example\" denied the request: no root", "admission"),
        ] {
            let said = refused(warning).unwrap();
            assert!(said.contains(remedy) && said.starts_with(&warning[..20]), "{said}");
        }
        assert_eq!(refused("Readiness probe failed"), None);
    }
}
