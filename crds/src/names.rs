//! Annotations and labels that are part of the API (design section 3).

/// An annotation or label, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Its key.
    pub key: &'static str,
    /// What it is for, in Markdown.
    pub meaning: &'static str,
}

macro_rules! names {
    ($(#[doc = $about:literal])+ $list:ident: $($(#[doc = $meaning:literal])+ $name:ident = $key:literal;)+) => {
        $( $(#[doc = $meaning])+ pub const $name: &str = $key; )+

        $(#[doc = $about])+
        pub const $list: &[Name] = &[$(Name { key: $key, meaning: concat!($($meaning),+) }),+];
    };
}

names! {
    /// Annotations that people set.
    ASKED:

    /// Any new value makes the operator look at the object at once; echoed in `status.lastHandledReconcileAt`.
    RECONCILE_AT = "mainstay.dev/reconcile-at";

    /// Any new value on a ContainerImage makes one more attempt at what is missing or failed; echoed in `status.lastHandledRebuildAt`.
    REBUILD_AT = "mainstay.dev/rebuild-at";

    /// Any new value on a ManifestPin lifts the holds that people's rollbacks made; echoed in `status.lastHandledResumeAt`.
    RESUME_AT = "mainstay.dev/resume-at";
}

names! {
    /// Annotations that the operator sets.
    TOLD:

    /// On an ImageBuild that was cancelled because main went on: the commit that is built instead.
    SUPERSEDED_BY = "mainstay.dev/superseded-by";

    /// On an ImageBuild the full key of what is built, on a Job the UID of its ImageBuild: so that two of one name are told apart.
    BUILD_KEY = "mainstay.dev/build-key";

    /// On an ImageBuild that the operator made: what made it do so (`status.trigger`).
    TRIGGER = "mainstay.dev/trigger";

    /// On an ImageBuild that the operator made: number of the attempt at the same image, from 0.
    ATTEMPT = "mainstay.dev/attempt";
}

names! {
    /// Labels that the operator sets on what it makes.
    LABELS:

    /// On a Job and its pod: name of the ContainerImage.
    IMAGE_LABEL = "mainstay.dev/image";

    /// On a Job and its pod: name of the ImageBuild. Network policies and budgets select build pods by it.
    BUILD_LABEL = "mainstay.dev/build";

    /// On an ImageBuild, its Job and pod: the variant.
    VARIANT_LABEL = "mainstay.dev/variant";

    /// On an ImageBuild that the operator made: a hash that all attempts at the same image share.
    FAMILY = "mainstay.dev/family";

    /// On a ContainerImage that discovery created: name of the SourceRepository.
    REPOSITORY_LABEL = "mainstay.dev/repository";

    /// `mainstay` on all of them.
    MANAGED_BY = "app.kubernetes.io/managed-by";
}

/// Value of [`MANAGED_BY`], and our name as field manager.
pub const MANAGER: &str = "mainstay";
