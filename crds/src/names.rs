//! Annotations and labels that are part of the API (design section 3).

/// Any new value makes the operator look at the object at once; echoed in `status.lastHandledReconcileAt`.
pub const RECONCILE_AT: &str = "mainstay.dev/reconcile-at";

/// Any new value on a ContainerImage makes one more attempt at what is missing or failed; echoed in `status.lastHandledRebuildAt`.
pub const REBUILD_AT: &str = "mainstay.dev/rebuild-at";

/// Any new value on a ManifestPin lifts the holds that people's rollbacks made; echoed in `status.lastHandledResumeAt`.
pub const RESUME_AT: &str = "mainstay.dev/resume-at";

/// On an ImageBuild that was cancelled because main went on: the commit that is built instead.
pub const SUPERSEDED_BY: &str = "mainstay.dev/superseded-by";

/// Full build key on a child, so that two keys which share a name are told apart.
pub const BUILD_KEY: &str = "mainstay.dev/build-key";

/// What made the operator create an ImageBuild: a [`crate::Trigger`].
pub const TRIGGER: &str = "mainstay.dev/trigger";

/// Name of the ContainerImage that a child belongs to.
pub const IMAGE_LABEL: &str = "mainstay.dev/image";

/// Name of the ImageBuild that a Job and its pod belong to.
pub const BUILD_LABEL: &str = "mainstay.dev/build";

/// Variant that a child builds.
pub const VARIANT_LABEL: &str = "mainstay.dev/variant";

/// Name of the SourceRepository whose discovery created a ContainerImage.
pub const REPOSITORY_LABEL: &str = "mainstay.dev/repository";

/// Conventional label that marks every child of ours.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Value of [`MANAGED_BY`], and our name as field manager.
pub const MANAGER: &str = "mainstay";
