//! Why an image is, or is not, built, pinned and running.

use kube::ResourceExt;
use mainstay::domain::build::short;
use mainstay::domain::{condition, tag};
use mainstay_crds::{ContainerImage, ImageBuild, ManifestPin, PinStatus, Place, Variant, VariantStatus};

use super::places::{pinned, runs, worst};
use super::{Chain, Link, Said, Seen, State, commit, named, reason, unseen};

/// The chains of an image: one for each variant, or one where it has none yet.
pub(crate) fn chains(image: &ContainerImage, seen: &Seen) -> Vec<Chain> {
    let variants = image.status.as_ref().map(|status| status.variants.as_slice()).unwrap_or_default();
    if variants.is_empty() { vec![chain(image, None, seen)] } else { variants.iter().map(|one| chain(image, Some(one), seen)).collect() }
}

fn chain(image: &ContainerImage, variant: Option<&VariantStatus>, seen: &Seen) -> Chain {
    let (name, namespace) = (image.name_any(), image.namespace().unwrap_or_default());
    let of = variant.map_or_else(|| name.clone(), |one| format!("{name} ({})", one.variant));
    let status = image.status.clone().unwrap_or_default();
    let resolved = status.resolved.as_ref();
    let wanted = image.spec.source_ref.as_ref().map(|source| source.name.as_str());
    let source = seen.source(wanted.or(resolved.map(|resolved| resolved.source.as_str())));
    let mut links = vec![commit(source, wanted)];
    let Some(said) = Said::of(&status.conditions, Place::ContainerImage) else {
        links.push(unseen("touch", &named(image)));
        return Chain::new(of, namespace, links);
    };
    let view = View { image, variant, said: own(said, variant, &status.variants), seen };
    links.push(view.touch());
    links.push(view.wanted());
    links.push(view.registry());
    links.push(view.build());
    let places = view.places();
    links.push(view.pin(&places));
    links.push(view.running(&places));
    // A problem with the source is told once more by the image: the first to tell it stays.
    if view.at() == Some("commit") && links.first().is_some_and(|first| first.state == State::Ok) {
        links.insert(0, view.said.map_or_else(|| unseen("commit", &named(image)), |said| said.link("commit", None)));
        links.remove(1);
    }
    Chain::new(of, namespace, links)
}

/// What `Ready` says of this variant: the worst variant speaks for the image, and the others are not meant.
fn own<'a>(said: Said<'a>, variant: Option<&'a VariantStatus>, all: &[VariantStatus]) -> Option<Said<'a>> {
    if said.status == "True" {
        return None;
    }
    let Some(variant) = variant else { return Some(said) };
    let at_fault = |one: &VariantStatus| one.reason != "UpToDate";
    let of_other = all.iter().any(|one| one.variant != variant.variant && said.message.starts_with(&format!("{}: ", one.variant)));
    match (at_fault(variant), of_other) {
        (false, _) if all.iter().any(at_fault) => None,
        (true, true) => {
            let message = variant.last_failure.as_ref().map_or("look at status.variants", |failure| &failure.message);
            Some(Said { reason: &variant.reason, message, ..said })
        }
        _ => Some(said),
    }
}

struct View<'a> {
    image: &'a ContainerImage,
    variant: Option<&'a VariantStatus>,
    /// What keeps this variant from being ready.
    said: Option<Said<'a>>,
    seen: &'a Seen,
}

