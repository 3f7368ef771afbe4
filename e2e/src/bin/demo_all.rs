//! `make demo-all`: every way of building an image that the sample repository shows, each to a container that runs and answers.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use mainstay_e2e::lab::machine::report::{Report, exit_code, say};
use mainstay_e2e::lab::{Context, Lab, Result};
use mainstay_e2e::patterns::{Answered, PATTERNS, Pattern, ask, prepare};
use mainstay_e2e::world::World;
use mainstay_e2e::{operator, sample};
use serde_json::json;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(demo().await)
}

async fn demo() -> Result<()> {
    let begun = Instant::now();
    let lab = Lab::connect()?;
    let mut report = Report::new(4);
    report.step("installing the operator with Helm, from charts/mainstay", operator::install(&lab, &[])).await?;
    let title = "base images with Go, Node and Elixir (the first time: about 5 min on 2 cores), a tarball of kiwix-tools";
    let upstream = report.step(title, prepare(&lab, &PATTERNS)).await?;
    let world = World::new(lab, "demo-all").await?;
    let build = async {
        sample::push(&world).await?;
        world.source(json!({})).await?;
        for pattern in &PATTERNS {
            world.image(pattern.container, upstream.spec(pattern)).await?;
        }
        sample::watch(&world, &PATTERNS.map(|pattern| pattern.container)).await
    };
    report.step("pushing e2e/ops-repo to the forge, and watching the builds of six of its containers", build).await?;
    let run = async {
        let mut all = Vec::new();
        for pattern in &PATTERNS {
            all.push((pattern, ask(&world, pattern).await?));
        }
        Ok(all)
    };
    let all = report.step("running each image by its digest, and asking it", run).await?;
    show(&all)?;
    say(&format!(
        "every container answered, {:.0} s after the beginning; they stay up in namespace {}",
        begun.elapsed().as_secs_f64(),
        world.name
    ));
    Ok(())
}

fn show(all: &[(&Pattern, Vec<Answered>)]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut row = |cells: [&str; 7]| {
        let [container, way, variant, engine, took, size, answer] = cells;
        writeln!(out, "{container:<13} {way:<34} {variant:<10} {engine:<9} {took:>6} {size:>10}  {answer}").context("print the table")
    };
    row(["CONTAINER", "WAY", "VARIANT", "ENGINE", "BUILD", "SIZE", "ANSWER"])?;
    for (pattern, answers) in all {
        for one in answers {
            let tenths = (one.size * 10) >> 20;
            let size = format!("{}.{} MiB", tenths / 10, tenths % 10);
            row([pattern.container, pattern.way, one.variant.as_str(), &one.engine, &one.took, &size, &one.answer])?;
        }
    }
    Ok(())
}
