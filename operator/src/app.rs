//! Wires the operator together: caches, controllers, ports.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PartialObjectMeta;
use kube::runtime::controller::{Action, Config as ControllerConfig, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use mainstay_crds::{Class, ContainerImage, ImageBuild, ManifestPin, SourceRepository, names};
use tokio::sync::{Notify, watch};

use crate::admin::Admin;
use crate::clients::authorities;
use crate::clients::call::Calls;
use crate::clients::cluster::{Cluster, Namespaced};
use crate::clients::git;
use crate::config::{Config, ConfigError};
use crate::controllers::batch::Batch;
use crate::controllers::commit_statuses::CommitStatuses;
use crate::controllers::context::{Context, Failures, Lags};
use crate::controllers::hints::{self, Hints};
use crate::controllers::lag::Lag;
use crate::controllers::looks::Looks;
use crate::controllers::secrets::Secrets;
use crate::controllers::tags::Tags;
use crate::controllers::turns::Turns;
use crate::controllers::{allowed_images, container_image, image_build, manifest_pin, pods, source_repository};
use crate::metrics::Metrics;
use crate::webhook::Webhook;

/// How many objects of a kind are reconciled at once.
const CONCURRENCY: u16 = 16;

/// How often caches that are being filled are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long pods that come and go are waited for before those who look at them are told.
const PODS_SETTLE: Duration = Duration::from_millis(500);

/// Settings that are not in the configuration file.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, env = "MAINSTAY_CONFIG", default_value = "/etc/mainstay/config.yaml")]
    pub config: PathBuf,
    /// Directory for the clones. It may be empty at any start.
    #[arg(long, env = "MAINSTAY_DATA", default_value = "/var/lib/mainstay")]
    pub data: PathBuf,
    /// Address of the admin port.
    #[arg(long, env = "MAINSTAY_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,
    /// Address of the webhook port, where the configuration has it open.
    #[arg(long, env = "MAINSTAY_WEBHOOK_ADDRESS", default_value = "0.0.0.0:8081")]
    pub webhook_address: SocketAddr,
}

