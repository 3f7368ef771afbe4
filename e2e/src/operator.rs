//! Mainstay in the cluster, installed as a user does: with Helm, from the chart of this checkout.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::lab::machine::{self, push_program};
use crate::lab::paths::Paths;
use crate::lab::{Context, Error, Lab, Result};

/// Namespace of the operator.
pub const NAMESPACE: &str = "mainstay-system";

/// Release and Deployment.
pub const RELEASE: &str = "mainstay";

/// The name that the API server's audit log has for it.
pub const ACCOUNT: &str = "system:serviceaccount:mainstay-system:mainstay";

/// The program: `MAINSTAY_OPERATOR_BINARY`, else what `make operator` built.
///
/// # Errors
/// Where it is not there.
pub fn program(checkout: &Path) -> Result<PathBuf> {
    let named = std::env::var_os("MAINSTAY_OPERATOR_BINARY").map(PathBuf::from);
    let program = named.unwrap_or_else(|| checkout.join("target/x86_64-unknown-linux-musl/release/mainstay"));
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::new("find the operator", format!("{} is not there", program.display())).remedy("build it: make operator"))
}

/// Pushes the program as an image and gives its tag, which is the program's hash, and its digest. The same program changes nothing.
///
/// # Errors
/// Where the registry says no.
pub async fn publish(lab: &Lab) -> Result<(String, String)> {
    let program = program(&machine::checkout()?)?;
    let bytes = std::fs::read(&program).context(format!("read {}", program.display()))?;
    let tag = hex::encode(Sha256::digest(&bytes)).chars().take(12).collect::<String>();
    let digest = push_program(&Paths::from_env()?, lab.registry(), &program, "mainstay", &tag).await?;
    Ok((tag, digest))
}

/// The values that the lab installs with.
///
/// # Errors
/// Where there is no checkout.
pub fn values() -> Result<PathBuf> {
    Ok(machine::checkout()?.join("e2e/lab/values.yaml"))
}

/// Installs or upgrades the chart of this checkout, with what [`publish`] pushes. Whatever installed the operator before, it is Helm's then.
///
/// # Errors
/// Where Helm or the registry says no.
pub async fn install(lab: &Lab, settings: &[(&str, &str)]) -> Result<()> {
    install_chart(lab, &machine::checkout()?.join("charts/mainstay"), settings).await
}

/// As [`install`], from another chart.
///
/// # Errors
/// Where Helm or the registry says no.
pub async fn install_chart(lab: &Lab, chart: &Path, settings: &[(&str, &str)]) -> Result<()> {
    let (tag, _) = publish(lab).await?;
    let mut args: Vec<String> = ["upgrade", "--install", RELEASE].map(str::to_owned).into();
    args.push(chart.display().to_string());
    args.extend(["--take-ownership", "--force-conflicts"].map(str::to_owned));
    args.extend(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m", "--values"].map(str::to_owned));
    args.extend([values()?.display().to_string(), "--set-string".to_owned(), format!("image.tag={tag}")]);
    for (key, value) in settings {
        args.extend(["--set".to_owned(), format!("{key}={value}")]);
    }
    lab.run("helm", &args).await.map(drop)
}

/// Removes the release, where there is one. The kinds stay, and with them all objects.
///
/// # Errors
/// Where Helm says no.
pub async fn uninstall(lab: &Lab) -> Result<()> {
    let args = ["uninstall", RELEASE, "--namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout", "2m"];
    lab.run("helm", &args).await.map(drop)
}

/// Ends the operator's pod the hard way, and waits until its successor is ready.
///
/// # Errors
/// Where the cluster does not answer.
pub async fn kill(lab: &Lab) -> Result<()> {
    let select = ["-n", NAMESPACE, "delete", "pod", "-l", "app.kubernetes.io/name=mainstay", "--grace-period=0", "--force"];
    lab.run("kubectl", &select).await?;
    lab.run("kubectl", &["-n", NAMESPACE, "rollout", "status", "deployment/mainstay", "--timeout=2m"]).await.map(drop)
}

/// Where hooks reach the operator: `MAINSTAY_E2E_WEBHOOK`, else the address of its Service inside the cluster, which the lab's forge reaches as well.
///
/// # Errors
/// Where there is no such Service.
pub async fn webhook(lab: &Lab) -> Result<String> {
    if let Some(named) = std::env::var("MAINSTAY_E2E_WEBHOOK").ok().filter(|named| !named.is_empty()) {
        return Ok(named.trim_end_matches('/').to_owned());
    }
    let ask = ["-n", NAMESPACE, "get", "service", "mainstay-webhook", "-o", "jsonpath={.spec.clusterIP}"];
    Ok(format!("http://{}", lab.run("kubectl", &ask).await?.trim()))
}

/// What the operator counts.
///
/// # Errors
/// Where it does not answer.
pub async fn metrics(lab: &Lab) -> Result<String> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services/mainstay:metrics/proxy/metrics");
    lab.run("kubectl", &["get", "--raw", &path]).await
}
