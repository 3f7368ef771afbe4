//! What makes the machine a node: the kubelet and kube-proxy.

use serde_json::json;

use super::{
    processes::{Process, Ready},
    programs::Programs,
};
use crate::lab::{Context, Result, address, paths::Paths};

/// Writes what the two read.
pub(crate) fn configure(paths: &Paths) -> Result<()> {
    std::fs::create_dir_all(paths.at("kubelet/static-pods")).context("make the kubelet's folder")?;
    write(paths, "kubelet/config.json", &kubelet_config(paths))?;
    write(paths, "kubelet/proxy.json", &proxy_config(paths))
}

fn write(paths: &Paths, file: &str, content: &serde_json::Value) -> Result<()> {
    std::fs::write(paths.at(file), content.to_string()).context(format!("write {file}"))
}

/// The kubelet. It is the only one that may serve logs and `exec`, to those that the API server sends.
pub(crate) fn kubelet(paths: &Paths, programs: &Programs) -> Process {
    Process {
        name: "kubelet",
        address: format!("https://{}:10250", address::NODE_IP),
        program: programs.program("kubernetes", "kubelet"),
        args: vec![
            format!("--config={}", paths.at("kubelet/config.json").display()),
            format!("--kubeconfig={}", paths.kubeconfig("node").display()),
            format!("--root-dir={}", paths.at("kubelet/root").display()),
            format!("--cert-dir={}", paths.at("kubelet/pki").display()),
            format!("--hostname-override={}", address::NODE_NAME),
            format!("--node-ip={}", address::NODE_IP),
            "--node-labels=mainstay.dev/nix=true".into(),
        ],
        env: Vec::new(),
        as_nobody: false,
        ready: Ready::Http("http://127.0.0.1:10248/healthz".into(), 200),
    }
}

/// kube-proxy.
pub(crate) fn proxy(paths: &Paths, programs: &Programs) -> Process {
    let url = format!("http://{}:10256", address::NODE_IP);
    Process {
        name: "kube-proxy",
        program: programs.program("kubernetes", "kube-proxy"),
        args: vec![format!("--config={}", paths.at("kubelet/proxy.json").display()), format!("--hostname-override={}", address::NODE_NAME)],
        env: Vec::new(),
        as_nobody: false,
        ready: Ready::Http(format!("{url}/healthz"), 200),
        address: url,
    }
}

fn kubelet_config(paths: &Paths) -> serde_json::Value {
    let at = |below: &str| paths.at(below).display().to_string();
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address::NODE_IP,
        "tlsCertFile": at("pki/kubelet.crt"),
        "tlsPrivateKeyFile": at("pki/kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": at("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{}", paths.containerd_socket().display()),
        // Everything stays below the run folder, so that taking the lab down is removing it.
        "podLogsDir": at("kubelet/pod-logs"),
        "staticPodPath": at("kubelet/static-pods"),
        "volumePluginDir": at("kubelet/volume-plugins"),
        // The machine is what it is: cgroup v1, perhaps swap, no systemd, a disk that others fill too.
        "failCgroupV1": false,
        "failSwapOn": false,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": [],
        "evictionHard": {},
        "localStorageCapacityIsolation": false,
        "protectKernelDefaults": false,
        "resolvConf": "/etc/resolv.conf",
        // Tests make and remove many pods.
        "maxPods": 200,
        "imageGCHighThresholdPercent": 100,
        "registryPullQPS": 0,
        "serializeImagePulls": false,
    })
}

fn proxy_config(paths: &Paths) -> serde_json::Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": address::POD_CIDR,
        "clientConnection": {"kubeconfig": paths.kubeconfig("proxy")},
        "healthzBindAddress": format!("{}:10256", address::NODE_IP),
        "metricsBindAddress": "127.0.0.1:10249",
        // Zero leaves the machine's own limits alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelet_keeps_to_the_run_folder_and_trusts_only_the_ca() {
        let config = kubelet_config(&Paths::new("/run/lab", "/cache"));
        assert_eq!(config["podLogsDir"], "/run/lab/kubelet/pod-logs");
        assert_eq!(config["authentication"]["anonymous"]["enabled"], false);
        assert_eq!(config["authentication"]["x509"]["clientCAFile"], "/run/lab/pki/ca.crt");
    }
}
