//! `make demo`: a commit becomes a tagged image, and a merged pull request becomes a running pod, live in the terminal.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use mainstay_crds::{ContainerImage, ManifestPin};
use mainstay_e2e::journey::{Change, travel};
use mainstay_e2e::lab::machine::report::{exit_code, say};
use mainstay_e2e::lab::{Context, Lab, Result};
use mainstay_e2e::world::World;
use mainstay_e2e::{operator, sample};
use serde_json::json;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(demo().await)
}

async fn demo() -> Result<()> {
    let lab = Lab::connect()?;
    say("==> installing the operator with Helm, from charts/mainstay");
    operator::install(&lab, &[]).await?;
    say("==> pushing e2e/ops-repo to the forge, as repository story-demo");
    let world = World::new(lab, "demo").await?;
    sample::push(&world).await?;
    say("==> applying a SourceRepository, and a ContainerImage for each container");
    world.source(json!({})).await?;
    for name in ["hello", "nettest", "noversion"] {
        world.image(name, json!({})).await?;
    }
    world.image("greeter", json!({"inputs": ["shared/motd"]})).await?;
    say("==> watching the builds");
    sample::watch(&world, &["hello", "greeter", "nettest"]).await?;
    say("==> changing containers/hello/index.html on main");
    let commit = world.commit("main", &[("containers/hello/index.html", Some("<h1>Hello again</h1>\n"))]).await?;
    let short: String = commit.chars().take(7).collect();
    say(&format!("    commit {short}: its tag must appear"));
    let begun = Instant::now();
    let tag = format!("v1.0.0-{short}");
    world
        .until::<ContainerImage>("hello", "has the new tag", |image| image.status.as_ref().and_then(|s| s.latest.as_deref()) == Some(&tag))
        .await?;
    say(&format!("    {tag} was in the registry {:.1} s after the commit", begun.elapsed().as_secs_f64()));
    say("==> applying a ManifestPin over apps/, with violations: Repair");
    world.pin("all", json!({"paths": ["apps"], "violations": "Repair"})).await?;
    let pinned = |pin: &ManifestPin| pin.status.as_ref().is_some_and(|status| status.pins.iter().any(|one| one.tag == tag));
    world.until::<ManifestPin>("all", "has pinned the image", pinned).await?;
    say(&format!("    apps/hello/kustomization.yaml named a tag that nobody has built: now it names {tag}"));
    say("==> letting Argo CD deploy apps/hello");
    world.deploy("apps/hello").await?;
    say("==> a pull request from a branch to a running pod, with nobody touching a manifest on main");
    let change = Change {
        container: "hello".into(),
        file: ("containers/hello/index.html".into(), "<h1>Hello from a branch</h1>\n".into()),
        manifest: "apps/hello/kustomization.yaml".into(),
        pin: "all".into(),
    };
    let begun = Instant::now();
    let arrived = travel(&world, &change, |text| say(&format!("    {:>5.1} s  {text}", begun.elapsed().as_secs_f64()))).await?;
    say(&format!("==> the commit that Mainstay wrote ({}):", arrived.commit.get(..7).unwrap_or_default()));
    for line in arrived.message.lines() {
        say(&format!("    {line}"));
    }
    summary(&world).await
}

async fn summary(world: &World) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut show = |text: &str| writeln!(out, "{text}").context("print the summary");
    for args in [
        &["get", "srepo,cimg,mpin,ibuild", "-n", "story-demo"][..],
        &["get", "pods", "-n", "story-demo", "-l", "app=hello", "-o", "custom-columns=POD:.metadata.name,IMAGE:.spec.containers[0].image"],
        &["get", "events", "-n", "story-demo", "--field-selector", "involvedObject.name=hello"],
    ] {
        show(&format!("\n$ kubectl {}", args.join(" ")))?;
        show(world.lab.run("kubectl", args).await?.trim_end())?;
    }
    show("\nThe lab stays up. Look around:\n")?;
    for line in [
        "eval \"$(cargo lab env)\"",
        "kubectl -n story-demo get cimg -o wide",
        "kubectl -n story-demo describe mpin all            # every pin: its class, who wrote it, whether it runs",
        "kubectl -n story-demo describe cimg noversion      # what is wrong, and what to do",
        "crane ls --insecure 10.88.0.1:5001/story-demo/hello",
        "crane config --insecure 10.88.0.1:5001/story-demo/nettest:$(crane ls --insecure 10.88.0.1:5001/story-demo/nettest | head -1)",
        "make clean                                         # take the lab down",
    ] {
        show(&format!("  {line}"))?;
    }
    Ok(())
}