impl View<'_> {
    /// The link that `Ready` speaks of.
    fn at(&self) -> Option<&'static str> {
        let said = self.said?;
        let failed = self.variant.is_some_and(|one| one.last_failure.is_some() && one.reason == said.reason);
        Some(if failed { "build" } else { reason::of_image(said.reason) })
    }

    /// The link as `Ready` tells it, where it speaks of this one.
    fn told(&self, name: &'static str, todo: Option<String>) -> Option<Link> {
        self.said.filter(|_| self.at() == Some(name)).map(|said| said.link(name, todo))
    }

    fn touch(&self) -> Link {
        const NAME: &str = "touch";
        let path = self.image.status.as_ref().and_then(|status| status.resolved.as_ref()).map_or("its directory", |r| &r.path);
        if let Some(link) = self.told(NAME, None) {
            return link;
        }
        match self.variant.and_then(|one| one.commit.as_deref()) {
            Some(touch) => Link::ok(NAME, format!("{} is the newest commit on main that changed {path} or its inputs", short(touch))),
            None => Link::waiting(NAME, format!("no commit on main is known that changed {path}")),
        }
    }

    fn wanted(&self) -> Link {
        const NAME: &str = "wanted";
        if let Some(link) = self.told(NAME, None) {
            return link;
        }
        match self.variant.map(|one| (one.tag.as_deref(), one.commit.as_deref())) {
            Some((Some(tag), _)) => Link::ok(NAME, format!("main asks for {tag}")),
            Some((None, Some(touch))) => {
                Link::ok(NAME, format!("main asks for the image of {}, whose version nix evaluates in the build", short(touch)))
            }
            _ => Link::waiting(NAME, "the tag follows from the version at that commit"),
        }
    }

    fn registry(&self) -> Link {
        const NAME: &str = "registry";
        if let Some(link) = self.told(NAME, None) {
            return link;
        }
        let Some(variant) = self.variant else { return Link::waiting(NAME, "there is no tag to look for yet") };
        let tag = variant.tag.as_deref().unwrap_or("main's tag");
        match (&variant.digest, &variant.wanted) {
            (Some(digest), _) => Link::ok(NAME, format!("it has {tag}, {digest}")),
            (None, Some(wanted)) => {
                Link::ok(NAME, format!("it has {}, built on main from the same inputs; {tag} itself is not there", wanted.tag))
            }
            (None, None) => {
                let good = variant.last_good_tag.as_deref().map_or_else(String::new, |tag| format!("; the last from main is {tag}"));
                Link::waiting(NAME, format!("{tag} is not there yet{good}"))
            }
        }
    }

    fn build(&self) -> Link {
        const NAME: &str = "build";
        let name = self.image.name_any();
        let todo = self.said.and_then(|said| match said.reason {
            "Suspended" => Some(format!("kubectl mainstay resume {name}")),
            "BuildCancelled" => Some(format!("kubectl mainstay rebuild {name}")),
            _ if said.status == "False" && said.stalled => {
                Some(format!("read kubectl mainstay logs {name}, mend it by a commit; or try again: kubectl mainstay rebuild {name}"))
            }
            _ => None,
        });
        if let Some(link) = self.told(NAME, todo) {
            return link;
        }
        let Some(variant) = self.variant else { return Link::waiting(NAME, "there is nothing to build yet") };
        let object = variant.build.as_ref().and_then(|name| self.seen.builds.iter().find(|build| build.name_any() == *name));
        match (&variant.build, &variant.digest) {
            (Some(build), Some(_)) => {
                let took = variant.duration.as_deref().map_or_else(String::new, |took| format!(" in {took}"));
                Link::ok(NAME, format!("{build} made it{took}"))
            }
            (None, Some(_)) => Link::ok(NAME, "not needed: the registry has it without a build of ours"),
            (Some(build), None) => Link::waiting(NAME, object.and_then(words).unwrap_or_else(|| format!("{build} is to make it"))),
            (None, None) if variant.wanted.is_some() => Link::ok(NAME, "not needed for the pin"),
            (None, None) => Link::waiting(NAME, "none has begun"),
        }
    }

    /// The places of this variant, with the ManifestPin that found them.
    fn places(&self) -> Vec<(&ManifestPin, &PinStatus)> {
        let name = self.image.name_any();
        let ours = |one: &&PinStatus| one.image == name && self.variant.is_none_or(|variant| variant.variant == one.variant);
        let of = |pin| all(pin).iter().filter(ours).map(move |one| (pin, one));
        self.seen.pins.iter().flat_map(of).collect()
    }

    fn pin(&self, places: &[(&ManifestPin, &PinStatus)]) -> Link {
        const NAME: &str = "pin";
        if places.is_empty() {
            return self.unpinned();
        }
        let wanted = self.variant.and_then(|one| one.wanted.as_ref()).map(|wanted| wanted.tag.as_str());
        let links: Vec<Link> = places.iter().map(|(pin, one)| pinned(pin, one, wanted)).collect();
        worst(NAME, links)
    }

    fn unpinned(&self) -> Link {
        const NAME: &str = "pin";
        let names: Vec<String> = self.seen.pins.iter().map(ResourceExt::name_any).collect();
        let resolved = self.image.status.as_ref().and_then(|status| status.resolved.as_ref());
        let image = resolved.map_or("its image", |resolved| &resolved.image);
        match names.as_slice() {
            [] => Link::missing(
                NAME,
                "the namespace has no ManifestPin",
                "create one whose spec.paths has the manifests: docs/manifest-pins.md",
            ),
            _ if self.seen.pins.iter().any(|pin| pin.status.is_none()) => unseen(NAME, "the ManifestPins"),
            names => {
                let text = format!("no manifest that ManifestPin {} looks at names {image}", names.join(" or "));
                Link::missing(NAME, text, format!("write {image}:<tag> into one, or check spec.paths and spec.images of the ManifestPin"))
            }
        }
    }

    fn running(&self, places: &[(&ManifestPin, &PinStatus)]) -> Link {
        const NAME: &str = "running";
        let of_this = |tag: &str| tag::parse(tag).is_none_or(|parts| self.is_of(parts.variant));
        let violations = self.image.status.iter().flat_map(|status| &status.violations);
        if let Some(bad) = violations.into_iter().find(|one| one.at.starts_with("pod ") && of_this(&one.tag)) {
            let text = format!("{} runs {} {}: {}", bad.at, bad.tag, bad.class, bad.message);
            return Link::missing(NAME, text, "let it run the pinned image: what deploys it has not done so");
        }
        if places.is_empty() {
            return Link::waiting(NAME, "known once a manifest names it");
        }
        worst(NAME, places.iter().map(|(_, one)| runs(one)).collect())
    }

    fn is_of(&self, variant: Variant) -> bool {
        self.variant.is_none_or(|one| one.variant == variant)
    }
}

fn all(pin: &ManifestPin) -> &[PinStatus] {
    pin.status.as_ref().map(|status| status.pins.as_slice()).unwrap_or_default()
}

/// What a build that has not ended says.
fn words(build: &ImageBuild) -> Option<String> {
    let said = condition::find(&build.status.as_ref()?.conditions, "Succeeded")?;
    Some(format!("{}: {}: {}", build.name_any(), said.reason, said.message))
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
