//! `make measure`: from an image that is known to be pushed to the commit that pins it, for one image of 200 and for 200 at once.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use mainstay_crds::{ContainerImage, ManifestPin, names};
use mainstay_e2e::lab::machine::report::{exit_code, say};
use mainstay_e2e::lab::{Context, Error, Lab, Result};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, dockerfile};
use serde_json::json;

/// Images, and manifests that pin them.
const IMAGES: usize = 200;

/// How often one image of them is released.
const SINGLE: usize = 9;

/// Longest time for one thing.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(measure().await)
}

async fn measure() -> Result<()> {
    let lab = Lab::connect()?;
    // No look of its own at the registry in between: the measurement begins where the operator is told.
    operator::install(&lab, &[("resync", "10m")]).await?;
    let world = World::new(lab, "measurepins").await?;
    say(&format!("==> {IMAGES} containers, {IMAGES} manifests, {IMAGES} images in the registry"));
    let first = touch(&world, "0", 0..IMAGES).await?;
    publish(&world, &first, 0..IMAGES).await?;
    let tag = tag(&first);
    let files: Vec<(String, String)> = (0..IMAGES).map(|n| (format!("apps/a{n}/kustomization.yaml"), manifest(&world, n, &tag))).collect();
    commit(&world, &files).await?;
    world.source(json!({})).await?;
    for n in 0..IMAGES {
        world.image(&format!("c{n}"), json!({"suspend": true})).await?;
    }
    world.pin("all", json!({"paths": ["apps"]})).await?;
    let all = format!("{IMAGES}/{IMAGES}");
    let settled = |pin: &ManifestPin| pin.status.as_ref().is_some_and(|s| s.up_to_date.as_ref() == Some(&all) && s.behind == Some(0));
    world.until("all", "is up to date", settled).await?;

    say(&format!("==> one image at a time, {SINGLE} times"));
    let mut times = Vec::new();
    for n in 0..SINGLE {
        let commit = touch(&world, "1", n..n + 1).await?;
        fetched(&world, &commit, n..n + 1).await?;
        publish(&world, &commit, n..n + 1).await?;
        times.push(until_pinned(&world, &commit, n..n + 1).await?.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    times.sort();
    let median = times.get(SINGLE / 2).copied().unwrap_or_default();

    say(&format!("==> {IMAGES} images at once"));
    operator::kill(&world.lab).await?;
    let commit = touch(&world, "2", 0..IMAGES).await?;
    fetched(&world, &commit, 0..IMAGES).await?;
    publish(&world, &commit, 0..IMAGES).await?;
    let (before, calls) = (processor_seconds()?, registry_calls(&world).await?);
    let (took, commits) = until_pinned(&world, &commit, 0..IMAGES).await?;
    let (after, calls_after) = (processor_seconds()?, registry_calls(&world).await?);
    let mut out = std::io::stdout().lock();
    for line in [
        format!(
            "one image of {IMAGES}, pushed to pinned: median {:.2} s, slowest {:.2} s",
            median.as_secs_f64(),
            times.last().copied().unwrap_or_default().as_secs_f64()
        ),
        format!("{IMAGES} images at once: {:.1} s, {commits} commits, {} registry requests", took.as_secs_f64(), calls_after - calls),
        format!("operator meanwhile: {:.1} s of processor time, {:.0} MiB at most since its start", after - before, peak()?),
    ] {
        writeln!(out, "{line}").context("print the figures")?;
    }
    Ok(())
}

fn tag(commit: &str) -> String {
    format!("v1.0-{}", commit.get(..7).unwrap_or_default())
}

fn manifest(world: &World, n: usize, tag: &str) -> String {
    let image = world.lab.image(&world.repository(&format!("c{n}")));
    format!("kind: Kustomization\nimages:\n  - name: {image}\n    newTag: {tag}\n")
}

/// Changes some containers in one commit.
async fn touch(world: &World, word: &str, which: std::ops::Range<usize>) -> Result<String> {
    let files: Vec<(String, String)> =
        which.map(|n| (format!("containers/c{n}/Dockerfile"), dockerfile("1.0", &format!("RUN echo {word}")))).collect();
    commit(world, &files).await
}

async fn commit(world: &World, files: &[(String, String)]) -> Result<String> {
    let files: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &files).await
}

async fn publish(world: &World, commit: &str, which: std::ops::Range<usize>) -> Result<()> {
    for n in which {
        world.publish(&format!("c{n}"), "1.0", commit).await?;
    }
    Ok(())
}

/// Waits until the operator knows what these containers want, and that it is not there yet.
async fn fetched(world: &World, commit: &str, which: std::ops::Range<usize>) -> Result<()> {
    for n in which {
        let wants = |image: &ContainerImage| {
            image
                .status
                .as_ref()
                .is_some_and(|s| s.variants.iter().any(|one| one.commit.as_deref() == Some(commit) && one.reason == "Suspended"))
        };
        world.until(&format!("c{n}"), "wants the new tag", wants).await?;
    }
    Ok(())
}

/// Tells the operator of the images, and waits until commits of it have pinned them all. Gives the time and how many commits it took.
async fn until_pinned(world: &World, commit: &str, which: std::ops::Range<usize>) -> Result<(Duration, usize)> {
    let api = world.api::<ContainerImage>();
    let patch = json!({"metadata": {"annotations": {names::RECONCILE_AT: commit}}});
    let begun = Instant::now();
    let count = which.len();
    let asked = which.map(|n| {
        let (api, patch) = (api.clone(), patch.clone());
        async move { api.patch(&format!("c{n}"), &PatchParams::default(), &Patch::Merge(patch)).await }
    });
    futures::future::try_join_all(asked).await.context("tell the operator")?;
    let wanted = format!("-> {}", tag(commit));
    let mut head = String::new();
    loop {
        // The forge shares two cores with everything else: a question that costs it little, and seldom.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = world.lab.forge().head(&world.name, "main").await?;
        let took = begun.elapsed();
        if now == head && took < PATIENCE {
            continue;
        }
        head = now;
        let all = world.lab.forge().commits(&world.name, "main").await?;
        let ours: Vec<usize> = all.iter().map(|one| one.message.matches(&wanted).count()).filter(|moved| *moved > 0).collect();
        if ours.iter().sum::<usize>() == count {
            return Ok((took, ours.len()));
        }
        if took > PATIENCE {
            return Err(Error::new("wait for the pins", format!("{} of {count} are pinned", ours.iter().sum::<usize>())));
        }
    }
}

/// Calls of the operator to the registry since its start.
async fn registry_calls(world: &World) -> Result<u64> {
    let select = ["-n", operator::NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/name=mainstay", "-o", "name"];
    let pod = world.lab.run("kubectl", &select).await?;
    let pod = pod.lines().last().unwrap_or_default().trim_start_matches("pod/").to_owned();
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy/metrics", operator::NAMESPACE);
    let text = world.lab.run("kubectl", &["get", "--raw", &path]).await?;
    let calls = text.lines().filter(|line| line.starts_with("mainstay_calls_total{site=\"registry."));
    Ok(calls.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// The operator's process: the lab's pods are processes of this machine. Where one was killed just now, the newest.
fn process() -> Result<std::path::PathBuf> {
    let all = std::fs::read_dir("/proc").context("look at the processes")?.flatten().map(|entry| entry.path());
    let ours = all.filter(|path| std::fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line.starts_with("/mainstay\0operator")));
    let number = |path: &std::path::PathBuf| path.file_name().and_then(|name| name.to_string_lossy().parse::<u64>().ok());
    ours.max_by_key(number)
        .ok_or_else(|| Error::new("find the operator's process", "there is none on this machine").remedy("measure in the lab"))
}

/// Processor time that it has used, in seconds (user and system, in hundredths: USER_HZ).
fn processor_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string(process()?.join("stat")).context("read the process's times")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u32 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u32>().ok()).sum();
    Ok(f64::from(ticks) / 100.0)
}

/// Most memory that it had resident, in MiB.
fn peak() -> Result<f64> {
    let status = std::fs::read_to_string(process()?.join("status")).context("read the process's memory")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u32>().ok());
    Ok(f64::from(kib.unwrap_or_default()) / 1024.0)
}
