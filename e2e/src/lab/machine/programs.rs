//! The programs of the lab, built from the Go modules in `e2e/lab/programs` into the cache.
//!
//! A module's folder in the cache is named after what it was built from, and appears in one piece: a build that died
//! leaves only a temporary folder, which the next build removes.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::command::{Command, on_path, run};
use crate::lab::{Context, Error, Result, paths::Paths};

/// One Go module and the programs that come out of it.
pub(crate) struct Module {
    /// The folder in `e2e/lab/programs`.
    pub(crate) name: &'static str,
    /// How long the first build takes on two cores.
    pub(crate) takes: &'static str,
    /// What it builds: the module's tools, or one package under a name of its own.
    target: Target,
    cgo: bool,
    tags: &'static str,
    ldflags: &'static str,
    files: Option<Files>,
}

/// Files that programs read and that their Go module carries.
struct Files {
    module: &'static str,
    folders: &'static [&'static str],
    /// The folder beside the programs that gets them.
    to: &'static str,
}

enum Target {
    Tools(&'static [&'static str]),
    Package(&'static str, &'static str),
}

const KUBERNETES_VERSION: &str = "-X k8s.io/component-base/version.gitVersion=v1.37.2 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37 \
    -X k8s.io/component-base/version.gitTreeState=clean";

/// Every module, the quick ones first.
pub(crate) const MODULES: [Module; 10] = [
    tools("etcd", "20 s", Target::Package("go.etcd.io/etcd/server/v3", "etcd"), ""),
    Module {
        name: "runc",
        takes: "15 s",
        target: Target::Package("github.com/opencontainers/runc", "runc"),
        cgo: true,
        tags: "seccomp osusergo netgo",
        ldflags: "-extldflags -static",
        files: None,
    },
    tools("registry", "50 s", Target::Tools(&["registry", "crane"]), ""),
    tools("containerd", "50 s", Target::Tools(&["containerd", "containerd-shim-runc-v2", "ctr"]), ""),
    tools("buildkit", "1 min", Target::Tools(&["buildkitd", "buildctl"]), ""),
    tools("kustomize", "20 s", Target::Tools(&["kustomize"]), ""),
    tools("helm", "1.5 min", Target::Tools(&["helm"]), ""),
    tools(
        "kubernetes",
        "7 min",
        Target::Tools(&["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "kube-proxy"]),
        KUBERNETES_VERSION,
    ),
    Module {
        name: "gitea",
        takes: "3 min",
        target: Target::Package("code.gitea.io/gitea", "gitea"),
        cgo: true,
        tags: "sqlite sqlite_unlock_notify",
        ldflags: "",
        // Translations, page templates and icons.
        files: Some(Files { module: "code.gitea.io/gitea", folders: &["options", "templates", "public"], to: "static" }),
    },
    Module {
        name: "argocd",
        takes: "3.5 min",
        target: Target::Package("github.com/argoproj/argo-cd/v3/cmd", "argocd"),
        cgo: false,
        tags: "",
        ldflags: "-X github.com/argoproj/argo-cd/v3/common.version=3.2.6",
        // The definitions of its kinds and its settings.
        files: Some(Files {
            module: "github.com/argoproj/argo-cd/v3",
            folders: &["manifests/crds", "manifests/base/config"],
            to: "manifests",
        }),
    },
];

const fn tools(name: &'static str, takes: &'static str, target: Target, ldflags: &'static str) -> Module {
    Module { name, takes, target, cgo: false, tags: "", ldflags, files: None }
}

/// Where the built programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folders: Vec<(&'static str, PathBuf)>,
    key: String,
}

impl Programs {
    /// The folders that this checkout's modules are, or will be, built into.
    pub(crate) async fn of(checkout: &Path, paths: &Paths) -> Result<Self> {
        if !on_path("go") {
            return Err(Error::new("build the lab's programs", "there is no `go` on the path").remedy("install Go 1.26 or newer"));
        }
        let go = run("go", &["env", "GOVERSION"]).await?;
        let mut folders = Vec::new();
        let mut keys = String::new();
        for module in &MODULES {
            let source = source(checkout, module);
            let read = |name: &str| std::fs::read(source.join(name)).context(format!("read {}", source.join(name).display()));
            let key = key(&read("go.mod")?, &read("go.sum")?, &flags(module), go.trim());
            folders.push((module.name, paths.cache().join("programs").join(format!("{}-{key}", module.name))));
            keys.push_str(&key);
        }
        Ok(Self { folders, key: short_hash(keys.as_bytes()) })
    }

    /// What all programs together were built from.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The folder of a module's programs.
    pub(crate) fn folder(&self, module: &str) -> PathBuf {
        self.folders.iter().find(|(name, _)| *name == module).map(|(_, folder)| folder.clone()).unwrap_or_default()
    }

    /// One program.
    pub(crate) fn program(&self, module: &str, program: &str) -> PathBuf {
        self.folder(module).join(program)
    }

    /// What to put on the path to have the programs that people and pods' logs use.
    pub(crate) fn path_additions(&self) -> Vec<PathBuf> {
        ["kubernetes", "helm", "kustomize", "registry", "argocd"].iter().map(|module| self.folder(module)).collect()
    }

    /// Whether a module is built.
    pub(crate) fn is_built(&self, module: &Module) -> bool {
        let folder = self.folder(module.name);
        match module.target {
            Target::Tools(names) => names.iter().all(|name| folder.join(name).is_file()),
            Target::Package(_, name) => folder.join(name).is_file(),
        }
    }

    /// Builds a module into the cache.
    pub(crate) async fn build(&self, checkout: &Path, module: &Module) -> Result<()> {
        let folder = self.folder(module.name);
        let temporary = folder.with_extension("building");
        fresh_folder(&temporary)?;
        let mut args = flags(module);
        args.push("-o".into());
        match module.target {
            Target::Tools(_) => args.extend([format!("{}/", temporary.display()), "tool".into()]),
            Target::Package(package, name) => args.extend([temporary.join(name).display().to_string(), package.into()]),
        }
        let build = Command::new("go", args)
            .dir(&source(checkout, module))
            .env("CGO_ENABLED", if module.cgo { "1" } else { "0" })
            .env("GOWORK", "off");
        build.run().await.map_err(|error| {
            error.remedy("if a module could not be fetched, check GOPROXY and run it again: what was built stays built")
        })?;
        if let Some(files) = &module.files {
            copy_files(&source(checkout, module), files, &temporary.join(files.to)).await?;
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context(format!("remove {}", folder.display()))?;
        }
        std::fs::rename(&temporary, &folder).context(format!("move {} into place", folder.display()))
    }
}

/// Copies each folder of `files` under its last name into `to`. Those in Go's cache are read-only.
async fn copy_files(source: &Path, files: &Files, to: &Path) -> Result<()> {
    let list = Command::new("go", ["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", files.module]);
    let from = list.dir(source).env("GOWORK", "off").run().await?;
    std::fs::create_dir_all(to).context(format!("make {}", to.display()))?;
    let to = to.display().to_string();
    for folder in files.folders {
        run("cp", &["-r", &format!("{}/{folder}", from.trim()), &to]).await?;
    }
    run("chmod", &["-R", "u+w,a+rX", &to]).await.map(drop)
}

/// An empty folder at `path`.
pub(crate) fn fresh_folder(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path).context(format!("remove {}", path.display()))?;
    }
    std::fs::create_dir_all(path).context(format!("make {}", path.display()))
}

