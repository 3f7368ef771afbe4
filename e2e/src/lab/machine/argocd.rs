//! Argo CD without its user interface: Redis, the server that renders repositories, and the controller that applies them.
//!
//! Argo CD is one program that looks at the name it is called by, so the run folder has a link for each of its parts.

use base64::Engine;
use serde_json::{Value, json};

use super::{
    command::Command,
    credentials,
    processes::{Process, Ready},
    programs::Programs,
};
use crate::lab::{Context, Result, address, argocd::NAMESPACE, paths::Paths};

const CONTROLLER: &str = "argocd-application-controller";
const REPO_SERVER: &str = "argocd-repo-server";
const REDIS: &str = "redis-server";
/// Where the repository server listens, and where it and the controller say how they are.
const REPO_SERVER_AT: &str = "127.0.0.1:8091";
const REPO_SERVER_HEALTH: u16 = 8094;
/// Seconds after which Argo CD looks at a repository again. Nothing tells it about a push, and a story should not wait for long.
const RESYNC: u32 = 5;

/// Makes the folders and the names that the parts are called by.
pub(crate) fn configure(paths: &Paths, programs: &Programs) -> Result<()> {
    for folder in ["argocd/bin", "argocd/home", "argocd/tmp"] {
        std::fs::create_dir_all(paths.at(folder)).context(format!("make {folder}"))?;
    }
    let argocd = programs.program("argocd", "argocd");
    // Debian has Redis as a program of this name in redis-tools. Its package redis-server would start a service of the machine.
    let redis = std::path::PathBuf::from("/usr/bin/redis-check-rdb");
    for (name, program) in [(CONTROLLER, &argocd), (REPO_SERVER, &argocd), (REDIS, &redis)] {
        std::os::unix::fs::symlink(program, link(paths, name)).context(format!("link {name}"))?;
    }
    Ok(())
}

/// Installs its kinds, its settings, the project `default`, and this cluster as the one that it deploys to.
pub(crate) async fn install(paths: &Paths, programs: &Programs) -> Result<()> {
    let kubectl = async |args: &[&str], input: &str| {
        let cache = format!("--cache-dir={}", paths.at("argocd/tmp/kubectl").display());
        Command::new(programs.program("kubernetes", "kubectl"), [cache.as_str()].iter().chain(args))
            .env("KUBECONFIG", paths.kubeconfig("admin"))
            .input(input)
            .run()
            .await
    };
    let apply = ["apply", "--server-side", "--force-conflicts", "--namespace", NAMESPACE];
    // Ours are fields beside those of the settings that Argo CD comes with: a manager of their own keeps both.
    let ours = [&apply[..], &["--field-manager=mainstay-lab", "-f", "-"]].concat();
    let file = |name: &str| programs.program("argocd", "manifests").join(name).display().to_string();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    kubectl(&ours, &namespace.to_string()).await?;
    // Not the one of ApplicationSets: nothing here would serve them.
    let (applications, projects) = (file("crds/application-crd.yaml"), file("crds/appproject-crd.yaml"));
    kubectl(&[&apply[..], &["-f", &applications, "-f", &projects]].concat(), "").await?;
    kubectl(&[&apply[..], &["-k", &file("config")]].concat(), "").await?;
    let kinds = ["crd/applications.argoproj.io", "crd/appprojects.argoproj.io"];
    kubectl(&[&["wait", "--for=condition=Established", "--timeout=30s"], &kinds[..]].concat(), "").await?;
    let ca = std::fs::read(paths.ca()).context("read the lab's CA")?;
    let objects = objects(&credentials::token(paths, "argocd")?, &ca);
    kubectl(&ours, &objects.to_string()).await.map(drop)
}

/// Redis, on a socket that only its owner may open, in memory only.
pub(crate) fn redis(paths: &Paths) -> Process {
    let socket = redis_socket(paths);
    let at = socket.display().to_string();
    let args = ["--port", "0", "--unixsocket", &at, "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--maxmemory", "64mb"];
    Process {
        name: REDIS,
        address: format!("unix://{at}"),
        program: link(paths, REDIS),
        args: args.map(str::to_owned).into(),
        env: Vec::new(),
        as_nobody: false,
        ready: Ready::Socket(socket),
    }
}