/// Why the operator could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The API server.
    #[error("cannot use the API server")]
    Cluster(#[from] kube::Error),
    /// The admin port.
    #[error("cannot serve the admin port")]
    Admin(#[source] std::io::Error),
    /// The webhook port.
    #[error("cannot serve the webhook port")]
    Webhook(#[source] std::io::Error),
}

/// Runs until SIGTERM. Builds go on without us.
///
/// # Errors
/// Where it cannot start.
pub async fn run(args: Args) -> Result<(), AppError> {
    let config = Config::load(&args.config)?;
    if let Some(Err(message)) = config.ca_bundle.as_deref().map(authorities::trust) {
        return Err(ConfigError::Parse { path: args.config.display().to_string(), message }.into());
    }
    let client = Client::try_default().await?;
    let metrics = Arc::new(Metrics::default());
    let admin = Admin::new(metrics.clone());
    let calls = Calls::new(config.call_deadline, metrics.clone());
    let cluster = Cluster::new(client, calls.clone(), &config.watch_namespaces);

    let repositories = controller::<SourceRepository>(&cluster, &metrics);
    let images = controller::<ContainerImage>(&cluster, &metrics);
    let builds = controller::<ImageBuild>(&cluster, &metrics);
    let pins = controller::<ManifestPin>(&cluster, &metrics);
    let (pods_store, pods_writer) = reflector::store::<Pod>();
    let (tell_builds, builds_told) = mpsc::channel(1);
    let (tell_statuses, statuses_told) = mpsc::unbounded();
    let (hints, asked) = Hints::new(repositories.store(), images.store());
    let (set_filled, caches) = watch::channel(false);
    let ctx = Arc::new(Context {
        git: git::Store::new(args.data.join("git"), config.call_deadline),
        config,
        cluster: cluster.clone(),
        calls,
        metrics,
        repositories: repositories.store(),
        images: images.store(),
        builds: builds.store(),
        pins: pins.store(),
        pods: pods_store,
        filled: caches.clone(),
        lags: Lags {
            repositories: Lag::of(repositories.store()),
            images: Lag::of(images.store()),
            builds: Lag::of(builds.store()),
            pins: Lag::of(pins.store()),
        },
        secrets: Secrets::default(),
        registries: Mutex::new(HashMap::new()),
        tags: Tags::default(),
        batch: Batch::default(),
        looks: Looks::default(),
        turns: Turns::new(tell_builds),
        hints: Arc::new(hints),
        commit_statuses: CommitStatuses::new(tell_statuses),
        failures: Failures::default(),
    });

    let ours = watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGER));
    let (tell_images, images_told) = mpsc::channel(1);
    let (tell_pins, pins_told) = mpsc::channel(1);
    let image_changed = Arc::new(Notify::new());
    let repositories = repositories.reconcile_on(asked.repositories).reconcile_all_on(once_filled(&caches));
    let repositories = run_controller(repositories, source_repository::reconcile, ctx.clone());
    let (of_build, of_repository, of_pin, of_hint) = (ctx.clone(), ctx.clone(), ctx.clone(), ctx.clone());
    let images = images
        .watches_stream(touched::<ImageBuild>(&cluster), move |build| {
            of_build.lags.builds.saw(&build);
            Some(ObjectRef::new(&build.spec.image).within(&build.namespace()?))
        })
        // A new head of main concerns every image of its namespace.
        .watches_stream(touched::<SourceRepository>(&cluster), move |repository| {
            of_repository.lags.repositories.saw(&repository);
            all_in(&of_repository.images, repository.namespace())
        })
        .watches_stream(touched::<ManifestPin>(&cluster), move |pin| {
            of_pin.lags.pins.saw(&pin);
            violating(&of_pin.images, &pin)
        })
        .reconcile_on(asked.images.map(move |(image, name)| {
            of_hint.tags.forget(&name);
            image
        }))
        .reconcile_all_on(settled(images_told))
        .reconcile_all_on(once_filled(&caches));
    let images = run_controller(images, container_image::reconcile, ctx.clone());
    let builds = builds
        .owns_stream(cluster.watch::<PartialObjectMeta<Job>>(&ours, None).touched_objects())
        .watches_stream(cluster.watch::<Pod>(&ours, None).touched_objects(), |pod| build_of(&pod));
    let builds = builds.reconcile_on(statuses_told).reconcile_all_on(builds_told).reconcile_all_on(once_filled(&caches));
    let builds = run_controller(builds, image_build::reconcile, ctx.clone());
    let (of_image, of_repository, changed) = (ctx.clone(), ctx.clone(), image_changed.clone());
    let pins = pins
        .watches_stream(touched::<ContainerImage>(&cluster), move |image| {
            of_image.lags.images.saw(&image);
            of_image.batch.saw(&image);
            changed.notify_one();
            all_in(&of_image.pins, image.namespace())
        })
        .watches_stream(touched::<SourceRepository>(&cluster), move |repository| {
            of_repository.lags.repositories.saw(&repository);
            all_in(&of_repository.pins, repository.namespace())
        })
        .reconcile_all_on(settled(pins_told))
        .reconcile_all_on(once_filled(&caches));
    let pins = run_controller(pins, manifest_pin::reconcile, ctx.clone());
    let pods = watch_pods(&cluster, pods_writer, ctx.clone(), tell_images, tell_pins);

    let allowed = allowed_images::keep(ctx.clone(), image_changed);

    let serve = admin.clone().serve(args.admin_address);
    let hooks = async {
        if ctx.config.webhook.is_none() {
            return std::future::pending().await;
        }
        Webhook::new(ctx.hints.clone(), ctx.metrics.clone())?.apart(args.webhook_address).await
    };
    let filled = async {
        fill(&ctx).await;
        let _ = set_filled.send(true);
        admin.set_ready();
        tracing::info!("ready");
    };
    tokio::select! {
        served = serve => served.map_err(AppError::Admin)?,
        served = hooks => served.map_err(AppError::Webhook)?,
        () = hints::keep(ctx.clone()) => {}
        () = pods => {}
        () = allowed => {}
        ((), (), (), (), ()) = async { futures::join!(repositories, images, builds, pins, filled) } => {}
    }
    Ok(())
}

/// There is no finalizer: that an object is gone is seen here alone.
fn controller<K: Namespaced + Send + Sync + 'static>(cluster: &Cluster, metrics: &Arc<Metrics>) -> Controller<K>
where
    K::DynamicType: Default,
{
    let (store, writer) = reflector::store();
    let metrics = metrics.clone();
    let gone = move |event: &watcher::Result<watcher::Event<K>>| {
        if let Ok(watcher::Event::Delete(object)) = event {
            metrics.forget(&K::kind(&K::DynamicType::default()), &object.namespace().unwrap_or_default(), &object.name_any());
        }
    };
    let stream = cluster.watch(&watcher::Config::default(), Some(&store)).inspect(gone).reflect(writer).applied_objects();
    Controller::for_stream(stream, store).with_config(ControllerConfig::default().concurrency(CONCURRENCY)).shutdown_on_signal()
}

