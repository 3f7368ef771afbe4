use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Class, ForgeSettings, LocalReference, Variant};

/// Which manifests to keep pinned to the newest images from main, and how to write them.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "ManifestPin",
    plural = "manifestpins",
    shortname = "mpin",
    category = "mainstay",
    namespaced,
    status = "ManifestPinStatus",
    derive = "PartialEq",
    cel,
    doc = "Which manifests to keep pinned to the newest images from main, and how to write them.",
    selectable = ".spec.sourceRef.name",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Pins", type_ = "string", json_path = ".status.upToDate"),
    printcolumn(name = "Last-Commit", type_ = "string", json_path = ".status.lastCommit"),
    printcolumn(name = "Pinned", type_ = "date", json_path = ".status.pinnedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Behind", type_ = "integer", json_path = ".status.behind", priority = "1"),
    printcolumn(name = "Write", type_ = "string", json_path = ".status.resolved.write", priority = "1"),
    printcolumn(name = "Branch", type_ = "string", json_path = ".status.resolved.branch", priority = "1"),
    printcolumn(name = "Violations", type_ = "integer", json_path = ".status.violations", priority = "1"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = "1"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = "1")
)]
#[x_kube(validation = ("(has(self.target) && self.target == 'Cluster') || (has(self.paths) && self.paths.size() > 0)", "paths must name at least one file, directory or glob, such as argocd/manifests"))]
#[x_kube(validation = ("!has(self.target) || self.target != 'Cluster' || (!has(self.paths) && !has(self.exclude) && !has(self.pullRequest) && !has(self.commit))", "target Cluster patches live workloads: paths, exclude, commit and pullRequest are for target Git"))]
#[x_kube(validation = ("!has(self.target) || self.target != 'Cluster' || !has(self.write) || self.write != 'PullRequest'", "write must be Commit or DryRun where target is Cluster"))]
#[x_kube(validation = ("!has(self.pullRequest) || (has(self.write) && self.write == 'PullRequest')", "pullRequest is for write PullRequest"))]
#[serde(rename_all = "camelCase")]
pub struct ManifestPinSpec {
    /// The SourceRepository whose manifests are meant. Default: the only one of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<LocalReference>,

    /// Files, directories (all `.yaml`, `.yml` and `.json` files below them) or globs such as `apps/**/values*.yaml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = ("self.all(p, p == '.' || (!p.startsWith('/') && p.split('/').all(s, s != '' && s != '.' && s != '..')))", "paths must be paths inside the repository, without a leading or trailing slash and without . or .. (a lone . is the whole repository)"))]
    pub paths: Vec<String>,

    /// What of it to leave alone, written like `paths`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = ("self.all(p, !p.startsWith('/') && p.split('/').all(s, s != '' && s != '.' && s != '..'))", "exclude must be paths inside the repository, without a leading or trailing slash and without . or .."))]
    pub exclude: Vec<String>,

    /// Which ContainerImages. Default: all of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageSelector>,

    /// `Commit`: every new image from main. `Version`: only one of another version, so that a mere rebuild is not a deploy. Default: `Commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PinPolicy>,

    /// `Commit` writes to the branch, `PullRequest` keeps one pull request up to date, `DryRun` shows the change in the status. Default: `Commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<WriteMode>,

    /// `Git` edits manifests. `Cluster` patches live workloads of this namespace, where there is no GitOps. Default: `Git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PinTarget>,

    /// Write `tag@sha256:…` where the form of the pin has room for a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<bool>,

    /// What to do about a pin to an image that is not from main: `Report` it, or `Repair` it. Default: `Report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violations: Option<ViolationPolicy>,

    /// Names of ContainerImages whose pins stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    pub hold: Vec<String>,

    /// How to wait for further changes before writing, such as `200ms` or `1m`, so that many become one commit. Default: the operator's `batchWindow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) <= duration('1h')", "batchWindow must be a duration of at most 1h, such as 200ms or 1m"))]
    pub batch_window: Option<String>,

    /// What the commits look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSettings>,

    /// Settings of `write: PullRequest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestSettings>,

    /// Write nothing while true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Which ContainerImages of the namespace are meant; what is given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageSelector {
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    pub names: Vec<String>,
    /// By labels of the ContainerImage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// When a newer image is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PinPolicy {
    /// Always.
    #[default]
    Commit,
    /// Where its version differs.
    Version,
}

/// How a change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum WriteMode {
    /// To the branch.
    #[default]
    Commit,
    /// To a branch of ours, with a pull request.
    PullRequest,
    /// Not at all: the change is shown in the status.
    DryRun,
}