/// What fetches repositories and runs kustomize and helm on them. It finds these, git and itself (for git's password) on its path.
pub(crate) fn repo_server(paths: &Paths, programs: &Programs) -> Process {
    let own = ["argocd", "kustomize", "helm"].map(|module| programs.folder(module).display().to_string());
    let path: Vec<String> = own.into_iter().chain([std::env::var("PATH").unwrap_or_default()]).collect();
    let mut env = environment(paths);
    env.extend([
        ("PATH", path.join(":")),
        ("ARGOCD_ASK_PASS_SOCK", paths.at("argocd/ask-pass.sock").display().to_string()),
        ("ARGOCD_GPG_ENABLED", "false".into()),
        ("ARGOCD_TLS_DATA_PATH", paths.at("argocd/tls").display().to_string()),
        ("ARGOCD_SSH_DATA_PATH", paths.at("argocd/ssh").display().to_string()),
        // A failed rendering is tried again with the next look, not an hour later.
        ("ARGOCD_PAUSE_GEN_AFTER_FAILED_ATTEMPTS", "0".into()),
    ]);
    let (host, port) = REPO_SERVER_AT.split_once(':').unwrap_or_default();
    Process {
        name: REPO_SERVER,
        address: format!("grpc://{REPO_SERVER_AT}"),
        program: link(paths, REPO_SERVER),
        args: vec![
            format!("--address={host}"),
            format!("--port={port}"),
            format!("--metrics-address={host}"),
            format!("--metrics-port={REPO_SERVER_HEALTH}"),
            format!("--redis={}", redis_socket(paths).display()),
            // How long it believes that a branch has not moved.
            format!("--revision-cache-expiration={RESYNC}s"),
            "--parallelismlimit=4".into(),
            "--disable-tls".into(),
            "--logformat=text".into(),
        ],
        env,
        as_nobody: false,
        ready: Ready::Http(format!("http://{host}:{REPO_SERVER_HEALTH}/healthz"), 200),
    }
}

/// What compares and applies, as the user `argocd`. It says how it is on every address: [`super::firewall::shield`] keeps others out.
pub(crate) fn controller(paths: &Paths) -> Process {
    let url = format!("http://127.0.0.1:{}", address::ARGOCD_HEALTH_PORT);
    Process {
        name: CONTROLLER,
        program: link(paths, CONTROLLER),
        args: vec![
            format!("--kubeconfig={}", paths.kubeconfig("argocd").display()),
            format!("--namespace={NAMESPACE}"),
            format!("--redis={}", redis_socket(paths).display()),
            format!("--repo-server={REPO_SERVER_AT}"),
            "--repo-server-plaintext".into(),
            format!("--metrics-port={}", address::ARGOCD_HEALTH_PORT),
            format!("--app-resync={RESYNC}"),
            "--app-resync-jitter=0".into(),
            "--status-processors=4".into(),
            "--operation-processors=2".into(),
            "--kubectl-parallelism-limit=4".into(),
            "--logformat=text".into(),
        ],
        env: environment(paths),
        as_nobody: false,
        ready: Ready::Http(format!("{url}/healthz"), 200),
        address: url,
    }
}

/// Everything that it writes stays below the run folder.
fn environment(paths: &Paths) -> Vec<(&'static str, String)> {
    let at = |below: &str| paths.at(below).display().to_string();
    vec![("HOME", at("argocd/home")), ("TMPDIR", at("argocd/tmp"))]
}

fn link(paths: &Paths, name: &str) -> std::path::PathBuf {
    paths.at("argocd/bin").join(name)
}

fn redis_socket(paths: &Paths) -> std::path::PathBuf {
    paths.at("argocd/redis.sock")
}

/// The cluster and the project that Applications name. The API server of Argo CD, which does not run here, would make the project and
/// the signing key; the controller refuses to read settings without that key, so it gets one that nobody uses.
fn objects(token: &str, ca: &[u8]) -> Value {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let config = json!({"bearerToken": token, "tlsClientConfig": {"insecure": false, "caData": ca}});
    let labels = |kind: &str| json!({"app.kubernetes.io/part-of": "argocd", "argocd.argoproj.io/secret-type": kind});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cluster-lab", "labels": labels("cluster")},
            "stringData": {"name": "lab", "server": address::API_SERVER, "config": config.to_string()},
        },
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "labels": {"app.kubernetes.io/part-of": "argocd"}},
            "stringData": {"server.secretkey": token},
        },
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "labels": {"app.kubernetes.io/part-of": "argocd"}},
            "data": {"cluster.inClusterEnabled": "false", "timeout.reconciliation": format!("{RESYNC}s"), "timeout.reconciliation.jitter": "0s"},
        },
        {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"namespace": "*", "server": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        },
    ]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_verified_by_its_authority() {
        let objects = objects("t0", b"PEM");
        let config: Value = serde_json::from_str(objects["items"][0]["stringData"]["config"].as_str().unwrap()).unwrap();
        assert_eq!(config["tlsClientConfig"], json!({"insecure": false, "caData": "UEVN"}));
        assert_eq!(config["bearerToken"], "t0");
    }

    #[test]
    fn redis_has_no_port_and_the_rest_stays_on_the_loopback() {
        let paths = Paths::new("/run/lab", "/cache");
        let redis = redis(&paths);
        assert_eq!(redis.args[..4], ["--port", "0", "--unixsocket", "/run/lab/argocd/redis.sock"]);
        let controller = controller(&paths);
        assert!(controller.args.contains(&"--repo-server=127.0.0.1:8091".to_owned()));
        assert!(controller.env.iter().all(|(_, value)| value.starts_with("/run/lab/")));
    }
}
