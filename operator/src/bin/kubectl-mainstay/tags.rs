//! The tags of one image: class, marks and reason. Pure.

use kube::ResourceExt;
use mainstay::domain::class;
use mainstay::domain::graph::Graph;
use mainstay_crds::{Class, ContainerImage, ManifestPin, TagSummary};
use serde::Serialize;

use crate::table::{Cell, Tone, header};

/// What is known of an image's tags.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tags {
    pub(crate) image: String,
    /// All tags of the registry by class; `None` where they have not been listed yet.
    pub(crate) counts: Option<Counts>,
    /// The newest of each class, by main's graph.
    pub(crate) items: Vec<Tag>,
}

/// How many tags there are.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) main: i64,
    pub(crate) branch: i64,
    pub(crate) unknown: i64,
    pub(crate) foreign: i64,
}

/// One tag.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Tag {
    pub(crate) tag: String,
    pub(crate) class: Class,
    /// Pins are to name it.
    pub(crate) wanted: bool,
    /// How many places name it.
    pub(crate) pinned: usize,
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

/// Reads them.
pub(crate) fn tags(image: &ContainerImage, pins: &[ManifestPin]) -> Tags {
    let name = image.name_any();
    let status = image.status.clone().unwrap_or_default();
    let pinned: Vec<&str> = pins
        .iter()
        .flat_map(|pin| pin.status.iter().flat_map(|status| &status.pins))
        .filter(|one| one.image == name)
        .map(|one| one.tag.as_str())
        .collect();
    let wanted = |tag: &str| status.variants.iter().filter_map(|one| one.wanted.as_ref()).find(|wanted| wanted.tag == tag);
    let items = status.tags.iter().flat_map(|tags| &tags.newest).map(|one| Tag {
        tag: one.tag.clone(),
        class: one.class,
        wanted: wanted(&one.tag).is_some(),
        pinned: pinned.iter().filter(|tag| **tag == one.tag).count(),
        reason: one.reason.clone(),
        digest: one.digest.clone().or_else(|| wanted(&one.tag).map(|wanted| wanted.digest.clone())),
    });
    let counts =
        status.tags.as_ref().map(|tags| Counts { main: tags.main, branch: tags.branch, unknown: tags.unknown, foreign: tags.foreign });
    Tags { items: items.collect(), image: name, counts }
}

/// The tags of a registry, by a repository and without a cluster: all of them, and nothing is known of what is wanted or pinned.
pub(crate) fn of_registry(image: &str, listed: &[String], graph: &Graph) -> Tags {
    let classified = class::classify_all(listed.iter().map(String::as_str), graph);
    let TagSummary { main, branch, unknown, foreign, .. } = class::summary(&classified, listed.len());
    let items = classified.into_iter().map(|one| Tag {
        tag: one.tag.to_owned(),
        class: one.class,
        wanted: false,
        pinned: 0,
        reason: one.reason.to_owned(),
        digest: None,
    });
    Tags { image: image.to_owned(), counts: Some(Counts { main, branch, unknown, foreign }), items: items.collect() }
}

impl Tags {
    /// As a table.
    pub(crate) fn rows(&self, wide: bool) -> Vec<Vec<Cell>> {
        let mut titles = vec!["TAG", "CLASS", "MARKS", "REASON"];
        if wide {
            titles.push("DIGEST");
        }
        let mut rows = vec![header(&titles)];
        rows.extend(self.items.iter().map(|one| {
            let tone = match one.class {
                Class::Main => Tone::Good,
                Class::Branch => Tone::Waiting,
                Class::Unknown => Tone::Dim,
            };
            let pinned = match one.pinned {
                0 => None,
                1 => Some("pinned".to_owned()),
                count => Some(format!("pinned in {count} places")),
            };
            let marks: Vec<String> = one.wanted.then(|| "wanted".to_owned()).into_iter().chain(pinned).collect();
            let mut row = vec![
                Cell::plain(&one.tag),
                Cell::new(tone, one.class.to_string()),
                Cell::plain(marks.join(", ")),
                Cell::plain(&one.reason),
            ];
            if wide {
                row.push(Cell::maybe(one.digest.as_deref()));
            }
            row
        }));
        rows
    }

