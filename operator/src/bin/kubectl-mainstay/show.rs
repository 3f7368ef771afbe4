//! The commands that only look: `list`, `tags` and `why`.

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
    let images = gather(cluster, everywhere).await?;
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

/// What `list` shows.
async fn gather(cluster: &Cluster, everywhere: bool) -> Result<Vec<list::Image>, Failure> {
    let (images, pins, builds) =
        tokio::join!(cluster.list::<ContainerImage>(everywhere), cluster.list(everywhere), cluster.list(everywhere));
    Ok(list::images(&images?, &partly(pins, "where they are pinned")?, &partly(builds, "how builds stand")?))
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
        Err(failure) if failure.is_forbidden() => {
            remark(&format!("not shown: {without}: {failure}"));
            Ok(Vec::new())
        }
        answer => answer,
    }
}

/// `tags`.
pub(crate) async fn tags(cluster: &Cluster, name: &str, output: Output) -> Result<(), Failure> {
    let (image, pins) = tokio::join!(cluster.get::<ContainerImage>(name), cluster.list::<ManifestPin>(false));
    print_tags(&tags::tags(&image?, &partly(pins, "where they are pinned")?), output)
}

/// Writes the tags of an image, wherever they were read.
pub(crate) fn print_tags(tags: &tags::Tags, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => json(tags),
        Output::Yaml => yaml(tags),
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

/// The chains of an image, of a pin, of a build or of a source. A bare name that no image has may be that of a pin or a build.
fn chains(target: &Target, explicit: bool, seen: &Seen, namespace: &str) -> Result<Vec<Chain>, Failure> {
    let names = |images: bool| -> Vec<String> {
        if images { seen.images.iter().map(ResourceExt::name_any).collect() } else { seen.pins.iter().map(ResourceExt::name_any).collect() }
    };
    let pin = |name: &str| seen.pins.iter().find(|pin| pin.name_any() == name).map(|pin| vec![why::pin::chain(pin, seen)]);
    let build = |name: &str| seen.builds.iter().find(|build| build.name_any() == name).map(|build| vec![why::build::chain(build, seen)]);
    match target {
        Target::Image(name) => {
            let image = seen.images.iter().find(|image| image.name_any() == *name).map(|image| why::image::chains(image, seen));
            image
                .or_else(|| pin(name).filter(|_| !explicit))
                .or_else(|| build(name).filter(|_| !explicit))
                .ok_or_else(|| Failure::unknown("ContainerImage", name, namespace, &names(true)))
        }
        Target::Pin(name) => pin(name).ok_or_else(|| Failure::unknown("ManifestPin", name, namespace, &names(false))),
        Target::Build(name) => {
            let there = || seen.builds.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
            build(name).ok_or_else(|| Failure::unknown("ImageBuild", name, namespace, &there()))
        }
        Target::Source(name) => {
            let source = seen.sources.iter().find(|source| source.name_any() == *name);
            let there = || seen.sources.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
            source.map(|source| vec![why::source(source)]).ok_or_else(|| Failure::unknown("SourceRepository", name, namespace, &there()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, refusal};

    fn seen() -> Seen {
        let image = |name: &str| {
            serde_saphyr::from_str(&format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: n}}, spec: {{}}}}")).unwrap()
        };
        let pin = |name: &str| {
            serde_saphyr::from_str(&format!("{{apiVersion: a, kind: b, metadata: {{name: {name}, namespace: n}}, spec: {{}}}}")).unwrap()
        };
        Seen { images: vec![image("cv"), image("both")], pins: vec![pin("all"), pin("both")], ..Seen::default() }
    }

    #[tokio::test]
    async fn a_list_of_two_hundred_images_is_three_questions() {
        let tag = |at: usize| json!({"tag": format!("v1.{at}-{at:07x}"), "class": "main", "reason": "its commit is on main"});
        let tags: Vec<_> = (0..50).map(tag).collect();
        let status = json!({
            "variants": [{"variant": "dockerfile", "reason": "UpToDate", "version": "1.0"}],
            "tags": {"main": 50, "branch": 0, "unknown": 0, "foreign": 0, "newest": tags},
        });
        let mut fake = Fake::default();
        for at in 0..200 {
            let name = format!("image-{at}");
            let place = json!({"path": "a.yaml", "field": "image", "image": name, "variant": "dockerfile", "tag": "v1.0-0000000", "class": "main", "reason": "UpToDate"});
            let object = |kind: &str, spec: serde_json::Value, status: &serde_json::Value| json!({"apiVersion": "mainstay.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "n"}, "spec": spec, "status": status});
            fake.object("containerimages", &name, &object("ContainerImage", json!({}), &status));
            fake.object("imagebuilds", &name, &object("ImageBuild", json!({"image": name, "ref": "main"}), &json!({})));
            fake.object("manifestpins", &name, &object("ManifestPin", json!({}), &json!({"pins": [place]})));
        }
        let (cluster, log) = fake.serve();
        let images = gather(&cluster, true).await.unwrap();
        assert_eq!((images.len(), images[0].variants[0].pins.len()), (200, 1));
        assert_eq!(log.all().len(), 3, "{:?}", log.all());
    }

    #[tokio::test]
    async fn whatever_the_cluster_refuses_is_one_line_with_its_exit_code() {
        let old = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": [{"metadata": {"name": "cv"}, "spec": {"variants": "dockerfile"}}]});
        for (answer, words, code) in [
            (refusal(403, "containerimages.mainstay.dev is forbidden: User \"x\" cannot list"), "is forbidden: User", 3),
            (refusal(401, "Unauthorized"), "does not accept the credentials", 3),
            (refusal(404, "the server could not find the requested resource"), "helm upgrade --install", 3),
            (refusal(503, "not\nnow"), "cannot answer now (503): not now", 3),
            (refusal(422, "spec.x: Invalid value"), "spec.x: Invalid value", 1),
            ((200, old), "of the same version?", 3),
        ] {
            let mut fake = Fake::default();
            fake.otherwise(answer);
            let failure = gather(&fake.serve().0, false).await.unwrap_err();
            let said = failure.to_string();
            assert!(said.contains(words) && !said.contains('\n'), "{said}");
            assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", std::process::ExitCode::from(code)), "{said}");
        }
    }

    #[tokio::test]
    async fn what_may_not_be_listed_leaves_its_columns_empty() {
        let mut fake = Fake::default();
        fake.object(
            "containerimages",
            "cv",
            &json!({"apiVersion": "a", "kind": "b", "metadata": {"name": "cv", "namespace": "n"}, "spec": {}}),
        );
        fake.otherwise(refusal(403, "things is forbidden: User"));
        assert_eq!(gather(&fake.serve().0, false).await.unwrap().len(), 1);
    }

    #[test]
    fn a_bare_name_may_be_a_pin_where_no_image_has_it() {
        let of = |text: &str| chains(&Target::parse(text).unwrap(), text.contains('/'), &seen(), "n").map(|all| all[0].of.clone());
        assert_eq!(of("cv").unwrap(), "cv");
        assert_eq!(of("all").unwrap(), "pin all");
        assert_eq!(of("both").unwrap(), "both");
        assert_eq!(of("pin/both").unwrap(), "pin both");
        assert!(matches!(of("image/all"), Err(Failure::NotFound(_))));
        assert!(matches!(of("source/x"), Err(Failure::NotFound(_))));
        assert!(matches!(of("build/x"), Err(Failure::NotFound(_))));
        assert_eq!(of("cvv").unwrap_err().to_string(), "ContainerImage cvv does not exist in namespace n; did you mean cv?");
    }
}