/// What is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PinTarget {
    /// Manifests in the repository.
    #[default]
    Git,
    /// Live workloads.
    Cluster,
}

/// What is done about a pin to an image that is not from main.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ViolationPolicy {
    /// It is reported.
    #[default]
    Report,
    /// It is replaced by the wanted image.
    Repair,
}

/// What a commit of ours looks like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitSettings {
    /// Template of the message (Jinja). Known: `pins` (each `path`, `image`, `old`, `oldClass`, `new`, `digest`, `commit`), `images`, `name`, `namespace`. The trailers are added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub message: Option<String>,

    /// Name of author and committer. Default: `Mainstay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = ("!self.matches('[<>\\\\n\\\\r]')", "authorName must not hold < or > or a line break"))]
    pub author_name: Option<String>,

    /// Address of author and committer. Default: `mainstay@localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 254))]
    #[x_kube(validation = ("self.matches('^[^<>@[:space:]]+@[^<>@[:space:]]+$')", "authorEmail must be of the form name@host"))]
    pub author_email: Option<String>,

    /// Secret whose key `identity` (or `ssh-privatekey`) signs the commits, with `password` as its passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_secret_ref: Option<LocalReference>,
}

/// How pull requests are made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestSettings {
    /// Branch of ours. Default: `mainstay/<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9][A-Za-z0-9._/-]*$') && !self.startsWith('refs/') && !self.contains('..') && !self.endsWith('/') && !self.endsWith('.lock')", "branch is a name such as mainstay/pins, of letters, digits and . _ / -"))]
    pub branch: Option<String>,

    /// How the forge is reached.
    #[serde(flatten)]
    pub forge: ForgeSettings,
}

/// What was last observed of a ManifestPin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestPinStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`, and `Reconciling` or `Stalled` while they are true (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Values in force, with defaults filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedPin>,

    /// Commit of the branch that the pins were read at, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_commit: Option<String>,

    /// Pins that are as they should be, of all: `35/36`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_date: Option<String>,

    /// Pins that a newer image waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<i64>,

    /// Pins to an image that is not from main, or is not in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violations: Option<i64>,

    /// Every pin, those that need somebody first; at most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinStatus>,

    /// Files that could not be read as manifests, and places that cannot be edited; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedPlace>,

    /// The change that would be made, as a unified diff of at most 16 KiB (`write: DryRun`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,

    /// Last commit of ours, first seven digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit: Option<String>,

    /// When `lastCommit` was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<Time>,

    /// The pull request of `write: PullRequest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestStatus>,

    /// Value of the annotation `mainstay.dev/reconcile-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// Value of the annotation `mainstay.dev/resume-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_resume_at: Option<String>,
}

/// The values of a ManifestPin in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedPin {
    /// Name of the SourceRepository.
    pub source: String,
    /// The branch whose manifests are read.
    pub branch: String,
    /// Manifests or live workloads.
    pub target: PinTarget,
    /// How a change is written.
    pub write: WriteMode,
    /// When a newer image is taken.
    pub policy: PinPolicy,
    /// What is done about a pin to an image that is not from main.
    pub violations: ViolationPolicy,
}

/// One place that names an image and its tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinStatus {
    /// File in the repository, or kind and name of a live workload.
    pub path: String,
    /// Line of the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// Where in the document, such as `images[0].newTag`.
    pub field: String,
    /// The ContainerImage.
    pub image: String,
    /// Variant, by the pinned tag.
    pub variant: Variant,
    /// The pinned tag.
    pub tag: String,
    /// Class of `tag`.
    pub class: Class,
    /// CamelCase word: UpToDate, Behind, Held, Violation, Conflict and the like.
    pub reason: String,
    /// Why, and what to do, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The tag that is wanted, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Commit that last changed this pin, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_in: Option<String>,
    /// Who made the commit `changedIn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// When the commit `changedIn` was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Time>,
    /// Pods that run the image with this tag, of all pods that run the image: `2/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    /// The Argo CD Application that rolls it out, and whether it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
}

/// A file or a place in it that is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkippedPlace {
    /// File in the repository, or kind and name of a live workload.
    pub path: String,
    /// CamelCase word: why.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// The pull request of a ManifestPin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestStatus {
    /// Its number.
    pub number: i64,
    /// Where a person reads it.
    pub url: String,
    /// Open, Merged or Closed.
    pub state: String,
    /// Commit at its head, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}
