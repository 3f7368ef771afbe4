//! Waiting a moment for further changes, so that many images become one commit (issue: one commit for all pins of a run).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use mainstay_crds::ContainerImage;

/// How many windows a change waits at most, and how long at least where windows are short: under a steady stream of changes there is still a
/// commit now and then.
const WINDOWS: u32 = 30;
const PATIENCE: Duration = Duration::from_secs(5);

/// Windows without a change that end the wait for more where several images have changed: they come in a stream, with gaps.
const QUIET: u32 = 5;

/// Changes of what is wanted, by namespace. Lost in a crash: then nothing is waited for.
#[derive(Debug, Default)]
pub struct Batch {
    /// What has not been acted on.
    open: Mutex<HashMap<String, Changes>>,
    /// What each image wanted when it was last seen.
    wanted: Mutex<HashMap<String, u64>>,
    /// How many images are being looked at: one of them may want another tag in a moment.
    looks: Mutex<HashMap<String, usize>>,
}

/// An image is being looked at, until this is dropped.
#[derive(Debug)]
pub struct Look<'a> {
    batch: &'a Batch,
    namespace: String,
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        let mut looks = self.batch.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = looks.get_mut(&self.namespace) {
            *count -= 1;
            if *count == 0 {
                looks.remove(&self.namespace);
            }
        }
    }
}

/// The changes of a namespace that wait.
#[derive(Debug)]
struct Changes {
    first: Instant,
    last: Instant,
    count: u32,
}

impl Batch {
    /// Looks at an image that has changed: a wait begins, or is drawn out, where it wants another tag than before.
    pub fn saw(&self, image: &ContainerImage) {
        let mut hasher = DefaultHasher::new();
        for variant in image.status.iter().flat_map(|status| &status.variants) {
            variant.wanted.as_ref().map(|wanted| (&wanted.tag, &wanted.digest)).hash(&mut hasher);
        }
        let hash = hasher.finish();
        let namespace = image.namespace().unwrap_or_default();
        let name = format!("{namespace}/{}", image.name_any());
        let before = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(name, hash);
        if before != Some(hash) {
            let now = Instant::now();
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = open.entry(namespace).or_insert(Changes { first: now, last: now, count: 0 });
            (changes.last, changes.count) = (now, changes.count.saturating_add(1));
        }
    }

    /// An image of a namespace is going to be looked at.
    pub fn look(&self, namespace: &str) -> Look<'_> {
        *self.looks.lock().unwrap_or_else(PoisonError::into_inner).entry(namespace.to_owned()).or_default() += 1;
        Look { batch: self, namespace: namespace.to_owned() }
    }

    /// How long to wait still; `None` where it is time to act, and then the wait is over.
    pub fn wait(&self, namespace: &str, window: Duration) -> Option<Duration> {
        let busy = self.looks.lock().unwrap_or_else(PoisonError::into_inner).contains_key(namespace);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = open.get(namespace)?;
        let quiet = window.saturating_mul(if changes.count > 1 { QUIET } else { 1 }).saturating_sub(changes.last.elapsed());
        let quiet = if busy { quiet.max(window) } else { quiet };
        let patience = window.saturating_mul(WINDOWS).max(PATIENCE).saturating_sub(changes.first.elapsed());
        let pause = quiet.min(patience);
        if pause.is_zero() {
            open.remove(namespace);
            return None;
        }
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, tag: &str) -> ContainerImage {
        serde_saphyr::from_str(&format!(
            "{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: ops}}, spec: {{}}, status: {{variants: [{{variant: nix, reason: x, wanted: {{tag: {tag}, digest: d, commit: c}}}}]}}}}"
        ))
        .unwrap()
    }

    #[test]
    fn while_an_image_is_looked_at_more_may_come() {
        let batch = Batch::default();
        let window = Duration::from_millis(1);
        batch.saw(&image("cv", "a"));
        let looks = (batch.look("ops"), batch.look("ops"), batch.look("other"));
        std::thread::sleep(window * 2);
        assert_eq!(batch.wait("ops", window), Some(window));
        drop(looks.0);
        assert_eq!(batch.wait("ops", window), Some(window), "there is another one");
        drop(looks.1);
        assert_eq!(batch.wait("ops", window), None);
    }

    #[test]
    fn a_change_is_waited_for_and_the_same_state_is_not() {
        let batch = Batch::default();
        let window = Duration::from_secs(60);
        assert_eq!(batch.wait("ops", window), None);
        batch.saw(&image("cv", "a"));
        assert!(batch.wait("ops", window).is_some());
        assert_eq!(batch.wait("ops", Duration::ZERO), None, "a window of nothing waits for nothing");
        batch.saw(&image("cv", "a"));
        assert_eq!(batch.wait("ops", window), None, "nothing has changed");
        batch.saw(&image("cv", "b"));
        assert!(batch.wait("ops", window).is_some());
        assert_eq!(batch.wait("other", window), None);
    }
}