    /// How many there are, and how many of them are shown.
    pub(crate) fn counts(&self) -> String {
        let Some(counts) = &self.counts else {
            return format!("the tags of {} have not been listed yet: kubectl mainstay why {}", self.image, self.image);
        };
        let Counts { main, branch, unknown, foreign } = counts;
        let shown = i64::try_from(self.items.len()).unwrap_or(i64::MAX);
        let all = main + branch + unknown;
        let shown = if shown < all { format!("; shown: the newest of each class, {shown} of {all}") } else { String::new() };
        format!("{main} [main], {branch} [branch], {unknown} [unknown], {foreign} of another form{shown}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Paint, Widths};

    #[test]
    fn each_tag_has_its_marks() {
        let image: ContainerImage = serde_saphyr::from_str(
            "{apiVersion: a, kind: b, metadata: {name: cv}, spec: {}, status: {variants: [{variant: dockerfile, reason: UpToDate, \
             wanted: {tag: v1-2222222, digest: 'sha256:ab', commit: '2'}}], tags: {main: 12, branch: 1, unknown: 0, foreign: 1, newest: [\
             {tag: v1-2222222, class: main, reason: its commit is on main}, {tag: v1-1111111, class: main, reason: its commit is on main}, \
             {tag: v1-3333333, class: branch, reason: its commit is on a branch only}]}}}",
        )
        .unwrap();
        let pin: ManifestPin = serde_saphyr::from_str(
            "{apiVersion: a, kind: b, metadata: {name: all}, spec: {}, status: {pins: [\
             {path: a.yaml, field: image, image: cv, variant: dockerfile, tag: v1-2222222, class: main, reason: UpToDate}, \
             {path: b.yaml, field: image, image: cv, variant: dockerfile, tag: v1-2222222, class: main, reason: UpToDate}, \
             {path: b.yaml, field: image, image: other, variant: dockerfile, tag: v1-1111111, class: main, reason: UpToDate}]}}",
        )
        .unwrap();
        let tags = tags(&image, &[pin]);
        assert_eq!(
            Widths::default().render(&tags.rows(false), Paint(false)),
            "TAG          CLASS      MARKS                        REASON\n\
             v1-2222222   [main]     wanted, pinned in 2 places   its commit is on main\n\
             v1-1111111   [main]     -                            its commit is on main\n\
             v1-3333333   [branch]   -                            its commit is on a branch only\n"
        );
        assert_eq!(tags.counts(), "12 [main], 1 [branch], 0 [unknown], 1 of another form; shown: the newest of each class, 3 of 13");
        assert_eq!(tags.items[0].digest.as_deref(), Some("sha256:ab"));
    }

    #[test]
    fn without_a_cluster_every_tag_has_its_class() {
        let (old, new) = ([0x11; 20], [0x22; 20]);
        let mut graph = Graph::default();
        graph.learn(old, &[]);
        graph.learn(new, &[old]);
        graph.set_branches(vec![("main".into(), old), ("feature".into(), new)], "main");
        let listed = ["latest", "v2-2222222", "v1-1111111", "v3-3333333"].map(str::to_owned);
        let tags = of_registry("r/cv", &listed, &graph);
        let shown: Vec<String> = tags.items.iter().map(|one| format!("{} {}", one.tag, one.class)).collect();
        assert_eq!(shown, ["v1-1111111 [main]", "v2-2222222 [branch]", "v3-3333333 [unknown]"]);
        assert_eq!(tags.counts(), "1 [main], 1 [branch], 1 [unknown], 1 of another form");
    }

    #[test]
    fn tags_that_were_never_listed_say_so() {
        let image: ContainerImage = serde_saphyr::from_str("{apiVersion: a, kind: b, metadata: {name: cv}, spec: {}}").unwrap();
        assert!(tags(&image, &[]).counts().contains("not been listed yet"));
    }
}
