//! Taking the lab down to the last mount, and looking whether anything is left.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{command::run, firewall, network, processes};
use crate::lab::{Context, Error, Result, address, paths::Paths, state::Baseline};

/// Paths that Kubernetes' programs make wherever their folders are told to be.
const OUTSIDE: [&str; 10] = [
    "/run/containerd",
    "/run/nri",
    "/run/xtables.lock",
    "/opt/cni",
    "/opt/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
    "/usr/libexec/kubernetes",
];

/// What of the lab's usual traces is there already, to be left alone.
pub(crate) async fn baseline() -> Result<Baseline> {
    let tables = firewall::tables().await?;
    let chains = firewall::chains(&tables).await?;
    let paths = OUTSIDE.iter().map(PathBuf::from).chain(pod_cgroups()).filter(|path| path.exists()).collect();
    Ok(Baseline { tables, chains, sysctls: network::sysctls(), paths })
}

/// For a lab whose state is lost: everything that looks like a lab's is taken for its own, except what a running
/// Kubernetes of somebody else would need; kernel settings stay as they are.
pub(crate) async fn baseline_unknown() -> Result<Baseline> {
    let now = baseline().await?;
    let paths = now.paths.into_iter().filter(|path| !path.starts_with("/sys/fs/cgroup")).collect();
    Ok(Baseline { paths, ..Baseline::default() })
}

/// Stops and removes everything of the lab. Goes on when one thing fails, and gives what is left at the end.
pub(crate) async fn sweep(paths: &Paths, before: &Baseline) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let mut note = |result: Result<()>| failures.extend(result.err().map(|error| error.to_string()));
    note(stop_all(paths, before).await);
    note(unmount_below(&[paths.run(), paths.cache()]).await);
    note(remove_links(paths).await);
    note(firewall::clean(before).await);
    note(remove_cgroups(before));
    note(network::restore_sysctls(&before.sysctls));
    for outside in OUTSIDE.iter().map(Path::new).filter(|path| !before.paths.contains(*path)) {
        note(remove(outside));
    }
    // Nothing is removed through a mount. The state goes last: with it, a sweep that was cut short can be taken up again.
    let unmounted = mounts_below(&[paths.run()])?.is_empty();
    if unmounted && let Ok(entries) = std::fs::read_dir(paths.run()) {
        entries.flatten().filter(|entry| entry.path() != paths.state()).for_each(|entry| note(remove(&entry.path())));
    }
    let mut left = leftovers(paths, before).await?;
    if failures.is_empty() && left.is_empty() {
        remove(paths.run())?;
    }
    left.extend(failures);
    Ok(left)
}

/// What of the lab is there, run folder aside.
pub(crate) async fn leftovers(paths: &Paths, before: &Baseline) -> Result<Vec<String>> {
    let mut left: Vec<String> = shims(paths).iter().map(|shim| format!("process {} ({})", shim.pid, shim.name)).collect();
    left.extend(own_cgroups(before).iter().flat_map(|cgroup| pids_below(cgroup)).map(|pid| format!("pod process {pid}")));
    left.extend(mounts_below(&[paths.run(), paths.cache()])?.iter().map(|mount| format!("mount {}", mount.display())));
    if network::bridge(paths) == network::Bridge::Ours {
        left.push(format!("network link {}", address::BRIDGE));
    }
    left.extend(firewall::leftovers(before).await?);
    left.extend(own_cgroups(before).iter().map(|cgroup| format!("cgroup {}", cgroup.display())));
    let outside = OUTSIDE.iter().map(PathBuf::from).filter(|path| !before.paths.contains(path) && path.exists());
    left.extend(outside.map(|path| path.display().to_string()));
    Ok(left)
}

/// The kubelet first, so that nothing comes back; then the pods; then what they need; the API server and etcd last.
async fn stop_all(paths: &Paths, before: &Baseline) -> Result<()> {
    let mut records = processes::records(paths)?;
    records.reverse();
    let last = |name: &str| matches!(name, "etcd" | "kube-apiserver" | "containerd" | "registry");
    for record in records.iter().filter(|record| !last(&record.name)) {
        processes::stop(record).await?;
    }
    kill_pods(before).await?;
    for record in records.iter().filter(|record| last(&record.name)) {
        processes::stop(record).await?;
    }
    for shim in shims(paths) {
        processes::stop(&shim).await?;
    }
    Ok(())
}

