//! Why a build does not come to its end, or why it failed.

use kube::ResourceExt;
use mainstay::domain::build::short;
use mainstay_crds::{ImageBuild, ImageBuildStatus, Place};

use super::{Chain, Link, Said, Seen, State, named, reason, unseen};

/// Its chain: the image that it is of, the commit, its turn, the pod, and the three steps.
pub(crate) fn chain(build: &ImageBuild, seen: &Seen) -> Chain {
    let (name, namespace) = (build.name_any(), build.namespace().unwrap_or_default());
    let status = build.status.clone().unwrap_or_default();
    let Some(said) = Said::of(&status.conditions, Place::ImageBuild) else {
        return Chain::new(format!("build {name}"), namespace, vec![unseen("image", &named(build))]);
    };
    let at = reason::of_build(said.reason);
    let done = said.status == "True";
    let mut links = Vec::new();
    for link in ["image", "commit", "turn", "pod", "source", "build", "push"] {
        if !done && link == at {
            links.push(said.link(link, todo(build, said)));
            // What comes after the link that is missing has not been tried.
            break;
        }
        links.push(holds(link, build, &status, seen));
    }
    Chain::new(format!("build {name}"), namespace, links)
}

/// What to do about a build that has ended without an image. One that is tried again by itself says so in its message.
fn todo(build: &ImageBuild, said: Said<'_>) -> Option<String> {
    let name = build.name_any();
    let ended = said.status == "False";
    match said.reason {
        _ if !ended => None,
        "Cancelled" => Some(format!("nothing, if that was wanted; else kubectl mainstay retry build/{name}")),
        "RefNotFound" | "RefAmbiguous" => Some(format!("kubectl mainstay build {} --ref with another branch or commit", build.spec.image)),
        "ImageNotFound" => Some(format!("create ContainerImage {}, or kubectl delete ibuild {name}", build.spec.image)),
        _ => {
            Some(format!("{}. Its log: kubectl mainstay logs build/{name}; once more: kubectl mainstay retry build/{name}", said.remedy()))
        }
    }
}

/// A link that the build has behind it.
fn holds(link: &'static str, build: &ImageBuild, status: &ImageBuildStatus, seen: &Seen) -> Link {
    let asked = build.spec.reference.as_deref().or(build.spec.commit.as_deref().map(short)).unwrap_or("a commit");
    let commit = status.commit.as_deref().map_or(asked, short);
    let text = match link {
        "image" if seen.images.iter().any(|image| image.name_any() == build.spec.image) => format!("ContainerImage {}", build.spec.image),
        // The build keeps what it was made from: it may outlive its image.
        "image" => format!("ContainerImage {}, which is gone by now", build.spec.image),
        "commit" if asked == commit => format!("it is of {commit}"),
        "commit" => format!("{asked} is {commit}"),
        "turn" => status.admitted_at.as_ref().map_or_else(|| "it needed none".to_owned(), |at| format!("it had its turn at {}", at.0)),
        "pod" => {
            let engine = status.engine.map_or_else(String::new, |engine| format!(", for {}", engine.as_str()));
            let node = status.node.as_deref().map_or_else(String::new, |node| format!(" on {node}"));
            format!("{}{node}{engine}", status.pod.as_deref().unwrap_or("it needed none"))
        }
        "source" => format!("the files of {commit}"),
        "build" => "an image was built".to_owned(),
        _ => {
            let reference = format!("{}:{}", status.image.as_deref().unwrap_or_default(), status.tag.as_deref().unwrap_or_default());
            format!("the registry has {reference}, {}", status.digest.as_deref().unwrap_or("of an unknown digest"))
        }
    };
    Link { state: State::Ok, ..Link::ok(link, text) }
}

#[cfg(test)]
mod tests {
    use super::super::idle::idle;
    use super::*;
    use State::{Missing, Ok as Holds, Waiting};

    fn of(status: &str, reason: &str, rest: &str) -> Chain {
        let stalled = if status == "False" {
            format!(", {{type: Stalled, status: 'True', reason: {reason}, message: m, lastTransitionTime: '2026-11-24T12:00:00Z'}}")
        } else {
            String::new()
        };
        let text = format!(
            "{{apiVersion: a, kind: b, metadata: {{name: cv-x, namespace: n}}, spec: {{image: cv, ref: feature}}, status: {{conditions: [{{type: Succeeded, \
             status: '{status}', reason: {reason}, message: what is wrong, lastTransitionTime: '2026-11-24T12:00:00Z'}}{stalled}]{rest}}}}}"
        );
        chain(&serde_saphyr::from_str::<ImageBuild>(&text).unwrap(), &Seen::default())
    }

    const PUSHED: &str =
        ", commit: '2222222000', pod: cv-x-1, node: a, engine: buildkit, image: r/cv, tag: v1-2222222, digest: 'sha256:ab'";

    #[test]
    fn a_complete_chain() {
        let chain = of("True", "Pushed", PUSHED);
        let told: Vec<String> = chain.links.iter().map(|link| format!("{}: {}", link.name, link.text)).collect();
        assert_eq!(
            told,
            [
                "image: ContainerImage cv, which is gone by now",
                "commit: feature is 2222222",
                "turn: it needed none",
                "pod: cv-x-1 on a, for buildkit",
                "source: the files of 2222222",
                "build: an image was built",
                "push: the registry has r/cv:v1-2222222, sha256:ab"
            ]
        );
        assert_eq!(chain.state, Holds);
    }

    #[test]
    fn the_chain_ends_at_what_is_missing() {
        for (status, reason, link, state) in [
            ("False", "RefNotFound", "commit", Missing),
            ("Unknown", "Queued", "turn", Waiting),
            ("Unknown", "BuildPodUnschedulable", "pod", Waiting),
            ("Unknown", "Building", "build", Waiting),
            ("False", "OOMKilled", "build", Missing),
            ("False", "PushUnauthorized", "push", Missing),
        ] {
            let chain = of(status, reason, PUSHED);
            assert_eq!((chain.state, chain.first), (state, Some(link)), "{chain:?}");
            assert_eq!(chain.links.last().map(|link| link.name), Some(link), "{chain:?}");
        }
    }

    #[test]
    fn every_reason_is_told_by_a_link_with_what_to_do() {
        let reasons = idle(Place::ImageBuild);
        assert!(reasons.len() > 30, "{reasons:?}");
        for reason in reasons {
            for status in ["False", "Unknown"] {
                let chain = of(status, reason, "");
                let told = chain.links.last().unwrap();
                assert!(told.text.starts_with(&format!("{reason}: what is wrong")), "{reason}: {chain:?}");
                assert_eq!(told.todo.is_some(), status == "False", "{told:?}");
                assert_eq!((chain.first, chain.state == Missing), (Some(told.name), status == "False"), "{chain:?}");
            }
        }
    }

    #[test]
    fn a_build_that_nobody_has_looked_at_says_so() {
        let fresh: ImageBuild =
            serde_saphyr::from_str("{apiVersion: a, kind: b, metadata: {name: cv-x}, spec: {image: cv, ref: x}}").unwrap();
        assert_eq!(chain(&fresh, &Seen::default()).state, Waiting);
    }
}
