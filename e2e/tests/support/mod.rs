//! What every story begins with.
#![allow(unreachable_pub, reason = "a module of a test")]
#![allow(dead_code, reason = "each test file uses its part")]

pub mod release;

use std::time::{Duration, Instant};

use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin};
use mainstay_e2e::lab::{Lab, Result};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, forget_all};
use tokio::sync::OnceCell;

static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// The lab with the operator of this checkout in it.
pub async fn lab() -> Result<Lab> {
    lab_with(&[]).await
}

/// The same with values of the chart set besides those of the lab, for all stories of the file.
pub async fn lab_with(settings: &'static [(&'static str, &'static str)]) -> Result<Lab> {
    let lab = Lab::connect()?;
    let for_install = lab.clone();
    let begin = async move || {
        forget_all(&for_install).await?;
        operator::install(&for_install, settings).await
    };
    INSTALLED.get_or_try_init(begin).await?;
    Ok(lab)
}

/// A fresh namespace and repository for one story.
pub async fn world(story: &str) -> Result<World> {
    World::new(lab().await?, story).await
}

/// The same where the chart has other values.
pub async fn world_with(story: &str, settings: &'static [(&'static str, &'static str)]) -> Result<World> {
    World::new(lab_with(settings).await?, story).await
}

/// Waits until something is so, at most this long.
pub async fn within(limit: Duration, what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Status, reason and message of `Ready`.
pub fn ready(image: &ContainerImage) -> (String, String, String) {
    let conditions = image.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    let found = conditions.into_iter().find(|c| c.type_ == "Ready");
    found.map(|c| (c.status, c.reason, c.message)).unwrap_or_default()
}

/// Status, reason and message of `Ready` of a ManifestPin.
pub fn pinned(pin: &ManifestPin) -> (String, String, String) {
    let conditions = pin.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    let found = conditions.into_iter().find(|c| c.type_ == "Ready");
    found.map(|c| (c.status, c.reason, c.message)).unwrap_or_default()
}

/// Status, reason and message of `Succeeded`.
pub fn succeeded(build: &ImageBuild) -> (String, String, String) {
    let conditions = build.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    let found = conditions.into_iter().find(|c| c.type_ == "Succeeded");
    found.map(|c| (c.status, c.reason, c.message)).unwrap_or_default()
}

/// Whether `Ready` is True.
pub fn is_ready(image: &ContainerImage) -> bool {
    ready(image).0 == "True"
}

/// Whether a build has ended.
pub fn ended(build: &ImageBuild) -> bool {
    build.status.as_ref().is_some_and(|s| s.completed_at.is_some())
}

/// `Ready` is False or Unknown with this reason.
pub fn because(reason: &str) -> impl Fn(&ContainerImage) -> bool + '_ {
    move |image| ready(image).1 == reason
}

/// First seven digits.
pub fn short(commit: &str) -> &str {
    &commit[..7]
}
