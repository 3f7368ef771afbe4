//! Wires the operator together: caches, controllers, admin port.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::{Action, Config as ControllerConfig, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use mainstay_crds::{ContainerImage, ImageBuild, SourceRepository, names};

use crate::admin::Admin;
use crate::clients::call::Calls;
use crate::clients::cluster::{Cluster, Namespaced};
use crate::clients::git;
use crate::config::{Config, ConfigError};
use crate::controllers::context::{Context, Failures};
use crate::controllers::{container_image, image_build, source_repository};
use crate::metrics::Metrics;

/// How many objects of a kind are reconciled at once.
const CONCURRENCY: u16 = 8;

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
    Admin(#[from] std::io::Error),
}

/// Runs until SIGTERM. Builds go on without us.
///
/// # Errors
/// Where it cannot start.
pub async fn run(args: Args) -> Result<(), AppError> {
    let config = Config::load(&args.config)?;
    let client = Client::try_default().await?;
    let metrics = Arc::new(Metrics::default());
    let admin = Admin::new(metrics.clone());
    let calls = Calls::new(config.call_deadline, metrics.clone());
    let cluster = Cluster::new(client, calls.clone());

    let repositories = controller::<SourceRepository>(&cluster);
    let images = controller::<ContainerImage>(&cluster);
    let builds = controller::<ImageBuild>(&cluster);
    let ctx = Arc::new(Context {
        git: git::Store::new(args.data.join("git"), config.call_deadline),
        config,
        cluster: cluster.clone(),
        calls,
        metrics,
        repositories: repositories.store(),
        images: images.store(),
        builds: builds.store(),
        registries: Mutex::new(HashMap::new()),
        failures: Failures::default(),
    });

    let ours = watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGER));
    let image_store = ctx.images.clone();
    let repositories = run_controller(repositories, source_repository::reconcile, ctx.clone());
    let images = images
        .owns(cluster.everywhere::<ImageBuild>(), watcher::Config::default())
        // A new head of main concerns every image of its namespace.
        .watches(cluster.everywhere::<SourceRepository>(), watcher::Config::default(), move |repository| {
            images_of(&image_store, &repository)
        });
    let images = run_controller(images, container_image::reconcile, ctx.clone());
    let builds = builds.owns(cluster.everywhere::<Job>(), ours.clone()).watches(cluster.everywhere::<Pod>(), ours, |pod| build_of(&pod));
    let builds = run_controller(builds, image_build::reconcile, ctx.clone());

    let serve = admin.clone().serve(args.admin_address);
    let filled = async {
        let stores = (ctx.repositories.wait_until_ready(), ctx.images.wait_until_ready(), ctx.builds.wait_until_ready());
        if let (Ok(()), Ok(()), Ok(())) = futures::join!(stores.0, stores.1, stores.2) {
            admin.set_ready();
            tracing::info!("ready");
        }
    };
    tokio::select! {
        served = serve => served?,
        ((), (), (), ()) = async { futures::join!(repositories, images, builds, filled) } => {}
    }
    Ok(())
}

fn controller<K: Namespaced + Send + Sync + 'static>(cluster: &Cluster) -> Controller<K>
where
    K::DynamicType: Default,
{
    Controller::new(cluster.everywhere::<K>(), watcher::Config::default())
        .with_config(ControllerConfig::default().concurrency(CONCURRENCY))
        .shutdown_on_signal()
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

fn images_of(images: &Store<ContainerImage>, repository: &SourceRepository) -> Vec<ObjectRef<ContainerImage>> {
    let namespace = repository.namespace();
    images.state_filter(|image| image.namespace() == namespace).iter().map(|image| ObjectRef::from_obj(image.as_ref())).collect()
}

fn build_of(pod: &Pod) -> Option<ObjectRef<ImageBuild>> {
    let name = pod.labels().get(names::BUILD_LABEL)?;
    Some(ObjectRef::new(name).within(&pod.namespace()?))
}
