//! One object, watched until something is known about it: how a build ended, whether a pin was written.

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use mainstay::domain::condition;

use crate::cluster::{Cluster, Kind};
use crate::failure::{Failure, one_line};
use crate::output::remark;

/// What was said last, so that each reason and message is told once.
#[derive(Debug, Default)]
pub(crate) struct News {
    said: String,
}

impl News {
    /// A line for the person, where the condition says something new.
    pub(crate) fn of(&mut self, conditions: &[Condition], type_: &str) -> Option<String> {
        let said = condition::find(conditions, type_)?;
        let text = one_line(&format!("{}: {}", said.reason, said.message));
        (text != self.said).then(|| {
            self.said.clone_from(&text);
            text
        })
    }
}

/// Shows every state of an object to `judge` until that gives an answer. What breaks off is tried again.
pub(crate) async fn until<K: Kind, T>(
    cluster: &Cluster,
    name: &str,
    mut judge: impl FnMut(&K) -> Option<Result<T, Failure>>,
) -> Result<T, Failure> {
    let kind = K::kind(&());
    let mut changes = watch_object(cluster.api::<K>(), name).default_backoff().boxed();
    while let Some(change) = changes.next().await {
        match change {
            Ok(Some(object)) => {
                if let Some(answer) = judge(&object) {
                    return answer;
                }
            }
            Ok(None) => return Err(Failure::Failed(format!("{kind} {name} was deleted"))),
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) => {
                let failure = Failure::of(error, &cluster.url);
                if failure.is_forbidden() {
                    return Err(failure);
                }
                remark(&format!("{failure}; trying again"));
            }
            Err(error) => remark(&format!("{}; trying again", one_line(&error.to_string()))),
        }
    }
    Err(Failure::Cluster(format!("the watch of {kind} {name} has ended: kubectl get {} {name}", kind.to_lowercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let said = |reason: &str| -> Vec<Condition> {
            serde_saphyr::from_str(&format!(
                "[{{type: Succeeded, status: Unknown, reason: {reason}, message: m, lastTransitionTime: '2026-11-24T12:00:00Z'}}]"
            ))
            .unwrap()
        };
        let mut news = News::default();
        assert_eq!(news.of(&said("Building"), "Succeeded").as_deref(), Some("Building: m"));
        assert_eq!(news.of(&said("Building"), "Succeeded"), None);
        assert_eq!(news.of(&said("Pushing"), "Succeeded").as_deref(), Some("Pushing: m"));
        assert_eq!(news.of(&said("Pushing"), "Ready"), None);
    }
}
