//! `pin`: what a ManifestPin would write, and the commands that make it write, hold and follow again.

use std::time::Duration;

use kube::ResourceExt;
use mainstay::domain::condition;
use mainstay_crds::{ContainerImage, ManifestPin, names};
use serde_json::json;

use crate::act::{now, told};
use crate::cluster::Cluster;
use crate::failure::{Failure, one_line};
use crate::follow::{News, until};
use crate::output::{line, print, remark};

/// `pin diff`.
pub(crate) async fn diff(cluster: &Cluster, name: Option<&str>) -> Result<(), Failure> {
    let pin = pick(cluster, name).await?;
    let status = pin.status.clone().unwrap_or_default();
    match (&status.diff, status.behind) {
        (Some(diff), _) => print(diff),
        (None, Some(0)) => {
            remark(&format!("ManifestPin {}: nothing is to be written", pin.name_any()));
            Ok(())
        }
        (None, _) => {
            remark(&format!(
                "ManifestPin {} shows no change: it does with spec.write DryRun, once a newer image waits. See kubectl mainstay why pin/{}",
                pin.name_any(),
                pin.name_any()
            ));
            Ok(())
        }
    }
}

/// `pin sync`: the operator looks and writes now; `wait`: until it has, at the longest for so long.
pub(crate) async fn sync(cluster: &Cluster, name: Option<&str>, wait: Option<Duration>) -> Result<(), Failure> {
    let name = pick(cluster, name).await?.name_any();
    let asked = now();
    cluster.annotate::<ManifestPin>(&name, names::RECONCILE_AT, &asked).await?;
    let Some(limit) = wait else { return told::<ManifestPin>(&name, "is looked at now") };
    let mut news = News::default();
    let done = until(cluster, &name, |pin: &ManifestPin| {
        let news = pin.status.as_ref().and_then(|status| news.of(&status.conditions, "Ready"));
        let end = end(pin, &asked);
        if let Some(news) = news.filter(|_| end.is_none()) {
            remark(&news);
        }
        end
    });
    match tokio::time::timeout(limit, done).await {
        Ok(done) => line(&done?),
        Err(_) => Err(Failure::Failed(format!("ManifestPin {name} is not done within {limit:?}: kubectl mainstay why pin/{name}"))),
    }
}

/// How a ManifestPin stands after it was asked to look; `None` while that goes on or comes by itself.
fn end(pin: &ManifestPin, asked: &str) -> Option<Result<String, Failure>> {
    let status = pin.status.as_ref()?;
    let said = condition::find(&status.conditions, "Ready")?;
    let text = one_line(&format!("{}: {}", said.reason, said.message));
    if said.reason == "Suspended" {
        return Some(Err(Failure::Failed(format!("{text}: kubectl mainstay resume pin/{}", pin.name_any()))));
    }
    let seen = status.last_handled_reconcile_at.as_deref() == Some(asked) && said.observed_generation == pin.metadata.generation;
    match said.status.as_str() {
        "True" if seen => {
            let commit = status.last_commit.as_deref().map_or_else(String::new, |commit| format!(" (last commit {commit})"));
            Some(Ok(format!("{text}{commit}")))
        }
        // A run that ends with a problem does not say whether it knew of the question: what stays is told all the same.
        "False" if condition::is_true(&status.conditions, "Stalled") => Some(Err(Failure::Failed(text))),
        _ => None,
    }
}

/// `pin hold`: the image's name in `spec.hold`.
pub(crate) async fn hold(cluster: &Cluster, name: &str, image: &str) -> Result<(), Failure> {
    let (pin, image) = tokio::join!(pick(cluster, Some(name)), cluster.get::<ContainerImage>(image));
    let (pin, image) = (pin?, image?.name_any());
    if pin.spec.hold.contains(&image) {
        return told::<ManifestPin>(&pin.name_any(), &format!("holds {image} already"));
    }
    set_hold(cluster, &pin, pin.spec.hold.iter().cloned().chain([image.clone()]).collect()).await?;
    let known = pin.status.as_ref().is_some_and(|status| status.pins.iter().any(|one| one.image == image));
    if !known {
        remark(&format!("no manifest that it looks at names {image} so far: kubectl mainstay why {image}"));
    }
    told::<ManifestPin>(&pin.name_any(), &format!("holds {image} until kubectl mainstay pin resume {} {image}", pin.name_any()))
}

