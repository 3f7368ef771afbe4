//! `make measure`: what the operator costs and how fast it is, in the lab, as figures and ratios.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use mainstay_crds::{ContainerImage, ImageBuild};
use mainstay_e2e::lab::machine::report::{exit_code, say};
use mainstay_e2e::lab::{Context, Error, Lab, Result, machine};
use mainstay_e2e::operator;
use mainstay_e2e::world::{World, default_nix, dockerfile};
use serde_json::json;

/// Images that are at rest while memory is measured.
const IMAGES: usize = 20;

/// Commits whose way to a Job is measured.
const COMMITS: usize = 5;

/// Builds whose Job is compared with its build step: container, file, how many, seconds each. The API server writes whole seconds: several even
/// that out.
const LONG_BUILDS: [(&str, &str, usize, u64); 3] =
    [("ten", "Dockerfile", 5, 10), ("thirty", "Dockerfile", 3, 30), ("thirty-nix", "default.nix", 3, 30)];

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(measure().await)
}

async fn measure() -> Result<()> {
    let lab = Lab::connect()?;
    operator::install(&lab, &[]).await?;
    operator::kill(&lab).await?;
    let world = World::new(lab, "measure").await?;
    let files: Vec<(String, String)> =
        (0..IMAGES).map(|n| (format!("containers/c{n}/Dockerfile"), dockerfile("1.0", "RUN true"))).collect();
    let borrowed: Vec<(&str, Option<&str>)> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    world.commit("main", &borrowed).await?;
    world.source(json!({"discovery": "Create"})).await?;
    say(&format!("==> building {IMAGES} images"));
    for n in 0..IMAGES {
        world.until::<ContainerImage>(&format!("c{n}"), "is ready", ready).await?;
    }
    say("==> at rest for a minute");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut lines = vec![format!("operator, {IMAGES} images at rest: {:.1} MiB resident", resident()?)];
    let program = operator::program(&machine::checkout()?)?;
    let size = std::fs::metadata(&program).context("look at the program")?.len();
    lines.push(format!("program, which is the image but for the CA bundle: {:.1} MiB", mebibytes(size)));

    say(&format!("==> {COMMITS} commits, from push to Job (interval 2 s)"));
    let mut slowest: f64 = 0.0;
    for n in 0..COMMITS {
        let before = jobs(&world).await?.len();
        world.commit("main", &[(&format!("containers/c{n}/x"), Some("1"))]).await?;
        let begun = Instant::now();
        while jobs(&world).await?.len() == before {
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(Error::new("wait for a Job", "there is none after a minute"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest = slowest.max(begun.elapsed().as_secs_f64());
        world.until::<ContainerImage>(&format!("c{n}"), "is ready", ready).await?;
    }
    lines.push(format!("push to Job created, slowest of {COMMITS}: {slowest:.1} s"));

    for (container, file, count, seconds) in LONG_BUILDS {
        say(&format!("==> {count} builds of {seconds} s by {file}, one after another"));
        let (mut all, mut step) = (0.0, 0.0);
        for n in 0..count {
            let (one, its_step) = build(&world, container, file, &format!("1.{n}"), seconds).await?;
            (all, step) = (all + one, step + its_step);
        }
        let over = (all / step - 1.0) * 100.0;
        lines
            .push(format!("{count} builds by {file}: build steps of {step:.0} s in Jobs of {all:.0} s, {over:.0} % over the bare builder"));
    }
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").context("print the figures")?;
    }
    Ok(())
}

/// Builds a version of a container that takes so long, and gives the seconds of its Job and of its build step.
async fn build(world: &World, container: &str, file: &str, version: &str, seconds: u64) -> Result<(f64, f64)> {
    let text = match file {
        "default.nix" => default_nix(version, &format!("sleep {seconds}; echo {version} > layer/version")),
        _ => dockerfile(version, &format!("RUN sleep {seconds}")),
    };
    world.commit("main", &[(&format!("containers/{container}/{file}"), Some(&text))]).await?;
    let of_this = |image: &ContainerImage| {
        ready(image) && image.status.as_ref().is_some_and(|s| s.variants.iter().any(|v| v.version.as_deref() == Some(version)))
    };
    let image = world.until::<ContainerImage>(container, "is ready", of_this).await?;
    let name = image.status.and_then(|s| s.variants.first().and_then(|v| v.build.clone())).unwrap_or_default();
    let ended = |b: &ImageBuild| b.status.as_ref().is_some_and(|s| s.completed_at.is_some());
    times(world, &world.until(&name, "has ended", ended).await?).await
}

fn ready(image: &ContainerImage) -> bool {
    image.status.as_ref().is_some_and(|s| s.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

async fn jobs(world: &World) -> Result<Vec<Job>> {
    Ok(world.api::<Job>().list(&ListParams::default()).await.context("list the Jobs")?.items)
}

/// Seconds from the Job's creation to its end, and of its build step.
async fn times(world: &World, build: &ImageBuild) -> Result<(f64, f64)> {
    let label = format!("mainstay.dev/build={}", build.name_any());
    let pods = world.api::<Pod>().list(&ListParams::default().labels(&label)).await.context("list the pods")?;
    let status = pods.items.into_iter().next().and_then(|pod| pod.status).unwrap_or_default();
    let step = status.init_container_statuses.unwrap_or_default().into_iter().find(|s| s.name == "build").and_then(|s| s.state?.terminated);
    let between =
        |from: Option<Timestamp>, to: Option<Timestamp>| from.zip(to).map_or(0.0, |(from, to)| to.duration_since(from).as_secs_f64());
    let own = build.status.clone().unwrap_or_default();
    let all = between(own.started_at.map(|t| t.0), own.completed_at.map(|t| t.0));
    let step = step.map_or(0.0, |s| between(s.started_at.map(|t| t.0), s.finished_at.map(|t| t.0)));
    Ok((all, step))
}

/// Resident memory of the operator's process, in MiB: the lab's pods are processes of this machine.
fn resident() -> Result<f64> {
    for entry in std::fs::read_dir("/proc").context("look at the processes")?.flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if read("cmdline").starts_with("/mainstay\0operator") {
            let kib = read("status").lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            return Ok(mebibytes(kib.unwrap_or_default() * 1024));
        }
    }
    Err(Error::new("find the operator's process", "there is none on this machine").remedy("measure in the lab"))
}

fn mebibytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let bytes = bytes as f64;
    bytes / 1_048_576.0
}
