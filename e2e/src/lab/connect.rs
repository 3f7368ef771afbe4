//! What a story starts with: a cluster, a registry and a forge.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::machine::{checkout, command::Command, programs::Programs};
use super::{
    Context, Error, Result, address,
    argocd::ArgoCd,
    audit::AuditLog,
    forge::Forge,
    paths::Paths,
    registry::Registry,
    state::{Phase, State},
};

/// A cluster, a registry and a forge to tell a story in.
#[derive(Clone, Debug)]
pub struct Lab {
    kubeconfig: PathBuf,
    registry: Registry,
    forge: Forge,
    audit: Option<AuditLog>,
    /// The cluster as its Argo CD names it.
    cluster: &'static str,
}

impl Lab {
    /// Those named by `MAINSTAY_E2E_KUBECONFIG`, `MAINSTAY_E2E_REGISTRY`, `MAINSTAY_E2E_FORGE` and their fellows (see
    /// [`Self::from_env`]) if the first is set, else those of the lab on this machine.
    pub fn connect() -> Result<Self> {
        use_ring();
        if variable("MAINSTAY_E2E_KUBECONFIG").is_some() { Self::from_env() } else { Self::of_machine(&Paths::from_env()?) }
    }

    /// The lab that `cargo lab up` started.
    pub fn of_machine(paths: &Paths) -> Result<Self> {
        use_ring();
        let unready = |cause: &str| Error::new("connect to the lab", cause).remedy("start it: cargo lab up");
        let state = State::load(paths)?.ok_or_else(|| unready("there is none on this machine"))?;
        let token = state.forge_token.filter(|_| state.phase == Phase::Up);
        let token = token.ok_or_else(|| unready("it is not up yet, or died while it came up"))?;
        Ok(Self {
            kubeconfig: paths.kubeconfig("admin"),
            registry: Registry::new(address::REGISTRY, true, address::USER, &state.registry_password)?,
            forge: Forge::new(address::FORGE, address::USER, &state.forge_password, &token)?,
            audit: Some(AuditLog::new(paths.audit_log())),
            cluster: address::API_SERVER,
        })
    }

    /// A cluster, registry and forge that you have, all from the environment:
    /// `MAINSTAY_E2E_KUBECONFIG`; `MAINSTAY_E2E_REGISTRY` (`host:port`), `…_REGISTRY_USER`, `…_REGISTRY_PASSWORD`,
    /// `…_REGISTRY_PLAIN_HTTP` (`true` or absent); `MAINSTAY_E2E_FORGE` (Gitea's base address), `…_FORGE_USER`,
    /// `…_FORGE_PASSWORD`, `…_FORGE_TOKEN`; and, if the cluster's audit log is a file here, `MAINSTAY_E2E_AUDIT_LOG`.
    pub fn from_env() -> Result<Self> {
        use_ring();
        let get = |name: &str| {
            variable(name).ok_or_else(|| {
                Error::new("take the cluster, registry and forge from the environment", format!("{name} is not set"))
                    .remedy(format!("set {name}, or unset MAINSTAY_E2E_KUBECONFIG to use the lab"))
            })
        };
        let plain_http = variable("MAINSTAY_E2E_REGISTRY_PLAIN_HTTP").is_some_and(|value| value == "true");
        Ok(Self {
            kubeconfig: get("MAINSTAY_E2E_KUBECONFIG")?.into(),
            registry: Registry::new(
                &get("MAINSTAY_E2E_REGISTRY")?,
                plain_http,
                &get("MAINSTAY_E2E_REGISTRY_USER")?,
                &get("MAINSTAY_E2E_REGISTRY_PASSWORD")?,
            )?,
            forge: Forge::new(
                &get("MAINSTAY_E2E_FORGE")?,
                &get("MAINSTAY_E2E_FORGE_USER")?,
                &get("MAINSTAY_E2E_FORGE_PASSWORD")?,
                &get("MAINSTAY_E2E_FORGE_TOKEN")?,
            )?,
            audit: variable("MAINSTAY_E2E_AUDIT_LOG").map(AuditLog::new),
            cluster: "https://kubernetes.default.svc",
        })
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with the rights of an administrator.
    pub async fn client(&self) -> Result<kube::Client> {
        let what = || format!("use {}", self.kubeconfig.display());
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).context(what())?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.context(what())?;
        kube::Client::try_from(config).context(what())
    }

    /// Argo CD, with the rights of an administrator. In a cluster of yours it lives in the namespace `argocd` and deploys to its own cluster.
    pub async fn argocd(&self) -> Result<ArgoCd> {
        Ok(ArgoCd::new(self.client().await?, self.cluster))
    }

    /// Runs kubectl, helm, kustomize, crane or argocd against this lab, and gives what it prints.
    ///
    /// # Errors
    /// Where it fails: with the end of what it said.
    pub async fn run(&self, program: &str, args: &[impl AsRef<str>]) -> Result<String> {
        self.run_with(program, args, "").await
    }

    /// As [`Self::run`], with this on its standard input.
    ///
    /// # Errors
    /// Where it fails: with the end of what it said.
    pub async fn run_with(&self, program: &str, args: &[impl AsRef<str>], input: &str) -> Result<String> {
        let tools = Programs::of(&checkout()?, &Paths::from_env()?).await?;
        let inherited = std::env::var("PATH").unwrap_or_default();
        let own = if self.audit.is_some() { tools.path_additions() } else { Vec::new() };
        let path: Vec<String> = own.iter().map(|folder| folder.display().to_string()).chain([inherited]).collect();
        // The program is looked up on the path that it gets, not on ours.
        let program = own.iter().map(|folder| folder.join(program)).find(|at| at.is_file()).unwrap_or_else(|| program.into());
        let command = Command::new(program, args.iter().map(AsRef::as_ref)).env("PATH", path.join(":"));
        command.env("KUBECONFIG", self.kubeconfig.as_os_str()).input(input).run().await
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The forge.
    pub fn forge(&self) -> &Forge {
        &self.forge
    }

    /// The API server's audit log; `None` for a cluster that keeps it elsewhere.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.audit.as_ref()
    }

    /// The full name of an image in the registry: `library/busybox:1` becomes `10.88.0.1:5000/library/busybox:1`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }
}

/// A client for the lab's addresses: with a deadline, past any proxy of the machine, and with `ca` as the only CA if given.
pub(crate) fn http_client(ca: Option<&Path>) -> Result<reqwest::Client> {
    use_ring();
    let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(120));
    if let Some(ca) = ca {
        let pem = std::fs::read(ca).context(format!("read {}", ca.display()))?;
        builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).context("read the lab's CA")?]).no_proxy();
    }
    builder.build().context("make an HTTP client")
}

/// Makes ring the TLS provider of this process, once.
fn use_ring() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been quicker, with the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
