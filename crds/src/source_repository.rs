use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ForgeSettings, LocalReference};

/// A Git repository that holds containers and manifests, and the registry its images go to. One bare clone serves everything that names it.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "SourceRepository",
    plural = "sourcerepositories",
    shortname = "srepo",
    category = "mainstay",
    namespaced,
    status = "SourceRepositoryStatus",
    derive = "PartialEq",
    cel,
    doc = "A Git repository that holds containers and manifests, and the registry its images go to.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Branch", type_ = "string", json_path = ".status.resolved.branch"),
    printcolumn(name = "Head", type_ = "string", json_path = ".status.shortHead"),
    printcolumn(name = "Containers", type_ = "integer", json_path = ".status.containers"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", priority = "1"),
    printcolumn(name = "Registry", type_ = "string", json_path = ".spec.registry.prefix", priority = "1"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = "1"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = "1")
)]
#[serde(rename_all = "camelCase")]
pub struct SourceRepositorySpec {
    /// Where the repository is: `https://`, `http://`, `ssh://` or `user@host:path`. No password or token in it.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = ("self.matches('^(https?://|ssh://|[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:)[^\\\\s]+$')", "url must begin with https://, http:// or ssh://, or be of the form user@host:path"))]
    #[x_kube(validation = ("!self.matches('^[a-z]+://[^/@]*:[^/@]*@')", "url must not hold a password: put it into the Secret that credentialsSecretRef names"))]
    #[x_kube(validation = ("!self.matches('^https?://[^/]*@')", "url must not hold a user or token: put it into the Secret that credentialsSecretRef names"))]
    pub url: String,

    /// The protected branch, called main here. Default: the branch that the remote's HEAD names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("!self.startsWith('refs/')", "branch is a name such as main, without refs/heads/"))]
    pub branch: Option<String>,

    /// Secret with the Git credentials: `username` and `password`, or `bearerToken`, or `identity` (or `ssh-privatekey`) and `known_hosts`; with any of them `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,

    /// Where the images go.
    pub registry: RegistrySettings,

    /// How often to look for new commits, such as `60s` or `5m`. Default: the operator's `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) >= duration('1s')", "interval must be a duration of at least 1s, such as 60s or 5m"))]
    #[schemars(length(max = 32))]
    pub interval: Option<String>,

    /// Directory whose subdirectories are the containers. Default: `containers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = ("!self.startsWith('/') && !self.endsWith('/') && self.split('/').all(p, p != '' && p != '.' && p != '..')", "containersPath must be a path inside the repository, without a leading or trailing slash and without . or .."))]
    pub containers_path: Option<String>,

    /// `Create` makes a ContainerImage for every container directory on main that has none. Default: `Off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,

    /// `Retag`: where a branch image was built from the very inputs that main has, main's tag is given to its digest instead of building
    /// again, with a provenance that says so. Default: `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_identical: Option<PromoteIdentical>,

    /// What is attached to every image about where it comes from: SLSA provenance, signed where a key is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<ProvenanceSettings>,

    /// How many builds of this repository may run at once. Default: as many as the engines allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_builds: Option<i32>,

    /// Lets the forge and the registry say that something has changed, so that it is looked for at once; `interval` stays in force. The address
    /// to give them is in `status.webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSettings>,

    /// Says on the forge, at each commit that is built, how its images stand: one status `mainstay/<container>` for each, with `-nix` at the
    /// end for a nix variant. `{}` suffices. Default: nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_statuses: Option<CommitStatusSettings>,

    /// Neither fetch nor discover while true: main stays what it was, and what it asks for is still built and pinned. To stop that, suspend the
    /// ContainerImages or the ManifestPin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// The registry and how to reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistrySettings {
    /// Host, optional port and path before the image name: with `registry.example:5000/team` the container `cv` becomes `registry.example:5000/team/cv`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = ("!self.contains('://')", "prefix has no scheme: write registry.example/team; for a registry without TLS set plainHTTP"))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$')", "prefix must be host[:port][/path], the path in lower case and without a trailing slash"))]
    pub prefix: String,

    /// Secret of type `kubernetes.io/dockerconfigjson` that may push to the prefix. Without it the registry is used anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,

    /// Speak HTTP without TLS to this registry. Only for registries inside a network you trust.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "plainHTTP")]
    pub plain_http: Option<bool>,

    /// Secret whose key `ca.crt` holds the certificate authority of the registry, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<LocalReference>,
}

/// How provenance is signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvenanceSettings {
    /// Secret whose key `signing.key` holds a private key for ECDSA on P-256 in PEM (PKCS #8, without a password). Default: provenance is not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_secret_ref: Option<LocalReference>,
}

/// How hooks are told from those of strangers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSettings {
    /// Secret whose key `token` holds what the forge signs with, or sends: at least 16 bytes. While it is being changed, key `previous` may
    /// hold the one before.
    pub secret_ref: LocalReference,
}

/// How commit statuses are written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatusSettings {
    /// How the forge is reached.
    #[serde(flatten)]
    pub forge: ForgeSettings,

    /// Page that a status links to, as a template that knows `namespace`, `container`, `variant`, `build` (name of the ImageBuild), `commit`
    /// and `tag`. Default: no link.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "targetURL")]
    #[schemars(length(min = 8, max = 1024))]
    #[x_kube(validation = ("self.matches('^https?://[^{}@/[:space:]]+(/.*)?$')", "targetURL must begin with https:// or http:// and a host that is no template, and hold no credentials"))]
    pub target_url: Option<String>,
}

/// Whether ContainerImages are made for directories that are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Discovery {
    /// ContainerImages are written by people, or by Argo CD.
    #[default]
    Off,
    /// One ContainerImage for every container directory that has none.
    Create,
}

/// Whether an image from a branch may become main's where the inputs are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PromoteIdentical {
    /// Main's images are built from main.
    #[default]
    Never,
    /// Main's tag is given to the digest of the branch image.
    Retag,
}

/// What was last observed of a SourceRepository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceRepositoryStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`, and `Reconciling` or `Stalled` while they are true (kstatus); with `spec.webhook` also `WebhookReady`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Newest commit of main, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,

    /// First seven digits of `head`, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_head: Option<String>,

    /// Hash of all branches and where they point: a change means that the class of a tag may have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<String>,

    /// Values in force, with defaults filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedRepository>,

    /// Number of container directories on main.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<i64>,

    /// Directories under `containersPath` that are not containers, and why; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedDirectory>,

    /// Where the forge and the registry send their hooks: an address, or its path where the operator does not know how it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,

    /// Value of the annotation `mainstay.dev/reconcile-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// The values of a SourceRepository in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedRepository {
    /// The branch that counts as main.
    pub branch: String,
    /// Directory whose subdirectories are the containers.
    pub containers_path: String,
    /// How often new commits are looked for.
    pub interval: String,
}

/// A directory under `containersPath` that makes no image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkippedDirectory {
    /// Path in the repository.
    pub path: String,
    /// CamelCase word: why.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}
