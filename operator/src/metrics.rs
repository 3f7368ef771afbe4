//! What Prometheus sees (note ux section 3.7). Labels are bounded: no tag, commit or build name.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use mainstay_crds::Reason;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// One call to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    site: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SiteLabels {
    site: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    engine: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EngineLabels {
    engine: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    sender: &'static str,
    answer: &'static str,
}

/// An object of ours: there are as many as somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    kind: String,
    namespace: String,
    name: String,
}

/// All metrics of the operator.
pub struct Metrics {
    registry: Mutex<Registry>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<SiteLabels, Histogram>,
    reconciles: Family<ReconcileLabels, Counter>,
    builds: Family<BuildLabels, Counter>,
    build_seconds: Histogram,
    builds_running: Family<EngineLabels, Gauge>,
    builds_queued: Family<EngineLabels, Gauge>,
    pin_commits: Family<OutcomeLabels, Counter>,
    behind: Family<ObjectLabels, Gauge>,
    violations: Family<ObjectLabels, Gauge>,
    stuck: Family<ObjectLabels, Gauge>,
    webhooks: Family<WebhookLabels, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mainstay");
        let calls = Family::default();
        let call_seconds = Family::<SiteLabels, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 4.0, 8)));
        let reconciles = Family::default();
        let builds = Family::default();
        // One second to about an hour.
        let build_seconds = Histogram::new(exponential_buckets(1.0, 2.0, 13));
        registry.register("calls", "Calls to the API server, Git and registries", calls.clone());
        registry.register("call_duration_seconds", "Time of calls to the API server, Git and registries", call_seconds.clone());
        registry.register("reconcile", "Reconciles by controller and result", reconciles.clone());
        registry.register("imagebuilds", "Builds that ended, by engine and reason", builds.clone());
        registry.register("imagebuild_duration_seconds", "Time from the creation of a build's Job to its end", build_seconds.clone());
        let builds_running = Family::default();
        let builds_queued = Family::default();
        registry.register("imagebuilds_running", "Builds that have their turn, by engine", builds_running.clone());
        registry.register("imagebuilds_queued", "Builds that wait for their turn, by engine", builds_queued.clone());
        let pin_commits = Family::default();
        let behind = Family::default();
        let violations = Family::default();
        let stuck = Family::default();
        registry.register("manifestpin_commits", "Commits of ManifestPins by outcome", pin_commits.clone());
        registry.register(
            "manifestpin_behind",
            "Pins that wait for a commit which names a newer image from main, where spec.write is Commit",
            behind.clone(),
        );
        registry.register("violations", "Pins and pods that name an image which is not from main or is gone", violations.clone());
        registry.register("stuck", "Objects that wait until somebody changes something, by kind; absent where they do not", stuck.clone());
        let webhooks = Family::default();
        registry.register("webhook_requests", "Requests to the webhook port, by sender and answer", webhooks.clone());
        let registry = Mutex::new(registry);
        Self {
            registry,
            calls,
            call_seconds,
            reconciles,
            builds,
            build_seconds,
            builds_running,
            builds_queued,
            pin_commits,
            behind,
            violations,
            stuck,
            webhooks,
        }
    }
}

impl Metrics {
    /// One call ended: `outcome` is `ok` or the reason of its error.
    pub fn call(&self, site: &'static str, outcome: &'static str, took: Duration) {
        self.calls.get_or_create(&CallLabels { site, outcome }).inc();
        self.call_seconds.get_or_create(&SiteLabels { site }).observe(took.as_secs_f64());
    }

    /// One reconcile ended: `result` is `ok` or the reason of its error.
    pub fn reconcile(&self, controller: &'static str, result: &'static str) {
        self.reconciles.get_or_create(&ReconcileLabels { controller, result }).inc();
    }

    /// One build ended.
    pub fn build(&self, engine: &'static str, reason: Reason, took: Option<Duration>) {
        self.builds.get_or_create(&BuildLabels { engine, reason: reason.as_str() }).inc();
        if let Some(took) = took {
            self.build_seconds.observe(took.as_secs_f64());
        }
    }

