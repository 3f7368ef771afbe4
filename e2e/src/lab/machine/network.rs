//! The bridge, the addresses, and the kernel settings that the lab's programs change.

use std::{collections::BTreeMap, path::Path};

use super::command::run;
use crate::lab::{Context, Error, Result, address, paths::Paths};

/// Kernel settings that the lab (the first) and its programs (kubelet, kube-proxy) change.
const SYSCTLS: [&str; 9] = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// The kernel settings as they are.
pub(crate) fn sysctls() -> BTreeMap<String, String> {
    let read = |name: &&str| Some(((*name).to_owned(), std::fs::read_to_string(sysctl_file(name)).ok()?.trim().to_owned()));
    SYSCTLS.iter().filter_map(read).collect()
}

/// Puts kernel settings back.
pub(crate) fn restore_sysctls(before: &BTreeMap<String, String>) -> Result<()> {
    let now = sysctls();
    for (name, value) in before.iter().filter(|(name, value)| now.get(*name) != Some(value)) {
        std::fs::write(sysctl_file(name), value).context(format!("set {name} back to {value}"))?;
    }
    Ok(())
}

fn sysctl_file(name: &str) -> String {
    format!("/proc/sys/{name}")
}

/// What the bridge of the lab in this run folder is called behind its name, so that another lab can say whose it is.
fn alias(paths: &Paths) -> String {
    format!("mainstay-lab {}", paths.run().display())
}

/// Whose the bridge is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bridge {
    /// There is none.
    Absent,
    /// This lab's.
    Ours,
    /// Somebody else's, with what it says about itself.
    Foreign(String),
}

/// Looks whose the bridge is.
pub(crate) fn bridge(paths: &Paths) -> Bridge {
    let folder = Path::new("/sys/class/net").join(address::BRIDGE);
    if !folder.exists() {
        return Bridge::Absent;
    }
    let found = std::fs::read_to_string(folder.join("ifalias")).unwrap_or_default();
    if found.trim() == alias(paths) { Bridge::Ours } else { Bridge::Foreign(found.trim().to_owned()) }
}

/// Refuses when the lab's addresses or ports are somebody else's.
pub(crate) async fn check_free(paths: &Paths) -> Result<()> {
    let what = "take the lab's network addresses";
    if let Bridge::Foreign(whose) = bridge(paths) {
        let whose = if whose.is_empty() { "it does not say whose it is".to_owned() } else { format!("it is that of: {whose}") };
        return Err(Error::new(what, format!("there is a network link {} already; {whose}", address::BRIDGE))
            .remedy("one lab runs on a machine at a time: take the other one down first (MAINSTAY_LAB_DIR names its folder)"));
    }
    let addresses = run("ip", &["-o", "-4", "addr", "show"]).await?;
    if let Some(line) = addresses.lines().find(|line| overlaps(line)) {
        return Err(Error::new(what, format!("{} is in use: {}", address::POD_CIDR, line.trim()))
            .remedy("take that network link down: the lab's pods need these addresses"));
    }
    let listeners = run("ss", &["-H", "-l", "-t", "-n", "-p"]).await?;
    for (name, host, port) in address::LISTENERS {
        if let Some(who) = listener(&listeners, host, port) {
            return Err(Error::new(what, format!("{name} needs port {port} on {host}, which is taken by {who}"))
                .remedy("stop that program, or wait until it is done"));
        }
    }
    Ok(())
}

/// Makes the bridge, gives it its address, and lets the kernel forward.
pub(crate) async fn ensure(paths: &Paths) -> Result<()> {
    if bridge(paths) == Bridge::Absent {
        run("ip", &["link", "add", address::BRIDGE, "type", "bridge"]).await?;
        run("ip", &["link", "set", address::BRIDGE, "alias", &alias(paths)]).await?;
    }
    run("ip", &["addr", "replace", address::BRIDGE_CIDR, "dev", address::BRIDGE]).await?;
    run("ip", &["link", "set", address::BRIDGE, "up"]).await?;
    std::fs::write(sysctl_file("net/ipv4/ip_forward"), "1").context("let the kernel forward packets")
}

/// Whether a line of `ip -o -4 addr` holds an address of the pods' range on a link that is not the bridge.
fn overlaps(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace().skip(1);
    words.next() != Some(address::BRIDGE) && words.any(|word| word.starts_with("10.88."))
}

/// Who listens on `host:port`, according to `ss`.
fn listener(listeners: &str, host: &str, port: u16) -> Option<String> {
    listeners.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(3);
        let (at, on) = words.next()?.rsplit_once(':')?;
        let at = at.split_once('%').map_or(at, |(at, _)| at);
        let same = on.parse() == Ok(port) && [host, "*", "0.0.0.0", "[::]"].contains(&at);
        same.then(|| words.nth(1).map_or_else(|| "a program of another user".to_owned(), readable_owner))
    })
}

/// `users:(("nginx",pid=12,fd=3))` as `nginx (pid 12)`.
fn readable_owner(users: &str) -> String {
    let name = users.split('"').nth(1).unwrap_or(users);
    let pid = users.split("pid=").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("?");
    format!("{name} (pid {pid})")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SS: &str = "LISTEN 0 4096 127.0.0.1:2379 0.0.0.0:* users:((\"etcd\",pid=77,fd=8))\n\
                      LISTEN 0 128 0.0.0.0:5000 0.0.0.0:* users:((\"python3\",pid=12,fd=3))\n\
                      LISTEN 0 128 [::]:3000 [::]:*\n\
                      LISTEN 0 128 192.0.2.1:6443 0.0.0.0:*\n";

    #[test]
    fn a_taken_port_names_its_owner() {
        assert_eq!(listener(SS, "127.0.0.1", 2379).unwrap(), "etcd (pid 77)");
        assert_eq!(listener(SS, "10.88.0.1", 5000).unwrap(), "python3 (pid 12)");
        assert_eq!(listener(SS, "10.88.0.1", 3000).unwrap(), "a program of another user");
        assert_eq!(listener(SS, "10.88.0.1", 6443), None);
        assert_eq!(listener(SS, "10.88.0.1", 2379), None);
    }

    #[test]
    fn an_address_in_the_pods_range_is_seen_on_other_links_only() {
        assert!(overlaps("5: podman0    inet 10.88.0.1/16 brd 10.88.255.255 scope global podman0"));
        assert!(!overlaps("5: lab0    inet 10.88.0.1/16 scope global lab0"));
        assert!(!overlaps("2: eth0    inet 192.0.2.2/24 scope global eth0"));
    }
}
