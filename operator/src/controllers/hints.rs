//! What the hooks of forges and registries ask for: their keys, and the looks that come of them.
//!
//! A hook is answered from memory alone: no stranger makes us ask the API server, Git or a registry for anything.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::channel::mpsc;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use mainstay_crds::{ContainerImage, Reason, SourceRepository};

use super::context::Context;
use super::problem::Problem;
use super::{access, source};
use crate::domain::hook::{Keys, KeysError, Pace};
use crate::error::Class;

/// How often keys are read again: Secrets are not watched.
const KEYS_AGAIN: Duration = Duration::from_secs(60);

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    /// The branches of a repository.
    Repository(ObjectRef<SourceRepository>),
    /// The tags of an image, named with its host.
    Image(ObjectRef<ContainerImage>, String),
}

/// Keys by repository, and how soon each thing that hooks ask for is looked at.
#[derive(Debug)]
pub struct Hints {
    repositories: Store<SourceRepository>,
    images: Store<ContainerImage>,
    keys: Mutex<HashMap<ObjectRef<SourceRepository>, Arc<Keys>>>,
    paces: Mutex<HashMap<Target, Pace>>,
    looks: Looks,
}

/// Where looks go to.
#[derive(Debug)]
struct Looks {
    repositories: mpsc::UnboundedSender<ObjectRef<SourceRepository>>,
    images: mpsc::UnboundedSender<(ObjectRef<ContainerImage>, String)>,
}

/// The looks that hooks ask for, one at a time for each thing.
#[derive(Debug)]
pub struct Asked {
    /// Repositories whose branches are to be looked at.
    pub repositories: mpsc::UnboundedReceiver<ObjectRef<SourceRepository>>,
    /// Images whose tags are to be listed, with their names.
    pub images: mpsc::UnboundedReceiver<(ObjectRef<ContainerImage>, String)>,
}

impl Hints {
    /// No keys, no hints yet.
    pub fn new(repositories: Store<SourceRepository>, images: Store<ContainerImage>) -> (Self, Asked) {
        let (tell_repositories, asked_repositories) = mpsc::unbounded();
        let (tell_images, asked_images) = mpsc::unbounded();
        let looks = Looks { repositories: tell_repositories, images: tell_images };
        let hints = Self { repositories, images, keys: Mutex::default(), paces: Mutex::default(), looks };
        (hints, Asked { repositories: asked_repositories, images: asked_images })
    }

    /// A repository that takes hooks, and its keys.
    pub fn find(&self, namespace: &str, name: &str) -> Option<(Arc<SourceRepository>, Arc<Keys>)> {
        let reference = ObjectRef::new(name).within(namespace);
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&reference).cloned()?;
        Some((self.repositories.get(&reference)?, keys))
    }

    /// Gives a repository its keys, or takes them away. Whether that changes anything.
    pub fn set_keys(&self, repository: &SourceRepository, keys: Option<Keys>) -> bool {
        let mut all = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let reference = ObjectRef::from_obj(repository);
        match keys {
            Some(keys) if all.get(&reference).is_some_and(|known| **known == keys) => false,
            Some(keys) => all.insert(reference, Arc::new(keys)).is_none(),
            None => all.remove(&reference).is_some(),
        }
    }

    /// Asks for a look at the branches of a repository. `false` where one is awaited already.
    pub fn branches(self: &Arc<Self>, repository: &SourceRepository) -> bool {
        self.ask(Target::Repository(ObjectRef::from_obj(repository)))
    }

    /// Asks for a look at those images of a repository that the registry calls by one of these names. Gives how many there are, and whether any of
    /// them was not awaited already.
    pub fn tags(self: &Arc<Self>, repository: &SourceRepository, names: &BTreeSet<String>) -> (usize, bool) {
        let (namespace, name) = (repository.namespace(), repository.name_any());
        let is_ours = |image: &ContainerImage| {
            image.namespace() == namespace && image.spec.source_ref.as_ref().is_none_or(|reference| reference.name == name)
        };
        let mut found = (0, false);
        for image in self.images.state_filter(is_ours) {
            let full = source::resolve(&image, repository).image;
            if full.split_once('/').is_some_and(|(_, path)| names.contains(path)) {
                found = (found.0 + 1, self.ask(Target::Image(ObjectRef::from_obj(image.as_ref()), full)) || found.1);
            }
        }
        found
    }

    fn ask(self: &Arc<Self>, target: Target) -> bool {
        let now = Instant::now();
        let wait = {
            let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
            // What was asked for a while ago is forgotten; what is left is what is asked for right now.
            paces.retain(|_, pace| !pace.is_over(now));
            paces.entry(target.clone()).or_default().hint(now)
        };
        let Some(wait) = wait else { return false };
        let hints = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            hints.begin(target);
        });
        true
    }

    fn begin(&self, target: Target) {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.entry(target.clone()).or_default().begin(Instant::now());
        // It fails where the program ends, and then nothing matters.
        let _ = match target {
            Target::Repository(repository) => self.looks.repositories.unbounded_send(repository).is_ok(),
            Target::Image(image, name) => self.looks.images.unbounded_send((image, name)).is_ok(),
        };
    }
}

/// Reads the keys of a repository that takes hooks.
///
/// # Errors
/// Where its Secret is absent or does not serve: then it takes none.
pub async fn learn(ctx: &Context, repository: &SourceRepository) -> Result<(), Problem> {
    let Some(settings) = &repository.spec.webhook else {
        ctx.hints.set_keys(repository, None);
        return Ok(());
    };
    let keys = read(ctx, repository, &settings.secret_ref.name).await;
    if keys.as_ref().is_err_and(is_passing) {
        // An API server that does not answer says nothing of the Secret: what was known holds.
        return keys.map(drop);
    }
    let changed = ctx.hints.set_keys(repository, keys.as_ref().ok().cloned());
    if changed {
        tracing::info!(repository = repository.name_any(), namespace = repository.namespace(), taken = keys.is_ok(), "hooks");
    }
    keys.map(drop)
}

