//! etcd, the API server, the controller manager and the scheduler.

use super::{
    processes::{Process, Ready},
    programs::Programs,
};
use crate::lab::{Context, Result, address, paths::Paths};

/// Every request, once it is answered (or its stream begins), with who, what and when, without bodies.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n";

/// Writes what the control plane reads.
pub(crate) fn configure(paths: &Paths) -> Result<()> {
    let folder = paths.at("audit");
    std::fs::create_dir_all(&folder).context(format!("make {}", folder.display()))?;
    std::fs::write(folder.join("policy.yaml"), AUDIT_POLICY).context("write the audit policy")
}

/// etcd, on the loopback. Nothing of a throw-away cluster must survive a power cut, so it does not wait for the disk.
pub(crate) fn etcd(paths: &Paths, programs: &Programs) -> Process {
    process(
        "etcd",
        "http://127.0.0.1:2379",
        programs.program("etcd", "etcd"),
        "http://127.0.0.1:2379/health",
        vec![
            format!("--data-dir={}", paths.at("etcd").display()),
            "--listen-client-urls=http://127.0.0.1:2379".into(),
            "--advertise-client-urls=http://127.0.0.1:2379".into(),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-cluster=default=http://127.0.0.1:2380".into(),
            "--unsafe-no-fsync".into(),
        ],
    )
}

/// The API server, with a certificate of the lab's CA, an audit log, and the kubelet's certificate verified.
pub(crate) fn api_server(paths: &Paths, programs: &Programs) -> Process {
    let at = |below: &str| paths.at(below).display().to_string();
    let ready = format!("{}/readyz", address::API_SERVER);
    process(
        "kube-apiserver",
        address::API_SERVER,
        programs.program("kubernetes", "kube-apiserver"),
        &ready,
        vec![
            "--etcd-servers=http://127.0.0.1:2379".into(),
            format!("--bind-address={}", address::NODE_IP),
            format!("--advertise-address={}", address::NODE_IP),
            "--secure-port=6443".into(),
            format!("--tls-cert-file={}", at("pki/apiserver.crt")),
            format!("--tls-private-key-file={}", at("pki/apiserver.key")),
            format!("--service-account-key-file={}", at("pki/sa.pub")),
            format!("--service-account-signing-key-file={}", at("pki/sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--token-auth-file={}", at("tokens.csv")),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            format!("--service-cluster-ip-range={}", address::SERVICE_CIDR),
            "--allow-privileged=true".into(),
            "--kubelet-preferred-address-types=InternalIP".into(),
            format!("--kubelet-certificate-authority={}", at("pki/ca.crt")),
            format!("--kubelet-client-certificate={}", at("pki/apiserver-kubelet-client.crt")),
            format!("--kubelet-client-key={}", at("pki/apiserver-kubelet-client.key")),
            format!("--audit-policy-file={}", at("audit/policy.yaml")),
            format!("--audit-log-path={}", paths.audit_log().display()),
            "--audit-log-maxsize=4096".into(),
        ],
    )
}

/// The controller manager.
pub(crate) fn controller_manager(paths: &Paths, programs: &Programs) -> Process {
    let name = "kube-controller-manager";
    let mut args = follower_args(paths, name, "controller-manager", 10257);
    args.push(format!("--service-account-private-key-file={}", paths.at("pki/sa.key").display()));
    args.push(format!("--root-ca-file={}", paths.ca().display()));
    args.push("--use-service-account-credentials=true".into());
    let url = format!("https://{}:10257", address::NODE_IP);
    process(name, &url, programs.program("kubernetes", name), &format!("{url}/healthz"), args)
}

/// The scheduler.
pub(crate) fn scheduler(paths: &Paths, programs: &Programs) -> Process {
    let name = "kube-scheduler";
    let url = format!("https://{}:10259", address::NODE_IP);
    let args = follower_args(paths, name, "scheduler", 10259);
    process(name, &url, programs.program("kubernetes", name), &format!("{url}/healthz"), args)
}

/// What the two programs have in common that only talk to the API server.
fn follower_args(paths: &Paths, name: &str, user: &str, port: u16) -> Vec<String> {
    let kubeconfig = paths.kubeconfig(user).display().to_string();
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--bind-address={}", address::NODE_IP),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", paths.at(format!("pki/{name}.crt")).display()),
        format!("--tls-private-key-file={}", paths.at(format!("pki/{name}.key")).display()),
        "--leader-elect=false".into(),
    ]
}

fn process(name: &'static str, at: &str, program: std::path::PathBuf, ready: &str, args: Vec<String>) -> Process {
    let ready = Ready::Http(ready.into(), 200);
    Process { name, address: at.into(), program, args, env: Vec::new(), as_nobody: false, ready }
}
