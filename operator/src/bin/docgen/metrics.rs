//! The page of metrics, made from what `/metrics` says once everything has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay::metrics::Metrics;
use mainstay_crds::Reason;

use crate::Gap;
use crate::table::Table;

/// What each label says.
const LABELS: [(&str, &str); 12] = [
    ("answer", "what became of a hook: [`asked`, `joined`, `ignored`, `refused` and so on](../webhooks.md#what-a-hook-does)"),
    ("controller", "`sourcerepository`, `containerimage`, `imagebuild` or `manifestpin`"),
    ("engine", "`buildkit`, `kaniko` or `nix`; of a build that ended before one was chosen `none`"),
    ("kind", "`ContainerImage` or `ManifestPin`"),
    ("name", "name of the object"),
    ("namespace", "namespace of the object"),
    ("outcome", "of a call `ok`, of a commit `Landed` or `Lost` (to another writer); else the [reason](reasons.md) of the error"),
    ("reason", "the [reason](reasons.md#imagebuild) with which the build ended"),
    ("result", "`ok`, `waiting` (for something else), `transient` (it may pass) or `terminal` (it stays until something changes)"),
    ("sender", "`gitea`, `forgejo`, `github`, `gitlab`, `distribution` or `zot`, as the request says of itself; else `unknown`"),
    ("site", "what was called, such as `git.sync`, `registry.tags`, `forge.open`, `api.apply`"),
    ("le", ""),
];

/// One metric, as Prometheus sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Names of its series: of a histogram three.
    pub(crate) series: BTreeSet<String>,
    pub(crate) labels: BTreeSet<String>,
}

/// Everything that the operator counts, with a value for each.
pub(crate) fn families() -> BTreeMap<String, Family> {
    let metrics = Metrics::default();
    metrics.call("git.sync", "ok", Duration::from_millis(20));
    metrics.reconcile("containerimage", "ok");
    metrics.build("buildkit", Reason::Pushed, Some(Duration::from_secs(10)));
    metrics.queue("nix", 2, 5);
    metrics.pin_commit("Landed");
    metrics.webhook("gitea", "asked");
    metrics.pins("ops", "all", 2, 1);
    metrics.stuck("ContainerImage", "ops", "cv", true);
    read(&metrics.encode())
}

/// Reads the OpenMetrics text.
fn read(text: &str) -> BTreeMap<String, Family> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            all.entry(name.to_owned()).or_default().help = help.trim_end_matches('.').to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            all.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some(end) = line.find(['{', ' ']).filter(|_| !line.starts_with('#')) {
            let (series, rest) = line.split_at(end);
            let Some((_, family)) = all.iter_mut().filter(|(name, _)| series.starts_with(name.as_str())).max_by_key(|(name, _)| name.len())
            else {
                continue;
            };
            family.series.insert(series.to_owned());
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(labels, _)| labels).unwrap_or_default();
            family.labels.extend(labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned()));
        }
    }
    all
}

