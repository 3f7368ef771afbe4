//! Starting the lab on this machine, and taking it down again.

mod argocd;
mod bring_up;
pub(crate) mod command;
mod containerd;
mod control_plane;
mod credentials;
mod debian;
mod firewall;
mod forge_server;
mod images;
mod network;
mod node;
mod packages;
mod pki;
mod processes;
pub(crate) mod programs;
mod registry_server;
pub mod report;
mod show;
mod sweep;
mod upstream;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

pub use bring_up::up;
pub use images::push_program;
pub use processes::Record;
pub use show::{env, logs, status};
pub use upstream::publish_kiwix_tools;

use super::{
    Context, Error, Result,
    paths::Paths,
    registry::Registry,
    state::{Baseline, State},
};

/// Takes the lab down and removes everything of it but the cache. Says what could not be removed.
pub async fn down(paths: &Paths, checkout: &Path, take_over: bool) -> Result<()> {
    let _lock = lock(paths)?;
    let before = match State::load(paths) {
        Ok(Some(state)) => {
            state.check_owner(checkout, take_over, is_alive(paths))?;
            state.baseline
        }
        Ok(None) if network::bridge(paths) == network::Bridge::Ours => sweep::baseline_unknown().await?,
        Ok(None) => {
            not_a_strangers(paths)?;
            report::say("there is no lab");
            return Ok(());
        }
        Err(error) => {
            return Err(error.remedy(format!("if that file is broken, remove it and run this again: {}", paths.state().display())));
        }
    };
    report::say("==> taking the lab down");
    clear(paths, &before).await?;
    report::say("nothing of the lab is left on this machine but its cache");
    Ok(())
}

/// A program of the lab, built if it is not in the cache: for tests that need one program and no lab.
pub async fn program(paths: &Paths, checkout: &Path, module: &str, program: &str) -> Result<PathBuf> {
    let _lock = lock(paths)?;
    let programs = programs::Programs::of(checkout, paths).await?;
    let known = programs::MODULES.iter().find(|known| known.name == module);
    let module = known.ok_or_else(|| Error::new("build a program of the lab", format!("there is no module {module}")))?;
    if !programs.is_built(module) {
        programs.build(checkout, module).await?;
    }
    Ok(programs.program(module.name, program))
}

/// Makes the base images that hold a toolchain, if the cache has them not, and pushes them to the registry under the names that Docker Hub has for them.
pub async fn push_toolchains(paths: &Paths, checkout: &Path, registry: &Registry) -> Result<()> {
    let _lock = lock(paths)?;
    let programs = programs::Programs::of(checkout, paths).await?;
    images::make(paths, &programs, &images::TOOLCHAINS).await?;
    images::push(paths, &programs, registry, &images::TOOLCHAINS).await
}

/// Removes the cache: the next `up` builds everything again. The lab must be down.
pub fn clean_cache(paths: &Paths) -> Result<()> {
    let lock = lock(paths)?;
    if State::load(paths)?.is_some() {
        return Err(Error::new("remove the cache", "the lab is up and runs from it").remedy("cargo lab down"));
    }
    std::fs::remove_dir_all(paths.cache()).context(format!("remove {}", paths.cache().display()))?;
    drop(lock);
    Ok(())
}

/// Fails where the run folder holds files and nothing says that they are a lab's: what is not known to be ours is not removed.
fn not_a_strangers(paths: &Paths) -> Result<()> {
    let empty = std::fs::read_dir(paths.run()).map_or(true, |mut entries| entries.next().is_none());
    if empty {
        return Ok(());
    }
    Err(Error::new("work on the lab", format!("{} is not empty, and nothing in it says that it is a lab's", paths.run().display()))
        .remedy("set MAINSTAY_LAB_DIR to another folder; or, if it is what is left of a lab, remove it by hand"))
}

/// Sweeps, and fails with the list of what is left.
async fn clear(paths: &Paths, before: &Baseline) -> Result<()> {
    let left = sweep::sweep(paths, before).await?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::new("take the lab down", format!("this is left:\n  {}", left.join("\n  ")))
        .remedy("run it again; if it stays, end or unmount these by hand"))
}

/// Whether a process of the lab runs.
fn is_alive(paths: &Paths) -> bool {
    processes::records(paths).is_ok_and(|records| records.iter().any(Record::is_alive))
}

/// One `up` or `down` at a time. The lock goes with the process that holds it, however that ends.
fn lock(paths: &Paths) -> Result<File> {
    if std::env::consts::OS != "linux" || run_as_user() != Some(0) {
        return Err(Error::new("work on the lab", "it needs Linux and root: it makes network links, mounts and containers")
            .remedy("run it as root, in a container or virtual machine if this is not a machine to try things on"));
    }
    std::fs::create_dir_all(paths.cache()).context(format!("make {}", paths.cache().display()))?;
    let file = File::create(paths.cache().join("lab.lock")).context("open the lab's lock")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error) => {
            Err(Error::new("work on the lab", format!("another `lab up` or `lab down` is at it ({error})")).remedy("wait for it"))
        }
    }
}

fn run_as_user() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

/// The checkout that this command belongs to: the nearest folder upwards that has the lab's programs in it.
pub fn checkout() -> Result<PathBuf> {
    let here = std::env::current_dir().context("find the checkout")?;
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let starts = [Some(here), manifest];
    let found = starts.iter().flatten().flat_map(|start| start.ancestors()).find(|at| at.join("e2e/lab/programs").is_dir());
    let found = found
        .ok_or_else(|| Error::new("find the checkout", "there is no e2e/lab/programs here or above").remedy("run it in a checkout"))?;
    found.canonicalize().context("find the checkout")
}
