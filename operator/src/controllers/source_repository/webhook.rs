//! Whether a SourceRepository takes hooks, and where.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use mainstay_crds::{Reason, SourceRepository, SourceRepositoryStatus};

use crate::config::WebhookConfig;
use crate::controllers::context::{Context, now};
use crate::controllers::hints;
use crate::domain::condition::{condition, find};
use crate::domain::hook;

/// The condition beside `Ready`: a repository whose hooks are not taken is fetched all the same.
const TYPE: &str = "WebhookReady";

/// Reads the keys, and says in the status where hooks arrive and whether they are taken. An event where they no longer are, or for another reason.
pub(super) async fn look(repository: &SourceRepository, ctx: &Context, status: &mut SourceRepositoryStatus) {
    let learnt = hints::learn(ctx, repository).await;
    let taken = learnt.map_err(|problem| (problem.verdict.reason, problem.verdict.message));
    let before = repository.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let Some((address, reason, said)) = stand(repository, ctx.config.webhook.as_ref(), taken, before) else {
        status.webhook = None;
        return;
    };
    let told = find(before, TYPE).is_some_and(|old| old.reason == said.reason);
    if said.status == "False" && !told {
        ctx.cluster.event(repository, true, reason, "Reconcile", &said.message);
    }
    status.webhook = Some(address);
    status.conditions.push(said);
}

/// Address, reason and condition; `None` where no hooks are wanted.
fn stand(
    repository: &SourceRepository,
    config: Option<&WebhookConfig>,
    taken: Result<(), (Reason, String)>,
    before: &[Condition],
) -> Option<(String, Reason, Condition)> {
    repository.spec.webhook.as_ref()?;
    let path = hook::path(&repository.namespace().unwrap_or_default(), &repository.name_any());
    let address = match config.and_then(|config| config.url.as_deref()) {
        Some(base) => format!("{}{path}", base.trim_end_matches('/')),
        None => path,
    };
    let off =
        "the operator takes no hooks: set webhook.enabled of the chart, or remove spec.webhook. New commits are found at the interval";
    let (status, reason, message) = match (config, taken) {
        (None, _) => ("False", Reason::WebhooksOff, off.to_owned()),
        (Some(_), Ok(())) => ("True", Reason::Listening, format!("hooks are taken at {address}")),
        (Some(_), Err((reason, message))) => ("False", reason, format!("{message}. New commits are found at the interval meanwhile")),
    };
    let said = condition(before, TYPE, (status, reason.as_str(), &message), repository.metadata.generation, &now());
    Some((address, reason, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(webhook: &str) -> SourceRepository {
        serde_saphyr::from_str(&format!(
            "{{apiVersion: a, kind: b, metadata: {{name: ops, namespace: builds}}, spec: {{url: 'https://g/x', registry: {{prefix: r/t}}{webhook}}}}}"
        ))
        .unwrap()
    }

    fn said(config: Option<Option<&str>>, taken: Result<(), (Reason, String)>) -> (String, String, String, String) {
        let config = config.map(|url| WebhookConfig { url: url.map(str::to_owned) });
        let repository = repository(", webhook: {secretRef: {name: hook}}");
        let (address, _, said) = stand(&repository, config.as_ref(), taken, &[]).unwrap();
        (address, said.status, said.reason, said.message)
    }

    #[test]
    fn where_hooks_arrive_and_whether_they_are_taken_is_said() {
        let (address, status, reason, _) = said(Some(Some("https://hooks.example/mainstay/")), Ok(()));
        assert_eq!(
            (address.as_str(), status.as_str(), reason.as_str()),
            ("https://hooks.example/mainstay/hook/builds/ops", "True", "Listening")
        );
        assert_eq!(said(Some(None), Ok(())).0, "/hook/builds/ops");
        let missing = Err((Reason::SecretNotFound, "Secret builds/hook does not exist: create it".to_owned()));
        let (_, status, reason, message) = said(Some(None), missing.clone());
        assert_eq!((status.as_str(), reason.as_str()), ("False", "SecretNotFound"));
        assert!(message.contains("create it") && message.contains("interval"), "{message}");
        let (_, status, reason, message) = said(None, missing);
        assert_eq!((status.as_str(), reason.as_str()), ("False", "WebhooksOff"));
        assert!(message.contains("webhook.enabled"), "{message}");
        assert!(stand(&repository(""), Some(&WebhookConfig { url: None }), Ok(()), &[]).is_none());
    }
}