async fn read(ctx: &Context, repository: &SourceRepository, name: &str) -> Result<Keys, Problem> {
    let field = format!("spec.webhook.secretRef of SourceRepository {}", repository.name_any());
    let data = access::named_secret(ctx, &repository.namespace().unwrap_or_default(), &field, name).await?;
    Keys::of(&data).map_err(|error: KeysError| Problem::retrying(Reason::SecretInvalid, format!("Secret {name} ({field}) {error}")))
}

fn is_passing(problem: &Problem) -> bool {
    matches!(problem.class, Class::Transient { .. }) && !matches!(problem.verdict.reason, Reason::SecretNotFound | Reason::SecretInvalid)
}

/// Keeps the keys as the Secrets have them while the program runs. A repository whose hooks begin or end to be taken is looked at: it says so.
pub async fn keep(ctx: Arc<Context>) {
    if ctx.config.webhook.is_none() {
        return std::future::pending().await;
    }
    ctx.caches_filled().await;
    loop {
        let all = ctx.repositories.state();
        let there: BTreeSet<String> = all.iter().map(|one| ObjectRef::from_obj(one.as_ref()).to_string()).collect();
        ctx.hints.keys.lock().unwrap_or_else(PoisonError::into_inner).retain(|known, _| there.contains(&known.to_string()));
        let taking = all.iter().filter(|repository| repository.spec.webhook.is_some());
        futures::stream::iter(taking)
            .for_each_concurrent(8, async |repository| {
                let taken = || ctx.hints.find(&repository.namespace().unwrap_or_default(), &repository.name_any()).is_some();
                let before = taken();
                // What is wrong stands in the condition.
                let _ = learn(&ctx, repository).await;
                if before != taken() {
                    ctx.hints.branches(repository);
                }
            })
            .await;
        tokio::time::sleep(KEYS_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector, watcher};

    use super::*;

    fn repository(name: &str) -> SourceRepository {
        serde_saphyr::from_str(&format!(
            "{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: ops}}, spec: {{url: 'https://g/x', registry: {{prefix: 'r:5000/t'}}}}}}"
        ))
        .unwrap()
    }

    fn image(name: &str, namespace: &str, spec: &str) -> ContainerImage {
        serde_saphyr::from_str(&format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}"))
            .unwrap()
    }

    fn hints() -> (Arc<Hints>, Asked) {
        let (repositories, mut fill_repositories) = reflector::store::<SourceRepository>();
        let (images, mut fill_images) = reflector::store::<ContainerImage>();
        fill_repositories.apply_watcher_event(&watcher::Event::Apply(repository("one")));
        for image in [
            image("cv", "ops", "{}"),
            image("web", "ops", "{sourceRef: {name: one}, image: 'r:5000/other/web'}"),
            image("theirs", "ops", "{sourceRef: {name: two}}"),
            image("cv", "elsewhere", "{}"),
        ] {
            fill_images.apply_watcher_event(&watcher::Event::Apply(image));
        }
        let (hints, asked) = Hints::new(repositories, images);
        (Arc::new(hints), asked)
    }

    fn drain<T>(all: &mut mpsc::UnboundedReceiver<T>) -> usize {
        std::iter::from_fn(|| all.try_recv().ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_hints_are_two_looks() {
        let (hints, mut asked) = hints();
        let repository = repository("one");
        assert!(hints.branches(&repository));
        assert!((0..500).all(|_| !hints.branches(&repository)));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(drain(&mut asked.repositories), 1);
        assert!(hints.branches(&repository), "what came after the look began wants another");
        assert!((0..500).all(|_| !hints.branches(&repository)));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(drain(&mut asked.repositories), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_wakes_the_images_that_it_names_and_no_others() {
        let (hints, mut asked) = hints();
        let names: BTreeSet<String> = ["t/cv", "other/web", "t/theirs", "cv", "t/unknown"].map(str::to_owned).into();
        assert_eq!(hints.tags(&repository("one"), &names), (2, true));
        assert_eq!(hints.tags(&repository("one"), &names), (2, false));
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut woken: Vec<(String, String)> =
            std::iter::from_fn(|| asked.images.try_recv().ok()).map(|(image, name)| (image.namespace.unwrap(), name)).collect();
        woken.sort();
        assert_eq!(woken, [("ops".to_owned(), "r:5000/other/web".to_owned()), ("ops".to_owned(), "r:5000/t/cv".to_owned())]);
        assert_eq!(hints.tags(&repository("one"), &["x".to_owned()].into()), (0, false));
    }

    #[tokio::test]
    async fn keys_come_change_and_go() {
        let (hints, _asked) = hints();
        let keys = |text: &str| Keys::of(&[("token".to_owned(), text.repeat(16).into_bytes())].into()).ok();
        assert!(hints.find("ops", "one").is_none());
        assert!(hints.set_keys(&repository("one"), keys("a")));
        assert!(!hints.set_keys(&repository("one"), keys("a")));
        assert!(!hints.set_keys(&repository("one"), keys("b")), "another key is no other stand");
        assert_eq!(hints.find("ops", "one").unwrap().1.as_ref(), &keys("b").unwrap());
        assert!(hints.find("elsewhere", "one").is_none());
        hints.set_keys(&repository("gone"), keys("a"));
        assert!(hints.find("ops", "gone").is_none(), "keys without an object open nothing");
        assert!(hints.set_keys(&repository("one"), None));
        assert!(hints.find("ops", "one").is_none());
    }
}
