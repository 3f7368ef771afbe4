//! The commands that only look: `list`, `tags`, `why` and `pin diff`.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, SourceRepository};
use serde_json::json;

use crate::cli::{Form, List, Output};
use crate::cluster::{Cluster, Kind};
use crate::failure::Failure;
use crate::output::{json, line, paint, print, remark, yaml};
use crate::table::Widths;
use crate::target::Target;
use crate::why::{Chain, Seen, State};
use crate::{list, tags, watch, why};

/// `list`: three requests, however many images there are.
pub(crate) async fn list(cluster: &Cluster, asked: &List) -> Result<(), Failure> {
    if let Some(image) = &asked.image {
        return tags(cluster, image, asked.output).await;
    }
    let (everywhere, wide) = (asked.all_namespaces, asked.output == Output::Wide);
    if asked.watch {
        return match asked.output {
            Output::Table | Output::Wide => watch::watch(cluster, everywhere, wide).await,
            _ => Err(Failure::Usage("--watch goes with -o table and -o wide only".to_owned())),
        };
    }
    let (images, pins, builds) =
        tokio::join!(cluster.list::<ContainerImage>(everywhere), cluster.list(everywhere), cluster.list(everywhere));
    let images = list::images(&images?, &partly(pins, "where they are pinned")?, &partly(builds, "how builds stand")?);
    match asked.output {
        Output::Json => json(&json!({"items": images})),
        Output::Yaml => yaml(&json!({"items": images})),
        Output::Name => images.iter().try_for_each(|image| line(&format!("containerimage.mainstay.dev/{}", image.name))),
        Output::Table | Output::Wide if images.is_empty() => {
            remark(&nothing(cluster, everywhere));
            Ok(())
        }
        Output::Table | Output::Wide => {
            let now = Timestamp::now();
            let mut rows = vec![list::titles(wide, everywhere)];
            rows.extend(images.iter().flat_map(|image| list::rows(image, wide, everywhere, now)));
            print(&Widths::default().render(&rows, paint()))
        }
    }
}

/// What is said where there is nothing.
pub(crate) fn nothing(cluster: &Cluster, everywhere: bool) -> String {
    if everywhere {
        "no ContainerImage in any namespace: docs/quickstart.md makes the first".to_owned()
    } else {
        format!("no ContainerImage in namespace {}: look everywhere with -A, or begin with docs/quickstart.md", cluster.namespace)
    }
}

/// A list that may be forbidden: the rest of the answer is better than none.
fn partly<K: Kind>(answer: Result<Vec<K>, Failure>, without: &str) -> Result<Vec<K>, Failure> {
    match answer {
        Err(Failure::Cluster(text)) if text.contains("forbidden") => {
            remark(&format!("not shown: {without}: {text}"));
            Ok(Vec::new())
        }
        answer => answer,
    }
}

/// `tags`.
pub(crate) async fn tags(cluster: &Cluster, name: &str, output: Output) -> Result<(), Failure> {
    let (image, pins) = tokio::join!(cluster.get::<ContainerImage>(name), cluster.list::<ManifestPin>(false));
    let tags = tags::tags(&image?, &partly(pins, "where they are pinned")?);
    match output {
        Output::Json => json(&tags),
        Output::Yaml => yaml(&tags),
        Output::Name => tags.items.iter().try_for_each(|tag| line(&tag.tag)),
        Output::Table | Output::Wide => {
            if !tags.items.is_empty() {
                print(&Widths::default().render(&tags.rows(output == Output::Wide), paint()))?;
            }
            remark(&tags.counts());
            Ok(())
        }
    }
}

/// `why`: exit code 1 where a link is missing.
pub(crate) async fn why(cluster: &Cluster, text: &str, output: Form) -> Result<(), Failure> {
    let target = Target::parse(text)?;
    let (images, pins, builds, sources) =
        tokio::join!(cluster.list(false), cluster.list(false), cluster.list(false), cluster.list::<SourceRepository>(false));
    let builds: Vec<ImageBuild> = partly(builds, "how builds stand")?;
    let seen = Seen { images: images?, pins: pins?, builds, sources: sources? };
    let chains = chains(&target, text.contains('/'), &seen, &cluster.namespace)?;
    match output {
        Form::Json => json(&json!({"chains": chains}))?,
        Form::Yaml => yaml(&json!({"chains": chains}))?,
        Form::Text => print(&chains.iter().map(|chain| chain.render(paint())).collect::<Vec<_>>().join("\n"))?,
    }
    if chains.iter().any(|chain| chain.state == State::Missing) { Err(Failure::Told) } else { Ok(()) }
}

