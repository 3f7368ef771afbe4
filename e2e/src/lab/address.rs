//! Where the parts of the lab listen. Pods and the machine reach all of them.

/// The bridge that pods hang on, made before anything else.
pub const BRIDGE: &str = "lab0";
/// The address of the bridge: the node, the API server, the registry and the forge.
pub const NODE_IP: &str = "10.88.0.1";
/// The bridge's address with its prefix length.
pub const BRIDGE_CIDR: &str = "10.88.0.1/16";
/// What pods get their addresses from.
pub const POD_CIDR: &str = "10.88.0.0/16";
/// What services get their addresses from.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The API server as pods see it: the first address of [`SERVICE_CIDR`].
pub const SERVICE_IP: &str = "10.96.0.1";
/// The name of the one node.
pub const NODE_NAME: &str = "lab";
/// The registry, as in an image name.
pub const REGISTRY: &str = "10.88.0.1:5000";
/// The same images without a password, for reading: what a build step, which has no credentials, takes its base images from.
pub const READ_ONLY_REGISTRY: &str = "10.88.0.1:5001";
/// The forge's base address.
pub const FORGE: &str = "http://10.88.0.1:3000";
/// The API server's address.
pub const API_SERVER: &str = "https://10.88.0.1:6443";
/// Who may read from and write to the registry and who owns the forge.
pub const USER: &str = "mainstay";

/// Where Argo CD's controller says how it is.
pub const ARGOCD_HEALTH_PORT: u16 = 8092;

/// Every address that a part of the lab listens on, with the part's name.
pub const LISTENERS: [(&str, &str, u16); 15] = [
    ("etcd", "127.0.0.1", 2379),
    ("etcd (peers)", "127.0.0.1", 2380),
    ("kube-apiserver", NODE_IP, 6443),
    ("kube-controller-manager", NODE_IP, 10257),
    ("kube-scheduler", NODE_IP, 10259),
    ("kubelet", NODE_IP, 10250),
    ("kubelet (health)", "127.0.0.1", 10248),
    ("kube-proxy (metrics)", "127.0.0.1", 10249),
    ("kube-proxy (health)", NODE_IP, 10256),
    ("registry", NODE_IP, 5000),
    ("registry-read-only", NODE_IP, 5001),
    ("gitea", NODE_IP, 3000),
    ("argocd-repo-server", "127.0.0.1", 8091),
    ("argocd-repo-server (health)", "127.0.0.1", 8094),
    ("argocd-application-controller (health)", "127.0.0.1", ARGOCD_HEALTH_PORT),
];
