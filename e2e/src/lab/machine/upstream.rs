//! What the lab serves in place of an upstream that it cannot reach.

use std::path::Path;

use super::command::{Command, run};
use crate::lab::{Context, Result, forge::Forge, paths::Paths};

/// Puts a tarball of kiwix-tools in this version, for this machine's architecture alone, on the forge. Gives the address of the folder that it is in,
/// as upstream has one: a container that asks for another architecture finds nothing there.
pub async fn publish_kiwix_tools(paths: &Paths, checkout: &Path, forge: &Forge, version: &str) -> Result<String> {
    std::fs::create_dir_all(paths.cache()).context("make the cache folder")?;
    let work = tempfile::tempdir_in(paths.cache()).context("make a folder for kiwix-tools")?;
    let name = format!("kiwix-tools_linux-{}-{version}", std::env::consts::ARCH);
    let program = work.path().join(&name).join("kiwix-serve").display().to_string();
    let linker = format!("-ldflags=-s -w -X main.version={version}");
    Command::new("go", ["build", "-trimpath", "-buildvcs=false", &linker, "-o", &program, "."])
        .dir(&checkout.join("e2e/lab/upstream/kiwix-serve"))
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .run()
        .await?;
    let tarball = work.path().join("tools.tar.gz");
    run("tar", &["-C", &work.path().display().to_string(), "-czf", &tarball.display().to_string(), &name]).await?;
    let content = std::fs::read(&tarball).context("read the tarball of kiwix-tools")?;
    forge.publish("kiwix-tools", version, &format!("{name}.tar.gz"), content).await
}
