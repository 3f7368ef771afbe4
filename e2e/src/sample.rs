//! The sample repository, `e2e/ops-repo`: pushed to the forge, and watched as its containers are built.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::ListParams;
use mainstay_crds::ContainerImage;

use crate::lab::machine::{self, report::say};
use crate::lab::{Context, Error, Result};
use crate::world::World;

/// Longest time for all builds.
const PATIENCE: Duration = Duration::from_secs(900);

/// Commits every file of it to main. Gives the commit.
///
/// # Errors
/// Where a file cannot be read, or the forge refuses.
pub async fn push(world: &World) -> Result<String> {
    let files = files(&machine::checkout()?.join("e2e/ops-repo"))?;
    let borrowed: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &borrowed).await
}

fn files(root: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).context(format!("read {}", folder.display()))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).map(|name| name.display().to_string()).unwrap_or_default();
                files.push((name, std::fs::read_to_string(&path).context(format!("read {}", path.display()))?));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Says one line for each change of a ContainerImage, until all of these are built.
///
/// # Errors
/// Where they are not within fifteen minutes, or the cluster does not answer.
pub async fn watch(world: &World, built: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let mut shown = BTreeMap::new();
    loop {
        let images = world.api::<ContainerImage>().list(&ListParams::default()).await.context("list the images")?;
        let mut done = 0;
        for image in &images {
            let status = image.status.clone().unwrap_or_default();
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            let line = ready.map_or_else(String::new, |ready| format!("{:<12} {:<16} {}", image.name_any(), ready.reason, ready.message));
            if ready.is_some_and(|ready| ready.status == "True") && built.contains(&image.name_any().as_str()) {
                done += 1;
            }
            if !line.is_empty() && shown.insert(image.name_any(), line.clone()) != Some(line.clone()) {
                say(&format!("    {:>5.1} s  {line}", begun.elapsed().as_secs_f64()));
            }
        }
        if done == built.len() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::new("wait for the builds", format!("not all of {built:?} are built"))
                .remedy(format!("kubectl -n {} describe containerimages,imagebuilds; cargo lab logs kubelet", world.name)));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
