//! `status`, `env` and `logs`: what there is to see of a running lab.

use std::{
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use super::{network, processes, programs::Programs};
use crate::lab::{
    Context, Error, Lab, Result,
    paths::Paths,
    state::{Phase, State},
};

/// Writes a table of the lab's processes. Gives whether everything runs.
pub fn status(paths: &Paths, out: &mut impl Write) -> Result<bool> {
    let what = "show the lab's status";
    let Some(state) = State::load(paths)? else {
        writeln!(out, "there is no lab; start one: cargo lab up").context(what)?;
        return Ok(false);
    };
    let records = processes::records(paths)?;
    let phase = if state.phase == Phase::Up { "up" } else { "coming up (or died at it)" };
    writeln!(out, "lab of {}, in {}: {phase}", state.owner.display(), paths.run().display()).context(what)?;
    writeln!(out, "{:<30} {:>8}  {:<8} ADDRESS", "PROCESS", "PID", "STATE").context(what)?;
    for record in &records {
        let alive = if record.is_alive() { "running" } else { "gone" };
        writeln!(out, "{:<30} {:>8}  {alive:<8} {}", record.name, record.pid, record.address).context(what)?;
    }
    let bridge = network::bridge(paths) == network::Bridge::Ours;
    if !bridge {
        writeln!(out, "the network link {} is gone", crate::lab::address::BRIDGE).context(what)?;
    }
    Ok(bridge && state.phase == Phase::Up && records.iter().all(processes::Record::is_alive))
}

/// Writes shell commands that set what tests and people need.
pub async fn env(paths: &Paths, checkout: &Path, out: &mut impl Write) -> Result<()> {
    let lab = Lab::of_machine(paths)?;
    let programs = Programs::of(checkout, paths).await?;
    let (registry, forge) = (lab.registry(), lab.forge());
    let kubeconfig = lab.kubeconfig().display().to_string();
    let audit = paths.audit_log().display().to_string();
    let variables = [
        ("KUBECONFIG", kubeconfig.as_str()),
        ("MAINSTAY_LAB_REGISTRY", registry.address()),
        ("MAINSTAY_LAB_REGISTRY_USER", registry.user()),
        ("MAINSTAY_LAB_REGISTRY_PASSWORD", registry.password()),
        ("MAINSTAY_LAB_FORGE", forge.url()),
        ("MAINSTAY_LAB_FORGE_USER", forge.user()),
        ("MAINSTAY_LAB_FORGE_PASSWORD", forge.password()),
        ("MAINSTAY_LAB_FORGE_TOKEN", forge.token()),
        ("MAINSTAY_LAB_AUDIT_LOG", audit.as_str()),
    ];
    for (name, value) in variables {
        writeln!(out, "export {name}={}", quoted(value)).context("show the environment")?;
    }
    let folders: Vec<String> = programs.path_additions().iter().map(|folder| folder.display().to_string()).collect();
    writeln!(out, "export PATH={}:\"$PATH\"", quoted(&folders.join(":"))).context("show the environment")
}

/// Writes the log of one process, or the last lines of every log; follows it if asked to.
pub async fn logs(paths: &Paths, name: Option<&str>, follow: bool, out: &mut impl Write) -> Result<()> {
    let what = "show the lab's logs";
    let records = processes::records(paths)?;
    let known = || records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) if records.iter().any(|record| record.name == name) => show_log(&paths.log(name), follow, out).await,
        Some(name) => Err(Error::new(what, format!("there is no process {name}")).remedy(format!("one of: {}", known()))),
        None if follow => Err(Error::new(what, "which one is to be followed?").remedy(format!("name one of: {}", known()))),
        None => {
            for record in &records {
                let text = std::fs::read(paths.log(&record.name)).unwrap_or_default();
                let tail = crate::lab::error::tail(&String::from_utf8_lossy(&text), 5);
                writeln!(out, "==> {} <==\n{tail}\n", record.name).context(what)?;
            }
            Ok(())
        }
    }
}

async fn show_log(file: &Path, follow: bool, out: &mut impl Write) -> Result<()> {
    let what = || format!("read {}", file.display());
    let mut log = std::fs::File::open(file).context(what())?;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        log.read_to_end(&mut buffer).context(what())?;
        if out.write_all(&buffer).and_then(|()| out.flush()).is_err() || !follow {
            // Whoever read it has seen enough.
            return Ok(());
        }
        let shorter = std::fs::metadata(file).context(what())?.len() < log.stream_position().context(what())?;
        if shorter {
            log.seek(SeekFrom::Start(0)).context(what())?;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// A word for the shell that means only itself.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_safe_for_the_shell() {
        assert_eq!(super::quoted("a b$c"), "'a b$c'");
        assert_eq!(super::quoted("it's"), "'it'\\''s'");
    }
}