/// `pin resume`: of an image that is held, or of all that people's rollbacks hold.
pub(crate) async fn resume(cluster: &Cluster, name: Option<&str>, image: Option<&str>) -> Result<(), Failure> {
    let pin = pick(cluster, name).await?;
    let name = pin.name_any();
    let Some(image) = image else {
        cluster.annotate::<ManifestPin>(&name, names::RESUME_AT, &now()).await?;
        if !pin.spec.hold.is_empty() {
            remark(&format!(
                "held still, by name: {}. Resume it by name: kubectl mainstay pin resume {name} IMAGE",
                pin.spec.hold.join(", ")
            ));
        }
        return told::<ManifestPin>(&name, "follows main again where people put it back");
    };
    if !pin.spec.hold.iter().any(|held| held == image) {
        let lifted = format!("what people put back follows again, all at once, by kubectl mainstay pin resume {name}");
        return Err(Failure::Failed(format!("spec.hold of ManifestPin {name} does not name {image}; {lifted}")));
    }
    set_hold(cluster, &pin, pin.spec.hold.iter().filter(|held| *held != image).cloned().collect()).await?;
    told::<ManifestPin>(&name, &format!("follows main again with {image}"))
}

/// Writes `spec.hold` as a whole, if nobody else has changed the object since it was read.
async fn set_hold(cluster: &Cluster, pin: &ManifestPin, hold: Vec<String>) -> Result<(), Failure> {
    // Taken away where it is empty: a manifest without the field then differs in nothing.
    let hold = if hold.is_empty() { json!(null) } else { json!(hold) };
    let patch = json!({"metadata": {"resourceVersion": pin.metadata.resource_version}, "spec": {"hold": hold}});
    cluster.merge::<ManifestPin>(&pin.name_any(), &patch).await
}

/// The pin of that name, or the only one.
async fn pick(cluster: &Cluster, name: Option<&str>) -> Result<ManifestPin, Failure> {
    if let Some(name) = name {
        return cluster.get(name.strip_prefix("pin/").unwrap_or(name)).await;
    }
    let mut all = cluster.list::<ManifestPin>(false).await?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Failure::Usage(format!("namespace {} has several ManifestPins: name one", cluster.namespace))),
        (None, _) => Err(Failure::NotFound(format!("namespace {} has no ManifestPin", cluster.namespace))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn pin(hold: &str, status: (&str, &str), handled: &str) -> ManifestPin {
        let (status, reason) = status;
        let one = |type_: &str, status: &str| {
            format!(
                "{{type: {type_}, status: '{status}', reason: {reason}, message: m, observedGeneration: 3, lastTransitionTime: '2026-11-24T12:00:00Z'}}"
            )
        };
        let stalled = if status == "False" { format!(", {}", one("Stalled", "True")) } else { String::new() };
        serde_saphyr::from_str(&format!(
            "{{apiVersion: mainstay.dev/v1alpha1, kind: ManifestPin, metadata: {{name: all, namespace: n, generation: 3, resourceVersion: '7'}}, \
             spec: {{paths: [apps], hold: [{hold}]}}, status: {{conditions: [{}{stalled}], lastHandledReconcileAt: '{handled}', lastCommit: abc1234}}}}",
            one("Ready", status)
        ))
        .unwrap()
    }

    #[test]
    fn sync_ends_where_the_operator_has_looked() {
        let said = |status, handled| end(&pin("", status, handled), "now").map(|end| end.map_err(|failure| failure.to_string()));
        assert_eq!(said(("True", "UpToDate"), "now"), Some(Ok("UpToDate: m (last commit abc1234)".into())));
        assert_eq!(said(("True", "UpToDate"), "before"), None, "that is an older answer");
        assert_eq!(said(("Unknown", "NoMainImage"), "now"), None);
        assert_eq!(said(("False", "PushRejected"), "before"), Some(Err("PushRejected: m".into())));
        assert_eq!(said(("Unknown", "Suspended"), "before"), Some(Err("Suspended: m: kubectl mainstay resume pin/all".into())));
    }

    #[tokio::test]
    async fn an_image_is_held_and_let_go_by_its_name() {
        let image = json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": "ContainerImage", "metadata": {"name": "cv"}, "spec": {}});
        let mut fake = Fake::default();
        fake.object("manifestpins", "all", &pin("web", ("True", "UpToDate"), ""));
        fake.object("containerimages", "cv", &image);
        let (cluster, log) = fake.serve();
        hold(&cluster, "all", "cv").await.unwrap();
        let (path, body) = log.patches().pop().unwrap();
        assert!(path.ends_with("/manifestpins/all"), "{path}");
        assert_eq!(body, json!({"metadata": {"resourceVersion": "7"}, "spec": {"hold": ["web", "cv"]}}));
        resume(&cluster, None, Some("web")).await.unwrap();
        assert_eq!(log.patches().pop().unwrap().1["spec"], json!({"hold": null}));
        let refused = resume(&cluster, Some("pin/all"), Some("cv")).await.unwrap_err().to_string();
        assert!(refused.contains("does not name cv") && refused.contains("pin resume all"), "{refused}");
    }
}