/// The chains of an image, or of a pin. A bare name that no image has may be that of a pin.
fn chains(target: &Target, explicit: bool, seen: &Seen, namespace: &str) -> Result<Vec<Chain>, Failure> {
    let names = |images: bool| -> Vec<String> {
        if images { seen.images.iter().map(ResourceExt::name_any).collect() } else { seen.pins.iter().map(ResourceExt::name_any).collect() }
    };
    let pin = |name: &str| seen.pins.iter().find(|pin| pin.name_any() == name).map(|pin| vec![why::pin::chain(pin, seen)]);
    match target {
        Target::Image(name) => {
            let image = seen.images.iter().find(|image| image.name_any() == *name).map(|image| why::image::chains(image, seen));
            image
                .or_else(|| pin(name).filter(|_| !explicit))
                .ok_or_else(|| Failure::unknown("ContainerImage", name, namespace, &names(true)))
        }
        Target::Pin(name) => pin(name).ok_or_else(|| Failure::unknown("ManifestPin", name, namespace, &names(false))),
        Target::Source(_) => Err(Failure::Usage("why takes a ContainerImage or pin/NAME; for a source: kubectl describe srepo".to_owned())),
    }
}

/// `pin diff`.
pub(crate) async fn diff(cluster: &Cluster, name: Option<&str>) -> Result<(), Failure> {
    let pin = pick(cluster, name).await?;
    let status = pin.status.clone().unwrap_or_default();
    match (&status.diff, status.behind) {
        (Some(diff), _) => print(diff),
        (None, Some(0)) => {
            remark(&format!("ManifestPin {}: nothing is to be written", pin.name_any()));
            Ok(())
        }
        (None, _) => {
            remark(&format!(
                "ManifestPin {} shows no change: it does with spec.write DryRun, once a newer image waits. See kubectl mainstay why pin/{}",
                pin.name_any(),
                pin.name_any()
            ));
            Ok(())
        }
    }
}

/// The pin of that name, or the only one.
pub(crate) async fn pick(cluster: &Cluster, name: Option<&str>) -> Result<ManifestPin, Failure> {
    if let Some(name) = name {
        return cluster.get(name.strip_prefix("pin/").unwrap_or(name)).await;
    }
    let mut all = cluster.list::<ManifestPin>(false).await?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Failure::Usage(format!("namespace {} has several ManifestPins: name one", cluster.namespace))),
        (None, _) => Err(Failure::NotFound(format!("namespace {} has no ManifestPin", cluster.namespace))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let image = |name: &str| {
            serde_saphyr::from_str(&format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: n}}, spec: {{}}}}")).unwrap()
        };
        let pin = |name: &str| {
            serde_saphyr::from_str(&format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: n}}, spec: {{}}}}")).unwrap()
        };
        Seen { images: vec![image("cv"), image("both")], pins: vec![pin("all"), pin("both")], ..Seen::default() }
    }

    #[test]
    fn a_bare_name_may_be_a_pin_where_no_image_has_it() {
        let of = |text: &str| chains(&Target::parse(text).unwrap(), text.contains('/'), &seen(), "n").map(|all| all[0].of.clone());
        assert_eq!(of("cv").unwrap(), "cv");
        assert_eq!(of("all").unwrap(), "pin all");
        assert_eq!(of("both").unwrap(), "both");
        assert_eq!(of("pin/both").unwrap(), "pin both");
        assert!(matches!(of("image/all"), Err(Failure::NotFound(_))));
        assert!(matches!(of("source/x"), Err(Failure::Usage(_))));
        assert_eq!(of("cvv").unwrap_err().to_string(), "ContainerImage cvv does not exist in namespace n; did you mean cv?");
    }
}
