//! The layers on their way to the registry: a few at once, each prepared, sent and forgotten.

use std::path::Path;

use futures::StreamExt;
use oci_client::manifest::OciDescriptor;

use super::PushError;
use super::archive::Layer;
use super::image;
use super::patience::Patience;
use crate::clients::registry::{Registry, Sent};
use crate::step;

/// Layers that are prepared or sent at once. It bounds the memory, and what is spooled; the pod's runtime has as many threads for what blocks.
const AT_ONCE: usize = 4;

/// Where layers go.
pub(super) struct Way<'a> {
    pub(super) registry: &'a Registry,
    pub(super) repository: &'a str,
    /// Repositories of the registry that may have them already.
    pub(super) neighbours: &'a [String],
    pub(super) patience: &'a Patience,
    /// Directory for layers that have to be compressed.
    pub(super) spool: &'a Path,
}

/// Sends the layers; gives what the manifest says of them, in order.
pub(super) async fn send(way: &Way<'_>, layers: &[Layer]) -> Result<Vec<OciDescriptor>, PushError> {
    let count = layers.len();
    let first = |number: usize, layer: &Layer| layers.iter().position(|other| other.place() == layer.place()).unwrap_or(number);
    let firsts: Vec<usize> = layers.iter().enumerate().map(|(number, layer)| first(number, layer)).collect();
    let once = layers.iter().enumerate().filter(|(number, _)| firsts.get(*number) == Some(number));
    let sending = futures::stream::iter(once).map(|(number, layer)| async move {
        let name = format!("layer {}/{count}", number + 1);
        one(way, layer, &name, number).await.map(|sent| (number, sent))
    });
    let mut sending = sending.buffer_unordered(AT_ONCE);
    let mut sent = vec![None; count];
    while let Some(result) = sending.next().await {
        let (number, descriptor) = result?;
        if let Some(place) = sent.get_mut(number) {
            *place = Some(descriptor);
        }
    }
    Ok(firsts.iter().filter_map(|first| sent.get(*first).cloned().flatten()).collect())
}

async fn one(way: &Way<'_>, layer: &Layer, name: &str, number: usize) -> Result<OciDescriptor, PushError> {
    let spooled = way.spool.join(format!("layer-{number}.tar.gz"));
    let (from, to) = (layer.clone(), spooled.clone());
    let blob =
        tokio::task::spawn_blocking(move || from.blob(to)).await.map_err(std::io::Error::other).map_err(super::ArchiveError::from)??;
    let mut upload = way.registry.upload(way.repository, way.neighbours, &blob)?;
    let mut confirmed = 0;
    let sent = way
        .patience
        .retry(async || {
            let result = upload.proceed().await;
            if upload.confirmed() > confirmed {
                confirmed = upload.confirmed();
                way.patience.progress();
            }
            result
        })
        .await?;
    // Absent where the layer needed no compression.
    let _ = std::fs::remove_file(&spooled);
    let what = format!("{name} {} ({})", blob.digest, step::size(blob.size));
    step::say(&match sent {
        Sent::Pushed => format!("pushed {what}"),
        Sent::Present => format!("already there: {what}"),
        Sent::Mounted(from) => format!("taken over from {from}: {what}"),
    });
    Ok(image::layer(&blob, &layer.media_type))
}
