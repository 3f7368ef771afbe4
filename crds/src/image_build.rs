use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Engine, Nixpkgs, Variant};

/// One build of one variant of a ContainerImage at one commit. Made by the operator, or by hand with `image` and `ref`.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "ImageBuild",
    plural = "imagebuilds",
    shortname = "ibuild",
    category = "mainstay",
    namespaced,
    status = "ImageBuildStatus",
    derive = "PartialEq",
    cel,
    doc = "One build of one variant of a ContainerImage at one commit. Made by the operator, or by hand with image and ref.",
    selectable = ".spec.image",
    selectable = ".spec.variant",
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.shortCommit"),
    printcolumn(name = "Succeeded", type_ = "string", json_path = r#".status.conditions[?(@.type=="Succeeded")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#),
    printcolumn(name = "Started", type_ = "date", json_path = ".status.startedAt"),
    printcolumn(name = "Took", type_ = "string", json_path = ".status.duration"),
    printcolumn(name = "Engine", type_ = "string", json_path = ".status.engine", priority = "1"),
    printcolumn(name = "Tag", type_ = "string", json_path = ".status.tag", priority = "1"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress", priority = "1"),
    printcolumn(name = "Origin", type_ = "string", json_path = ".status.origin", priority = "1"),
    printcolumn(name = "Trigger", type_ = "string", json_path = ".status.trigger", priority = "1"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node", priority = "1"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = "1"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Succeeded")].message"#, priority = "1")
)]
#[x_kube(validation = ("has(self.ref) != has(self.commit)", "exactly one of ref and commit must be set"))]
#[x_kube(validation = ("self.image == oldSelf.image && has(self.ref) == has(oldSelf.ref) && (!has(self.ref) || self.ref == oldSelf.ref) && has(self.commit) == has(oldSelf.commit) && (!has(self.commit) || self.commit == oldSelf.commit) && has(self.variant) == has(oldSelf.variant) && (!has(self.variant) || self.variant == oldSelf.variant)", "the spec of an ImageBuild cannot change, but for cancel: create another ImageBuild"))]
#[x_kube(validation = ("!has(oldSelf.cancel) || !oldSelf.cancel || has(self.cancel) && self.cancel", "cancel cannot be taken back: create another ImageBuild"))]
#[serde(rename_all = "camelCase")]
pub struct ImageBuildSpec {
    /// Name of the ContainerImage, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub image: String,

    /// Branch, or commit of at least seven digits, to build. It is resolved once; the commit then stands in `status.commit`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "ref")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$') && !self.contains('..')", "ref must be a branch or a commit, without blanks, .. or wildcards"))]
    pub reference: Option<String>,

    /// Commit to build, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ("self.matches('^[0-9a-f]{40}$')", "commit must be 40 lower-case hex digits; for a branch or a short commit use ref"))]
    pub commit: Option<String>,

    /// Variant to build. Default: the only one at that commit, or dockerfile where there are both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,

    /// End the build: its Job is deleted, the end of its log stays in the status. It cannot be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,
}

/// What was last observed of an ImageBuild. That the commit is frozen is kept by the API server: a reconcile that works from an old copy of the
/// object cannot change it under a Job that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("!has(oldSelf.commit) || has(self.commit) && self.commit == oldSelf.commit", "the commit of an ImageBuild is resolved once and cannot change"))]
#[serde(rename_all = "camelCase")]
pub struct ImageBuildStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Succeeded`, and `Reconciling` or `Stalled` while they are true (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The commit that is built, 40 hex digits. Resolved once and then frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,

    /// First seven digits of `commit`, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_commit: Option<String>,

    /// When that commit was made, if its author's clock was right. The oldest waits first in line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<Time>,

    /// The variant that is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,

    /// Version at that commit. Where no file says one, it is set when the image is pushed: nix evaluates it in the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Directory of the container in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,

    /// Image repository that is pushed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Tag that is pushed. It is set with the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,

    /// Digest that the registry confirmed for the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,

    /// What builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,

    /// Why this engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_reason: Option<String>,

    /// The nixpkgs that the nix variant is built with, where its default.nix names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nixpkgs: Option<Nixpkgs>,

    /// Whether the commit was on main when it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,

    /// What asked for the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,

    /// Its place among the builds that wait for the same engine, from 1; absent once it had its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<i64>,

    /// When it had its turn: it holds a place of its engine from then on. The Job is made after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted_at: Option<Time>,

    /// The Job of this build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobReference>,

    /// Pod of the Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,

    /// Node of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,

    /// When the Job was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,

    /// What the builder is at while the build step runs, such as `3/7 RUN go build`: place in the stage of the Dockerfile, and its instruction. Looked
    /// up every few seconds; absent before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,

    /// When the build ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,

    /// Time from `startedAt` to `completedAt`, such as `1m34s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,

    /// Whether a failure may pass by itself, so that the operator tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transient: Option<bool>,

    /// Last lines of the build step's log, at most 4 KiB, without escapes and secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,

    /// What the forge was told of it, where the SourceRepository has `spec.commitStatuses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<CommitStatus>,

    /// Value of the annotation `mainstay.dev/reconcile-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// Which Job a build has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobReference {
    /// Its name.
    pub name: String,
    /// Its identity: a Job of the same name with another UID is not ours.
    pub uid: String,
    /// How often a Job that somebody deleted was made again.
    #[serde(default)]
    pub recreated: i32,
}

/// What the forge shows at the commit of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatus {
    /// Name of the status: `mainstay/<container>`, with `-nix` at the end for a nix variant.
    pub context: String,
    /// State that was last written; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CommitState>,
    /// Text that was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Why the newest state could not be written; absent where it was. It is tried again until an hour after the end of the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// State of a commit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CommitState {
    /// The build waits or runs.
    Pending,
    /// The image is in the registry.
    Success,
    /// There is no image.
    Failure,
    /// The build was cancelled.
    Error,
}

/// Where a commit stood when it was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Origin {
    /// It was main's head or an ancestor of it.
    Main,
    /// It was on a branch only.
    Branch,
}

/// What asked for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Trigger {
    /// Main asks for a tag that the registry does not have.
    Commit,
    /// An earlier attempt failed for a reason that may have passed.
    Retry,
    /// The annotation `mainstay.dev/rebuild-at` was set.
    Rebuild,
    /// Somebody made the ImageBuild.
    Manual,
}

impl Trigger {
    /// The word used in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Commit => "Commit",
            Trigger::Retry => "Retry",
            Trigger::Rebuild => "Rebuild",
            Trigger::Manual => "Manual",
        }
    }

    /// Reads the word; `None` where it is not one of ours.
    pub fn parse(word: &str) -> Option<Self> {
        [Trigger::Commit, Trigger::Retry, Trigger::Rebuild, Trigger::Manual].into_iter().find(|t| t.as_str() == word)
    }
}