fn source(checkout: &Path, module: &Module) -> PathBuf {
    checkout.join("e2e/lab/programs").join(module.name)
}

/// The arguments of `go` that decide what comes out.
fn flags(module: &Module) -> Vec<String> {
    let mut flags = vec!["build".to_owned(), "-mod=readonly".into(), "-trimpath".into(), "-buildvcs=false".into()];
    if !module.tags.is_empty() {
        flags.extend(["-tags".into(), module.tags.into()]);
    }
    flags.push(format!("-ldflags={}", format!("-s -w {}", module.ldflags).trim()));
    flags
}

/// A name for what a module is built from.
fn key(go_mod: &[u8], go_sum: &[u8], flags: &[String], go: &str) -> String {
    let mut all = Vec::new();
    for part in [go_mod, go_sum, flags.join("\n").as_bytes(), go.as_bytes()] {
        all.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        all.extend_from_slice(part);
    }
    short_hash(&all)
}

/// Sixteen hexadecimal digits that stand for `bytes`.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes)).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_depends_on_everything_that_is_built_from() {
        let flags = vec!["-trimpath".to_owned()];
        let base = key(b"mod", b"sum", &flags, "go1.26");
        assert_eq!(base.len(), 16);
        assert_eq!(base, key(b"mod", b"sum", &flags, "go1.26"));
        assert_ne!(base, key(b"mod2", b"sum", &flags, "go1.26"));
        assert_ne!(base, key(b"mods", b"um", &flags, "go1.26"));
        assert_ne!(base, key(b"mod", b"sum", &[], "go1.26"));
        assert_ne!(base, key(b"mod", b"sum", &flags, "go1.27"));
    }

    #[test]
    fn kubernetes_knows_its_version() {
        let kubernetes = MODULES.iter().find(|module| module.name == "kubernetes").unwrap();
        assert!(flags(kubernetes).iter().any(|flag| flag.starts_with("-ldflags=-s -w -X") && flag.contains("v1.37.2")));
    }
}
