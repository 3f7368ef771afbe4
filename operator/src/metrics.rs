//! What Prometheus sees (note ux section 3.7). Labels are bounded: no tag, commit or build name.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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
    reason: String,
}

/// All metrics of the operator.
pub struct Metrics {
    registry: Mutex<Registry>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<SiteLabels, Histogram>,
    reconciles: Family<ReconcileLabels, Counter>,
    builds: Family<BuildLabels, Counter>,
    build_seconds: Histogram,
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
        Self { registry: Mutex::new(registry), calls, call_seconds, reconciles, builds, build_seconds }
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
    pub fn build(&self, engine: &'static str, reason: &str, took: Option<Duration>) {
        self.builds.get_or_create(&BuildLabels { engine, reason: reason.to_owned() }).inc();
        if let Some(took) = took {
            self.build_seconds.observe(took.as_secs_f64());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_builds_are_counted() {
        let metrics = Metrics::default();
        metrics.call("git.sync", "ok", Duration::from_millis(20));
        metrics.build("buildkit", "Pushed", Some(Duration::from_secs(10)));
        metrics.reconcile("containerimage", "ok");
        let text = metrics.encode();
        for wanted in [
            r#"mainstay_calls_total{site="git.sync",outcome="ok"} 1"#,
            r#"mainstay_imagebuilds_total{engine="buildkit",reason="Pushed"} 1"#,
            r#"mainstay_reconcile_total{controller="containerimage",result="ok"} 1"#,
            "mainstay_imagebuild_duration_seconds_sum 10",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
}