/// Ends every process in the pods' cgroups, which were not there before the lab.
async fn kill_pods(before: &Baseline) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let pids: BTreeSet<String> = own_cgroups(before).iter().flat_map(|cgroup| pids_below(cgroup)).collect();
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::new("end the pods' processes", format!("these do not end: {pids:?}")));
        }
        for pid in &pids {
            // One that has just ended by itself is fine; one that does not end is seen at the deadline.
            drop(run("kill", &["-s", "KILL", pid]).await);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// containerd's helpers, one for each pod, that name our containerd's socket.
fn shims(paths: &Paths) -> Vec<processes::Record> {
    let socket = paths.containerd_socket().display().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<&str> = words.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
        let is_shim = words.first()?.ends_with("containerd-shim-runc-v2") && words.contains(&socket.as_str());
        is_shim.then(|| processes::identify(pid, "containerd-shim")).flatten()
    })
    .collect()
}

async fn unmount_below(folders: &[&Path]) -> Result<()> {
    for mount in mounts_below(folders)?.iter().rev() {
        let name = mount.display().to_string();
        if run("umount", &[&name]).await.is_err() {
            run("umount", &["--lazy", &name]).await?;
        }
    }
    Ok(())
}

fn mounts_below(folders: &[&Path]) -> Result<Vec<PathBuf>> {
    let all = std::fs::read_to_string("/proc/self/mountinfo").context("list the mounts")?;
    Ok(mount_points(&all).into_iter().filter(|mount| folders.iter().any(|folder| mount.starts_with(folder))).collect())
}

/// The mount points in a mountinfo text, in the order of their mounting.
fn mount_points(text: &str) -> Vec<PathBuf> {
    let unescape = |word: &str| word.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(|word| unescape(word).into()).collect()
}

/// Removes the bridge and the pods' links on it.
async fn remove_links(paths: &Paths) -> Result<()> {
    if network::bridge(paths) != network::Bridge::Ours {
        return Ok(());
    }
    let links = run("ip", &["-o", "link", "show", "master", address::BRIDGE]).await?;
    let names = links.lines().filter_map(|line| line.split_ascii_whitespace().nth(1)?.split(['@', ':']).next());
    for name in names {
        // A link goes by itself when its pod's network namespace does.
        drop(run("ip", &["link", "delete", name]).await);
    }
    run("ip", &["link", "delete", address::BRIDGE]).await.map(drop)
}

/// Where the kubelet puts its pods' cgroups, in version 2 and in each hierarchy of version 1.
fn pod_cgroups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let hierarchies = entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.ends_with("kubepods"));
    [root.to_owned()].into_iter().chain(hierarchies).map(|hierarchy| hierarchy.join("kubepods")).collect()
}

fn own_cgroups(before: &Baseline) -> Vec<PathBuf> {
    pod_cgroups().into_iter().filter(|cgroup| cgroup.exists() && !before.paths.contains(cgroup)).collect()
}

fn folders_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn pids_below(cgroup: &Path) -> Vec<String> {
    let own = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let own = own.lines().map(str::to_owned).collect::<Vec<_>>();
    own.into_iter().chain(folders_below(cgroup).iter().flat_map(|below| pids_below(below))).collect()
}

fn remove_cgroups(before: &Baseline) -> Result<()> {
    fn remove(cgroup: &Path) -> std::io::Result<()> {
        folders_below(cgroup).iter().try_for_each(|below| remove(below))?;
        std::fs::remove_dir(cgroup)
    }
    own_cgroups(before).iter().try_for_each(|cgroup| remove(cgroup).context(format!("remove the cgroup {}", cgroup.display())))
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::new(format!("remove {}", path.display()), error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_in_order() {
        let text = "22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:5 / /run/lab/a\\040b rw shared:1 - tmpfs tmpfs rw\n";
        assert_eq!(mount_points(text), [PathBuf::from("/"), PathBuf::from("/run/lab/a b")]);
    }
}
