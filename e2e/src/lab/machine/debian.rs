//! A Debian 12 tree made by debootstrap, which finds its packages the way this machine does.

use std::path::{Path, PathBuf};

use super::{
    command::{Command, run},
    images::{CA_BUNDLE, copy},
};
use crate::lab::{Context, Error, Result};

const SUITE: &str = "bookworm";

/// What the tree depends on beside Debian itself: the machine's package sources and apt settings.
pub(crate) fn inputs() -> Result<Vec<u8>> {
    let mut inputs = SUITE.as_bytes().to_vec();
    for file in machine_files()? {
        inputs.extend(file.display().to_string().into_bytes());
        inputs.extend(std::fs::read(&file).context(format!("read {}", file.display()))?);
    }
    Ok(inputs)
}

/// Fills `tree` with a minimal Debian and these packages more.
pub(crate) async fn bootstrap(tree: &Path, packages: &[&str]) -> Result<()> {
    let sources = sources()?;
    let mirror = mirror(&sources).ok_or_else(|| {
        Error::new("make the Debian image", format!("this machine's apt has no source for Debian 12 ({SUITE})"))
            .remedy("run the lab on Debian 12")
    })?;
    let target = tree.display().to_string();
    let include = format!("--include={}", packages.join(","));
    let mut args = vec!["--variant=minbase"];
    if !packages.is_empty() {
        args.push(&include);
    }
    args.extend([SUITE, &target, mirror]);
    Command::new("debootstrap", args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
        .await
        .map_err(|error| error.remedy("check that apt-get update works on this machine; then run it again"))?;
    let own_sources = tree.join("etc/apt/sources.list");
    if own_sources.exists() {
        std::fs::remove_file(&own_sources).context("remove debootstrap's package sources")?;
    }
    for file in machine_files()? {
        copy(&file, &tree.join(file.strip_prefix("/").unwrap_or(&file)))?;
    }
    copy(&Path::new("/").join(CA_BUNDLE), &tree.join(CA_BUNDLE))?;
    // As in Debian's own images: services do not start inside a build.
    let policy = tree.join("usr/sbin/policy-rc.d");
    std::fs::write(&policy, "#!/bin/sh\nexit 101\n").context("write policy-rc.d")?;
    run("chmod", &["755", &policy.display().to_string()]).await?;
    let clean = "cd \"$1\" && rm -rf var/lib/apt/lists/* var/cache/apt/archives/*.deb var/cache/apt/*.bin var/log/*.log \
        etc/hostname etc/resolv.conf dev/* && mkdir -p proc sys dev";
    run("sh", &["-c", clean, "sh", &target]).await.map(drop)
}

/// The files that tell apt where packages are and how to get them.
fn machine_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let folders = ["/etc/apt/sources.list.d", "/etc/apt/auth.conf.d", "/etc/apt/keyrings", "/usr/local/share/ca-certificates"];
    for folder in folders.into_iter().chain(["/etc/apt/apt.conf.d"]) {
        for file in files_in(Path::new(folder))? {
            let name = file.display().to_string();
            let wanted = match folder {
                "/etc/apt/sources.list.d" => name.ends_with(".list") || name.ends_with(".sources"),
                "/etc/apt/apt.conf.d" => tells_how_to_fetch(&std::fs::read_to_string(&file).unwrap_or_default()),
                _ => true,
            };
            if wanted {
                files.push(file);
            }
        }
    }
    files.extend(["/etc/apt/sources.list", "/etc/apt/auth.conf"].map(PathBuf::from).into_iter().filter(|file| file.is_file()));
    Ok(files)
}

/// Whether an apt setting is about fetching (proxies, certificates, retries), not about the desktop's indexes.
fn tells_how_to_fetch(settings: &str) -> bool {
    settings.contains("Acquire") && !settings.contains("IndexTargets") && !settings.contains("GzipIndexes")
}

fn sources() -> Result<String> {
    let files = machine_files()?.into_iter().filter(|file| file.starts_with("/etc/apt/sources.list.d") || file.ends_with("sources.list"));
    let mut all = String::new();
    for file in files {
        all.push_str(&std::fs::read_to_string(&file).context(format!("read {}", file.display()))?);
        all.push_str("\n\n");
    }
    Ok(all)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|file| file.is_file()).collect();
    files.sort();
    Ok(files)
}

/// The first address in the machine's sources that has Debian 12's main suite, in either of apt's two notations.
fn mirror(sources: &str) -> Option<&str> {
    let one_line = sources.lines().find_map(|line| {
        let line = line.trim().strip_prefix("deb ")?.trim_start();
        let line = if line.starts_with('[') { line.split_once(']')?.1 } else { line };
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?;
        (words.next() == Some(SUITE)).then_some(address)
    });
    one_line.or_else(|| {
        sources.split("\n\n").find_map(|entry| {
            let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let enabled = field("Enabled").is_none_or(|value| value.trim() != "no");
            let has_suite = field("Suites")?.split_ascii_whitespace().any(|suite| suite == SUITE);
            (enabled && has_suite).then(|| field("URIs")?.split_ascii_whitespace().next()).flatten()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_notations() {
        let deb822 = "Types: deb\nURIs: http://security.example/debian\nSuites: bookworm-security\n\n\
                      Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n";
        assert_eq!(mirror(deb822), Some("http://mirror.example/debian"));
        let list = "# deb http://no.example bookworm main\ndeb [signed-by=/k] https://one.example/debian bookworm main\n";
        assert_eq!(mirror(list), Some("https://one.example/debian"));
        assert_eq!(mirror("Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: bookworm\n"), None);
        assert_eq!(mirror("deb http://new.example trixie main\n"), None);
    }

    #[test]
    fn desktop_settings_stay_behind() {
        assert!(tells_how_to_fetch("Acquire::http::Proxy \"http://proxy.example\";"));
        assert!(!tells_how_to_fetch("Acquire::IndexTargets { deb::DEP-11 {} };"));
        assert!(!tells_how_to_fetch("APT::NeverAutoRemove {};"));
    }
}
