//! Keeps the list that the chart's admission policy reads: one object for the cluster, made from what the ContainerImages say.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use mainstay_crds::{AllowedImages, AllowedImagesSpec};
use tokio::sync::Notify;

use super::context::Context;
use crate::clients::call::CallError;
use crate::config::AllowedImagesConfig;
use crate::domain::allowed::{Allowed, allowed};

/// How long changes are gathered: the API server reads the whole list anew after each.
const GATHER: Duration = Duration::from_secs(1);

/// How soon to try again where the list could not be written.
const AGAIN: Duration = Duration::from_secs(10);

/// Keeps the list while the program runs; `changed` says that a ContainerImage has. Does nothing where the configuration names no list.
pub async fn keep(ctx: Arc<Context>, changed: Arc<Notify>) {
    let Some(config) = ctx.config.allowed_images.clone() else { return std::future::pending().await };
    // A list from a cache that is being filled would shut out what runs.
    ctx.caches_filled().await;
    loop {
        match write(&ctx, &config).await {
            Ok(()) => {
                changed.notified().await;
                tokio::time::sleep(GATHER).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the list of allowed images is not written: it is tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Writes the list where it is another than the one that is there.
async fn write(ctx: &Context, config: &AllowedImagesConfig) -> Result<(), CallError> {
    let counts = |namespace: Option<String>| namespace.is_some_and(|namespace| config.from.contains(&namespace));
    let images = ctx.images.state_filter(|image| counts(image.namespace()));
    let Allowed { images, left_out } = allowed(images.iter().map(AsRef::as_ref));
    if left_out > 0 {
        tracing::warn!(left_out, "older images from main do not fit into the list of allowed images");
    }
    let there: Option<AllowedImages> = ctx.cluster.get(&config.namespace, &config.name).await?;
    if there.is_some_and(|there| there.spec.images == images) {
        return Ok(());
    }
    let mut list = AllowedImages::new(&config.name, AllowedImagesSpec { images });
    list.metadata.namespace = Some(config.namespace.clone());
    ctx.cluster.apply(&list).await
}
