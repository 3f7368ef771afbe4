//! The Debian packages that the lab uses, installed when missing.

use super::command::{Command, on_path, run};
use crate::lab::{Error, Result};

/// Every package, with what it is for.
const PACKAGES: [(&str, &str); 15] = [
    ("iproute2", "the bridge"),
    ("iptables", "the CNI bridge plugin masquerades with it"),
    ("nftables", "kube-proxy's rules"),
    ("conntrack", "kube-proxy"),
    ("socat", "kubectl port-forward"),
    ("containernetworking-plugins", "the CNI plugins"),
    ("util-linux", "setsid and setpriv"),
    ("git", "the forge and Argo CD"),
    ("gcc", "the pause image, runc and the forge's database"),
    ("libc6-dev", "the same"),
    ("pkg-config", "runc"),
    ("libseccomp-dev", "runc"),
    ("busybox-static", "the busybox image"),
    ("debootstrap", "the Debian image"),
    ("redis-tools", "Argo CD's Redis, without the service of the package redis-server"),
];

/// The packages that are not installed.
pub(crate) async fn missing() -> Result<Vec<&'static str>> {
    if !on_path("dpkg-query") || !on_path("apt-get") {
        return Err(Error::new("look at the installed packages", "this is not Debian: there is no dpkg-query or apt-get")
            .remedy("run the lab on Debian 12; or give the stories a cluster of yours (MAINSTAY_E2E_KUBECONFIG)"));
    }
    // dpkg-query fails when one of the names is unknown to it, and still prints the others.
    let script = r#"dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null; true"#;
    let names = PACKAGES.iter().map(|(name, _)| *name);
    let text = Command::new("sh", ["-c", script, "sh"].into_iter().chain(names)).run().await?;
    Ok(not_installed(&text))
}

/// Installs packages.
pub(crate) async fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let remedy = |error: Error| error.remedy(format!("install them by hand: apt-get install {}", packages.join(" ")));
    run("apt-get", &["update", "-q"]).await.map_err(remedy)?;
    let args = ["install", "-q", "-y", "--no-install-recommends"];
    Command::new("apt-get", args.iter().chain(packages)).env("DEBIAN_FRONTEND", "noninteractive").run().await.map_err(remedy)?;
    Ok(())
}

/// Which of the packages a dpkg-query answer does not name as installed.
fn not_installed(answer: &str) -> Vec<&'static str> {
    let installed = |name: &str| answer.lines().any(|line| line.split_once(' ') == Some((name, "installed")));
    PACKAGES.iter().map(|(name, _)| *name).filter(|name| !installed(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_and_unknown_packages_are_missing() {
        let answer: String = PACKAGES
            .iter()
            .filter(|(name, _)| *name != "git")
            .map(|(name, _)| format!("{name} {}\n", if *name == "gcc" { "config-files" } else { "installed" }))
            .collect();
        assert_eq!(not_installed(&answer), ["git", "gcc"]);
        assert_eq!(not_installed("").len(), PACKAGES.len());
    }
}
