//! containerd: its configuration, its CNI network, and how it gets at the registry.

use base64::Engine;
use serde_json::json;

use super::{
    processes::{Process, Ready},
    programs::Programs,
};
use crate::lab::{Context, Result, address, paths::Paths, state::write_private};

/// Writes what containerd and the CNI plugins read.
pub(crate) fn configure(paths: &Paths, registry_password: &str) -> Result<()> {
    let registry = paths.at("containerd/certs.d").join(address::REGISTRY);
    for folder in [&registry, &paths.at("cni/conf")] {
        std::fs::create_dir_all(folder).context(format!("make {}", folder.display()))?;
    }
    std::fs::write(paths.at("containerd/config.toml"), config(paths)).context("write containerd's configuration")?;
    std::fs::write(paths.at("cni/conf/10-lab.conflist"), network(paths)).context("write the CNI configuration")?;
    write_private(&registry.join("hosts.toml"), hosts(registry_password).as_bytes())
}

/// containerd. It finds runc and its shim on its path.
pub(crate) fn process(paths: &Paths, programs: &Programs) -> Process {
    let own = [programs.folder("containerd"), programs.folder("runc")];
    let inherited = std::env::var("PATH").unwrap_or_default();
    let path: Vec<String> = own.iter().map(|folder| folder.display().to_string()).chain([inherited]).collect();
    Process {
        name: "containerd",
        address: format!("unix://{}", paths.containerd_socket().display()),
        program: programs.program("containerd", "containerd"),
        args: vec!["-c".into(), paths.at("containerd/config.toml").display().to_string()],
        env: vec![("PATH", path.join(":"))],
        as_nobody: false,
        ready: Ready::Socket(paths.containerd_socket()),
    }
}

/// The image of the container that holds a pod's namespaces.
pub(crate) fn pause_image() -> String {
    format!("{}/mainstay/pause:lab", address::REGISTRY)
}

fn config(paths: &Paths) -> String {
    let folder = paths.at("containerd");
    let (folder, conf) = (folder.display(), paths.at("cni/conf"));
    let (socket, conf, pause) = (paths.containerd_socket(), conf.display(), pause_image());
    format!(
        r#"version = 3
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{socket}"
[plugins.'io.containerd.cri.v1.runtime']
  # The machine may not let us lower a score.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{conf}"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "{folder}/runc"
[plugins.'io.containerd.internal.v1.opt']
  path = "{folder}/opt"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images']
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{pause}"
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = "{folder}/certs.d"
"#,
        socket = socket.display(),
    )
}

/// Pods hang on the bridge, get an address of its range, and leave the machine under its address.
fn network(paths: &Paths) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": address::BRIDGE,
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": paths.at("cni/networks"),
                    "ranges": [[{"subnet": address::POD_CIDR, "gateway": address::NODE_IP}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

/// The node reads the registry over plain HTTP, with the password, so that pods need no pull secret for it.
fn hosts(password: &str) -> String {
    let url = format!("http://{}", address::REGISTRY);
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", address::USER));
    format!(
        "server = \"{url}\"\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  \
         [host.\"{url}\".header]\n    Authorization = \"Basic {basic}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_containerd_is_below_the_run_folder() {
        let config = config(&Paths::new("/run/lab", "/cache"));
        assert!(config.contains("state = \"/run/lab/containerd/state\""));
        assert!(config.contains("Root = \"/run/lab/containerd/runc\""));
        assert!(config.contains("netns_mounts_under_state_dir = true"));
        assert!(network(&Paths::new("/run/lab", "/cache")).contains("/run/lab/cni/networks"));
    }

    #[test]
    fn the_node_reads_with_the_password() {
        assert!(hosts("secret").contains("Basic bWFpbnN0YXk6c2VjcmV0"));
    }
}