/// The page.
pub(crate) fn page() -> Result<String, Gap> {
    let families = families();
    let mut table = Table::new(&["metric", "type", "labels", "what it is"]);
    let mut used = BTreeSet::new();
    for (name, family) in &families {
        let labels: Vec<String> = family.labels.iter().filter(|label| *label != "le").map(|label| format!("`{label}`")).collect();
        used.extend(family.labels.iter().map(String::as_str));
        let shown = if family.kind == "counter" { format!("`{name}_total`") } else { format!("`{name}`") };
        table.row(&[&shown, &family.kind, &labels.join(", "), &family.help]);
    }
    let mut labels = Table::new(&["label", "what it says"]);
    for label in used.iter().filter(|label| **label != "le") {
        let (_, meaning) =
            LABELS.iter().find(|(name, _)| name == label).ok_or_else(|| format!("label {label} has no meaning in docgen"))?;
        labels.row(&[&format!("`{label}`"), meaning]);
    }
    Ok(format!(
        "# Metrics\n\nAt `/metrics` on port 8080, in the OpenMetrics text format. No label is a tag, a commit or the name of a build. \
         A histogram has the series `_bucket`, `_count` and `_sum`.\nAlerts and the dashboard that are made of them are in \
         [charts/mainstay/monitoring](../../charts/mainstay/monitoring).\n\n{}\n## Labels\n\n{}",
        table.into_text(),
        labels.into_text()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/mainstay/monitoring");

    #[test]
    fn every_metric_that_is_registered_is_described() {
        let registered = include_str!("../../metrics.rs").matches("registry.register(").count();
        let families = families();
        assert_eq!(families.len(), registered, "give each a value in families(): {families:?}");
        for (name, family) in families {
            assert!(!family.help.is_empty() && !family.kind.is_empty() && !family.series.is_empty(), "{name}: {family:?}");
        }
    }

    /// All texts in a document under one of these keys.
    fn texts(value: &Value, keys: &[&str], found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        Value::String(text) if keys.contains(&key.as_str()) => found.push(text.clone()),
                        other => texts(other, keys, found),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|value| texts(value, keys, found)),
            _ => {}
        }
    }

    /// What is wrong with a query, by what the operator really says.
    fn faults(query: &str) -> Vec<String> {
        let (mut faults, mut labels) = (Vec::new(), BTreeSet::from(["le".to_owned()]));
        let all = families();
        let word = regex::Regex::new(r"mainstay_[a-z_]+").unwrap();
        let selector = regex::Regex::new(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).unwrap();
        let mut metrics = 0;
        for found in word.find_iter(query) {
            metrics += 1;
            let Some(family) = all.values().find(|family| family.series.contains(found.as_str())) else {
                faults.push(format!("there is no series {}", found.as_str()));
                continue;
            };
            labels.extend(family.labels.iter().cloned());
            let Some(rest) = query[found.end()..].strip_prefix('{') else { continue };
            for pair in selector.captures_iter(rest.split('}').next().unwrap()) {
                if !family.labels.contains(&pair[1]) {
                    faults.push(format!("{} has no label {}", found.as_str(), &pair[1]));
                }
                // Values that are words of the API are those of the API.
                let known = |word: &str| match &pair[1] {
                    "reason" => Reason::parse(word).is_some(),
                    "outcome" => ["ok", "Landed", "Lost"].contains(&word) || Reason::parse(word).is_some(),
                    "result" => ["ok", "waiting", "transient", "terminal"].contains(&word),
                    _ => true,
                };
                faults.extend(pair[2].split('|').filter(|word| !known(word)).map(|word| format!("nothing says {}={word}", &pair[1])));
            }
        }
        let by = regex::Regex::new(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)").unwrap();
        for group in by.captures_iter(query) {
            faults.extend(
                group[1]
                    .split(',')
                    .map(str::trim)
                    .filter(|label| !label.is_empty() && !labels.contains(*label))
                    .map(|label| format!("there is no label {label}")),
            );
        }
        if metrics == 0 {
            faults.push("it asks for nothing of ours".to_owned());
        }
        faults
    }

    #[test]
    fn a_query_with_a_mistake_is_found() {
        assert_eq!(faults("sum by (site) (rate(mainstay_calls_total{outcome!=\"ok\"}[5m]))"), Vec::<String>::new());
        for wrong in [
            "mainstay_calls",
            "mainstay_calls_total{outcom=\"ok\"}",
            "sum by (sight) (mainstay_calls_total)",
            "mainstay_imagebuilds_total{reason=~\"Pushed|Pusht\"}",
            "mainstay_reconcile_total{result=\"final\"}",
            "up",
        ] {
            assert_eq!(faults(wrong).len(), 1, "{wrong}: {:?}", faults(wrong));
        }
    }

    #[test]
    fn dashboard_and_alerts_ask_for_what_the_operator_says() {
        let mut queries = Vec::new();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(format!("{MONITORING}/dashboard.json")).unwrap()).unwrap();
        texts(&dashboard, &["expr"], &mut queries);
        assert!(queries.len() > 10, "{queries:?}");
        let panels = queries.len();
        let alerts: Value = serde_saphyr::from_str(&std::fs::read_to_string(format!("{MONITORING}/alerts.yaml")).unwrap()).unwrap();
        texts(&alerts, &["expr"], &mut queries);
        assert!(queries.len() > panels + 5, "{queries:?}");
        for query in &queries {
            assert_eq!(faults(query), Vec::<String>::new(), "{query}");
        }
    }

    #[test]
    fn legends_and_summaries_name_labels_that_their_query_leaves() {
        let known: BTreeSet<String> = families().into_values().flat_map(|family| family.labels).collect();
        let (mut words, mut found) = (Vec::new(), 0);
        for file in ["dashboard.json", "alerts.yaml"] {
            let text = std::fs::read_to_string(format!("{MONITORING}/{file}")).unwrap();
            let document: Value = serde_saphyr::from_str(&text).unwrap();
            texts(&document, &["legendFormat", "summary", "description"], &mut words);
        }
        let label = regex::Regex::new(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\b[^}]*\}\}").unwrap();
        for word in &words {
            for named in label.captures_iter(word) {
                found += 1;
                assert!(known.contains(&named[1]), "{word}: there is no label {}", &named[1]);
            }
        }
        assert!(found > 8, "{words:?}");
    }
}