    /// How many builds of an engine run, and how many wait.
    pub fn queue(&self, engine: &str, running: i64, waiting: i64) {
        let labels = EngineLabels { engine: engine.to_owned() };
        self.builds_running.get_or_create(&labels).set(running);
        self.builds_queued.get_or_create(&labels).set(waiting);
    }

    /// A request to the webhook port: who sent it, by its own words, and what became of it.
    pub fn webhook(&self, sender: &'static str, answer: &'static str) {
        self.webhooks.get_or_create(&WebhookLabels { sender, answer }).inc();
    }

    /// A commit of a ManifestPin: `Landed`, `Lost` or the reason of its error.
    pub fn pin_commit(&self, outcome: &'static str) {
        self.pin_commits.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// How the pins of a ManifestPin stand.
    pub fn pins(&self, namespace: &str, name: &str, behind: i64, violations: i64) {
        self.behind.get_or_create(&object("ManifestPin", namespace, name)).set(behind);
        self.violations.get_or_create(&object("ManifestPin", namespace, name)).set(violations);
    }

    /// How many pods and pins of a ContainerImage name an image that is not from main.
    pub fn image_violations(&self, namespace: &str, name: &str, count: i64) {
        self.violations.get_or_create(&object("ContainerImage", namespace, name)).set(count);
    }

    /// Whether an object waits until somebody changes something.
    pub fn stuck(&self, kind: &str, namespace: &str, name: &str, stuck: bool) {
        let labels = object(kind, namespace, name);
        if stuck {
            self.stuck.get_or_create(&labels).set(1);
        } else {
            self.stuck.remove(&labels);
        }
    }

    /// An object is gone: what was said of it is said no more.
    pub fn forget(&self, kind: &str, namespace: &str, name: &str) {
        let labels = object(kind, namespace, name);
        self.behind.remove(&labels);
        self.violations.remove(&labels);
        self.stuck.remove(&labels);
    }

    /// Everything in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing to a String does not fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

fn object(kind: &str, namespace: &str, name: &str) -> ObjectLabels {
    ObjectLabels { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_builds_are_counted() {
        let metrics = Metrics::default();
        metrics.call("git.sync", "ok", Duration::from_millis(20));
        metrics.build("buildkit", Reason::Pushed, Some(Duration::from_secs(10)));
        metrics.queue("nix", 2, 5);
        metrics.reconcile("containerimage", "ok");
        metrics.pin_commit("Landed");
        metrics.webhook("gitea", "asked");
        metrics.pins("ops", "all", 2, 1);
        metrics.image_violations("ops", "cv", 3);
        metrics.image_violations("ops", "gone", 3);
        for name in ["cv", "gone", "mended"] {
            metrics.stuck("ContainerImage", "ops", name, true);
        }
        metrics.stuck("ContainerImage", "ops", "mended", false);
        metrics.forget("ContainerImage", "ops", "gone");
        let text = metrics.encode();
        for wanted in [
            r#"mainstay_calls_total{site="git.sync",outcome="ok"} 1"#,
            r#"mainstay_imagebuilds_total{engine="buildkit",reason="Pushed"} 1"#,
            r#"mainstay_reconcile_total{controller="containerimage",result="ok"} 1"#,
            "mainstay_imagebuild_duration_seconds_sum 10",
            r#"mainstay_imagebuilds_running{engine="nix"} 2"#,
            r#"mainstay_imagebuilds_queued{engine="nix"} 5"#,
            r#"mainstay_manifestpin_commits_total{outcome="Landed"} 1"#,
            r#"mainstay_webhook_requests_total{sender="gitea",answer="asked"} 1"#,
            r#"mainstay_manifestpin_behind{kind="ManifestPin",namespace="ops",name="all"} 2"#,
            r#"mainstay_violations{kind="ContainerImage",namespace="ops",name="cv"} 3"#,
            r#"mainstay_stuck{kind="ContainerImage",namespace="ops",name="cv"} 1"#,
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
        assert!(!text.contains("name=\"gone\"") && !text.contains("name=\"mended\""), "{text}");
    }
}
