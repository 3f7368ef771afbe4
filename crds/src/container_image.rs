use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Class, LocalReference, Nixpkgs, Variant};

/// One container directory of a SourceRepository and the image it becomes. `spec: {}` is a full object.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "mainstay.dev",
    version = "v1alpha1",
    kind = "ContainerImage",
    plural = "containerimages",
    shortname = "cimg",
    category = "mainstay",
    namespaced,
    status = "ContainerImageStatus",
    derive = "PartialEq",
    cel,
    doc = "One container directory of a SourceRepository and the image it becomes. spec: {} is a full object.",
    selectable = ".spec.sourceRef.name",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Latest", type_ = "string", json_path = ".status.latest"),
    printcolumn(name = "Built", type_ = "date", json_path = ".status.builtAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Main", type_ = "string", json_path = ".status.shortHead", priority = "1"),
    printcolumn(name = "Engines", type_ = "string", json_path = ".status.engines", priority = "1"),
    printcolumn(name = "Repository", type_ = "string", json_path = ".status.resolved.image", priority = "1"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = "1"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = "1")
)]
#[x_kube(validation = ("!has(self.variants) || self.variants.all(v, self.variants.exists_one(w, w == v))", "variants must name each variant once"))]
#[serde(rename_all = "camelCase")]
pub struct ContainerImageSpec {
    /// The SourceRepository. Default: the only one of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<LocalReference>,

    /// Directory of the container in the repository. Default: `<containersPath>/<metadata.name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = ("!self.startsWith('/') && !self.endsWith('/') && self.split('/').all(p, p != '' && p != '.' && p != '..')", "path must be a path inside the repository, without a leading or trailing slash and without . or .."))]
    pub path: Option<String>,

    /// Image repository without a tag. Default: `<registry.prefix>/<name of the directory>`. It must lie on the host of `registry.prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$')", "image must be host[:port]/path in lower case, without a tag or digest"))]
    pub image: Option<String>,

    /// Variants to build. Default: those whose file is in the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub variants: Option<Vec<Variant>>,

    /// Further paths of the repository (files or directories) whose change asks for a new image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = ("self.all(i, !i.startsWith('/') && !i.endsWith('/') && i.split('/').all(p, p != '' && p != '.' && p != '..'))", "inputs must be paths inside the repository, without a leading or trailing slash and without . or .."))]
    pub inputs: Vec<String>,

    /// How to build, where the operator's settings for the engine are not right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildSettings>,

    /// How many finished ImageBuilds to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// What becomes of builds for a commit that main has left behind. `CancelQueued` (default) cancels those that still wait for their turn
    /// and finishes those that run, `CancelAll` cancels both, `Finish` neither. Builds made by hand are not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_builds: Option<SupersededBuilds>,

    /// Make no new builds while true. Builds that run are finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What becomes of builds for a commit that is no longer the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SupersededBuilds {
    /// Those that wait are cancelled, those that run are finished: under a stream of commits there is still an image now and then.
    #[default]
    CancelQueued,
    /// Those that run are cancelled too.
    CancelAll,
    /// All are finished.
    Finish,
}

/// Settings of a build.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildSettings {
    /// Engine for the Dockerfile variant; nix builds the nix variant. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,

    /// Stage of the Dockerfile to build. Default: the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9][A-Za-z0-9_.-]*$')", "target must be the name or number of a stage"))]
    #[schemars(length(max = 128))]
    pub target: Option<String>,

    /// Build arguments for the Dockerfile. They are visible in the image's history: no secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = ("self.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_]*$'))", "args must have names of letters, digits and underscores"))]
    #[x_kube(validation = ("!('CONTAINER_APP_VERSION' in self)", "args must not set CONTAINER_APP_VERSION: the tag is made from the value in the Dockerfile"))]
    pub args: BTreeMap<String, String>,

    /// Resources of the build step. Default: those of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Labels a node must have, added to those of the engine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that the build pod tolerates, added to those of the engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,

    /// Longest time for one build, such as `30m`. Default: that of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.matches('^([0-9]+(s|m|h))+$') && duration(self) >= duration('1s')", "deadline must be a duration of at least 1s, such as 30m or 1h30m"))]
    #[schemars(length(max = 32))]
    pub deadline: Option<String>,

    /// What is kept between builds. Default: what the engine's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSettings>,
}

