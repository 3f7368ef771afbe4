//! Where the lab keeps things: what may be kept for long (the cache) and what goes with `down` (the run folder).

use std::path::{Path, PathBuf};

use super::{Error, Result};

/// The two folders of the lab.
#[derive(Clone, Debug)]
pub struct Paths {
    run: PathBuf,
    cache: PathBuf,
}

impl Paths {
    /// The folders of a lab kept elsewhere.
    pub fn new(run: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { run: run.into(), cache: cache.into() }
    }

    /// `$MAINSTAY_LAB_DIR`, else `/var/lib/mainstay-lab`; `$MAINSTAY_LAB_CACHE`, else `mainstay-lab` in the user's cache.
    pub fn from_env() -> Result<Self> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let run = folder("MAINSTAY_LAB_DIR").unwrap_or_else(|| "/var/lib/mainstay-lab".into());
        let cache = folder("MAINSTAY_LAB_CACHE")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("mainstay-lab")))
            .or_else(|| Some(folder("HOME")?.join(".cache/mainstay-lab")))
            .ok_or_else(|| Error::new("find the cache folder", "none of MAINSTAY_LAB_CACHE, XDG_CACHE_HOME, HOME is set"))?;
        if !run.is_absolute() || !cache.is_absolute() {
            return Err(Error::new("find the lab's folders", "MAINSTAY_LAB_DIR and MAINSTAY_LAB_CACHE must be absolute"));
        }
        Ok(Self { run, cache })
    }

    /// What `down` removes.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// What outlives `down`: programs and base images.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// A file or folder below the run folder.
    pub fn at(&self, below: impl AsRef<Path>) -> PathBuf {
        self.run.join(below)
    }

    /// What the lab knows about itself.
    pub fn state(&self) -> PathBuf {
        self.at("state.json")
    }

    /// The certificate of the lab's own CA.
    pub fn ca(&self) -> PathBuf {
        self.at("pki/ca.crt")
    }

    /// The kubeconfig of one user: `admin`, `node`, …
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.at("kubeconfig").join(user)
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.at("audit/audit.log")
    }

    /// The log of one process.
    pub fn log(&self, process: &str) -> PathBuf {
        self.at("log").join(format!("{process}.log"))
    }

    /// The socket of containerd.
    pub fn containerd_socket(&self) -> PathBuf {
        self.at("containerd/containerd.sock")
    }

    /// Where the logs of a lab that failed to start are kept.
    pub fn last_failure(&self) -> PathBuf {
        self.cache.join("last-failure")
    }
}