/// All objects of a kind that something happens to.
fn touched<K: Namespaced + Send + Sync + 'static>(cluster: &Cluster) -> impl Stream<Item = watcher::Result<K>> + Send + 'static {
    cluster.watch(&watcher::Config::default(), None).touched_objects()
}

async fn run_controller<K, F, R>(controller: Controller<K>, reconcile: F, ctx: Arc<Context>)
where
    K: Namespaced + Send + Sync + 'static,
    F: FnMut(Arc<K>, Arc<Context>) -> R,
    R: Future<Output = Result<Action, std::convert::Infallible>> + Send + 'static,
{
    controller
        .run(reconcile, |_, error, _| match *error {}, ctx)
        .for_each(async |result| {
            // Reconciles do not fail; what is left are watches that broke, and kube starts them again.
            if let Err(error) = result {
                tracing::debug!(%error, "controller");
            }
        })
        .await;
}

/// All objects of a kind in a namespace.
fn all_in<K: Namespaced>(store: &Store<K>, namespace: Option<String>) -> Vec<ObjectRef<K>> {
    store.state_filter(|object| object.namespace() == namespace).iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect()
}

/// The images of which a ManifestPin says, or said, that a pin of theirs is not from main.
fn violating(images: &Store<ContainerImage>, pin: &ManifestPin) -> Vec<ObjectRef<ContainerImage>> {
    let namespace = pin.namespace();
    let pins = pin.status.as_ref().map(|status| status.pins.as_slice()).unwrap_or_default();
    let concerned = |image: &ContainerImage| {
        let named = || pins.iter().any(|pin| pin.class != Class::Main && pin.image == image.name_any());
        let known = || image.status.as_ref().is_some_and(|status| !status.violations.is_empty());
        image.namespace() == namespace && (known() || named())
    };
    images.state_filter(concerned).iter().map(|image| ObjectRef::from_obj(image.as_ref())).collect()
}

/// Waits until every cache has its first content.
///
/// A store wakes only the last of those who wait for it (kube-runtime 5.0, `DelayedInit`), and its controller waits for it too. So nobody else
/// waits for a store; this looks again every moment, whoever was woken; and [`once_filled`] wakes the controllers, which may have been passed over.
async fn fill(ctx: &Context) {
    async fn one<K: Namespaced>(store: &Store<K>) {
        while tokio::time::timeout(LOOK_AGAIN, store.wait_until_ready()).await.is_err() {}
    }
    futures::join!(one(&ctx.repositories), one(&ctx.images), one(&ctx.builds), one(&ctx.pins), one(&ctx.pods));
}

/// One signal, when every cache has its first content.
fn once_filled(filled: &watch::Receiver<bool>) -> impl Stream<Item = ()> + Send + 'static {
    let mut filled = filled.clone();
    futures::stream::once(async move {
        // It fails where the program ends, and then nothing matters.
        let _ = filled.wait_for(|filled| *filled).await;
    })
}

/// Many signals at once are one, a moment later.
fn settled(signals: mpsc::Receiver<()>) -> impl Stream<Item = ()> + Send + 'static {
    signals.then(|()| tokio::time::sleep(PODS_SETTLE))
}

/// Keeps the store of pods, and tells those whom a pod concerns.
async fn watch_pods(
    cluster: &Cluster,
    writer: reflector::store::Writer<Pod>,
    ctx: Arc<Context>,
    mut images: mpsc::Sender<()>,
    mut pins: mpsc::Sender<()>,
) {
    let stream = cluster.watch(&watcher::Config::default(), Some(&ctx.pods)).modify(pods::strip).reflect(writer);
    let mut touched = std::pin::pin!(stream.touched_objects());
    while let Some(pod) = touched.next().await {
        let Ok(pod) = pod else { continue };
        // A full channel means that a signal is on its way already.
        if pods::concerns(&ctx, &pod) {
            let _ = pins.try_send(());
        }
        if pods::is_suspicious(&ctx, &pod) {
            let _ = images.try_send(());
        }
    }
}

fn build_of(pod: &Pod) -> Option<ObjectRef<ImageBuild>> {
    let name = pod.labels().get(names::BUILD_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}