/// Cache of a container's builds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = ("!has(self.enabled) || self.enabled || !has(self.claim)", "cache.claim is of no use where cache.enabled is false: set one of the two"))]
#[serde(rename_all = "camelCase")]
pub struct CacheSettings {
    /// False builds without a cache. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// PersistentVolumeClaim of the namespace that holds the cache, instead of the engine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')", "cache.claim must be the name of a PersistentVolumeClaim"))]
    pub claim: Option<String>,
}

/// What builds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// BuildKit where a node that the pod may run on has user namespaces, else kaniko; the choice and its reason are in the ImageBuild's status.
    #[default]
    Auto,
    /// Daemonless BuildKit in a pod with its own user namespace.
    Buildkit,
    /// The maintained fork of kaniko: no user namespace, no privileges.
    Kaniko,
    /// `nix-build` of `default.nix`.
    Nix,
}

impl Engine {
    /// The word used in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Auto => "auto",
            Engine::Buildkit => "buildkit",
            Engine::Kaniko => "kaniko",
            Engine::Nix => "nix",
        }
    }
}

/// How many finished ImageBuilds of a ContainerImage are kept. The newest success is always kept, and builds made by hand are not counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Successful builds to keep. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub successful: Option<i32>,
    /// Failed builds to keep. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub failed: Option<i32>,
}

/// What was last observed of a ContainerImage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerImageStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`, and `Reconciling` or `Stalled` while they are true (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Values in force, with defaults filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedImage>,

    /// Newest commit of main that touched the container or one of its inputs, first seven digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_head: Option<String>,

    /// Every variant: what is wanted, what exists, what failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["variant"]))]
    pub variants: Vec<VariantStatus>,

    /// Newest tag known to be in the registry, with a count of further variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,

    /// Engines of the variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engines: Option<String>,

    /// When `latest` was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_at: Option<Time>,

    /// The tags in the registry by class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagSummary>,

    /// Pods and pins that name an image which is not from main, or is not in the registry; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,

    /// Value of the annotation `mainstay.dev/reconcile-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// Value of the annotation `mainstay.dev/rebuild-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_rebuild_at: Option<String>,
}

/// The values of a ContainerImage in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedImage {
    /// Name of the SourceRepository.
    pub source: String,
    /// Directory of the container in the repository.
    pub path: String,
    /// Image repository, without a tag.
    pub image: String,
}

/// One variant of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantStatus {
    /// Which one.
    pub variant: Variant,
    /// CamelCase word: UpToDate, Building, BuildFailed, VersionNotFound and the like.
    pub reason: String,
    /// Version at the touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The touch: newest commit on main that changed the container, 40 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The tag that main asks for. Where nix evaluates the version, it is set when an image of the touch is in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest of that tag, once the registry has confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The tag that pins should name: the newest one from main with main's inputs that the registry confirms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<WantedTag>,
    /// When that tag was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_at: Option<Time>,
    /// How long its build took, such as `1m34s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// ImageBuild that made it or is making it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Last tag that was confirmed, while the one that main asks for is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_tag: Option<String>,
    /// Why there is no image for the touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// The nixpkgs of the nix variant, where its default.nix names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nixpkgs: Option<Nixpkgs>,
}

/// The failure that keeps a variant from having its image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// ImageBuild that failed.
    pub build: String,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// Last lines of its log, at most 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
}

/// A tag from main that the registry confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WantedTag {
    /// The tag.
    pub tag: String,
    /// What it names, `sha256:…`.
    pub digest: String,
    /// The commit it was built from, 40 hex digits.
    pub commit: String,
}

/// How many tags of each class the registry has, and the newest of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagSummary {
    /// Tags whose commit is on main.
    pub main: i64,
    /// Tags whose commit is on another branch only.
    pub branch: i64,
    /// Tags whose commit is absent or ambiguous.
    pub unknown: i64,
    /// Tags that are not of the form `v<version>-<sha7>[-nix]`.
    pub foreign: i64,
    /// The newest of each class by main's graph, at most 10 of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub newest: Vec<TagStatus>,
}

/// One tag and its class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagStatus {
    /// The tag.
    pub tag: String,
    /// Class of `tag`.
    pub class: Class,
    /// Why it has that class.
    pub reason: String,
    /// What it names, `sha256:…`, where it was looked at. Nothing is asked of the registry for this alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Something that names an image which is not from main, or is not in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Pod as `pod <namespace>/<name>`, or manifest as `<path>:<line>`.
    pub at: String,
    /// The tag it names.
    pub tag: String,
    /// The class of that tag.
    pub class: Class,
    /// What is wrong.
    pub message: String,
}
