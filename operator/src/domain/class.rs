//! The class of a tag: whether the commit that it names is on main (design section 2), and which of the tags is wanted.

use mainstay_crds::{Class, TagStatus, TagSummary, Variant};

use super::graph::{Commit, Found, Graph, Id};
use super::tag;

/// Tags of one class that a status lists.
const LISTED: usize = 10;

/// A tag of ours and what the graph says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifiedTag<'a> {
    /// The tag.
    pub tag: &'a str,
    /// Variant that it names.
    pub variant: Variant,
    /// Version that it names, without the leading `v`.
    pub version: &'a str,
    /// Its class.
    pub class: Class,
    /// The commit, where exactly one is meant.
    pub commit: Option<Commit>,
    /// Why it has that class, for people.
    pub reason: &'static str,
}

/// Gives a tag its class; `None` where it is not of our form.
pub fn classify<'a>(tag: &'a str, graph: &Graph) -> Option<ClassifiedTag<'a>> {
    let parts = tag::parse(tag)?;
    let (class, commit, reason) = match graph.find_short(parts.short_commit) {
        Found::One(commit) if commit.on_main => (Class::Main, Some(commit), "its commit is on main"),
        Found::One(commit) => (Class::Branch, Some(commit), "its commit is on a branch only"),
        Found::Absent => (Class::Unknown, None, "no branch has its commit"),
        Found::Ambiguous => (Class::Unknown, None, "its seven digits begin more than one commit"),
    };
    Some(ClassifiedTag { tag, variant: parts.variant, version: parts.version, class, commit, reason })
}

/// Gives every tag its class, the newest of main first; tags of another form are left out.
pub fn classify_all<'a>(tags: impl IntoIterator<Item = &'a str>, graph: &Graph) -> Vec<ClassifiedTag<'a>> {
    let mut all: Vec<_> = tags.into_iter().filter_map(|tag| classify(tag, graph)).collect();
    let order = |one: &ClassifiedTag<'_>| one.commit.map(|commit| commit.order());
    all.sort_by(|a, b| a.class.cmp(&b.class).then_with(|| order(b).cmp(&order(a))).then_with(|| a.tag.cmp(b.tag)));
    all
}

/// Counts for a status, and the newest of each class.
pub fn summary(classified: &[ClassifiedTag<'_>], tags: usize) -> TagSummary {
    let of = |class: Class| classified.iter().filter(move |one| one.class == class);
    let count = |class: Class| i64::try_from(of(class).count()).unwrap_or(i64::MAX);
    let newest = Class::ALL.into_iter().flat_map(|class| of(class).take(LISTED));
    TagSummary {
        main: count(Class::Main),
        branch: count(Class::Branch),
        unknown: count(Class::Unknown),
        foreign: i64::try_from(tags.saturating_sub(classified.len())).unwrap_or(i64::MAX),
        newest: newest
            .map(|one| TagStatus { tag: one.tag.to_owned(), class: one.class, reason: one.reason.to_owned(), digest: None })
            .collect(),
    }
}

/// Whether a commit has main's inputs as far as the graph can tell: it is the touch or a descendant of it on main. One beside the
/// first-parent line may have changed them on its way, and has to be compared.
pub fn is_current(commit: &Commit, touch: &Id, graph: &Graph) -> bool {
    commit.on_main && graph.descends(&commit.id, touch)
}

/// The tags of a variant that may be wanted, the newest first.
pub fn candidates<'c, 'a>(
    classified: &'c [ClassifiedTag<'a>],
    variant: Variant,
    touch: &Id,
    graph: &Graph,
) -> impl Iterator<Item = (&'c ClassifiedTag<'a>, Commit)> {
    classified.iter().filter(move |one| one.variant == variant).filter_map(move |one| {
        let commit = one.commit.filter(|commit| is_current(commit, touch, graph))?;
        Some((one, commit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::graph::id;

    const ROOT: &str = "1111111000000000000000000000000000000000";
    const TOUCH: &str = "2222222000000000000000000000000000000000";
    const LATER: &str = "3333333000000000000000000000000000000000";
    const BRANCH: &str = "4444444000000000000000000000000000000000";

    fn graph() -> Graph {
        let mut graph = Graph::default();
        let all = [ROOT, TOUCH, LATER, BRANCH].map(|text| id(text).unwrap());
        graph.learn(all[0], &[]);
        graph.learn(all[1], &[all[0]]);
        graph.learn(all[2], &[all[1]]);
        graph.learn(all[3], &[all[1]]);
        graph.set_branches(vec![("main".into(), all[2]), ("feature".into(), all[3])], "main");
        graph
    }

    const TAGS: [&str; 7] = ["v9.0-1111111", "v1.0-2222222", "v1.0-3333333", "v2.0-4444444", "v1.0-5555555", "latest", "v1.0-2222222-nix"];

    #[test]
    fn every_tag_has_a_class_and_the_newest_of_main_comes_first() {
        let graph = graph();
        let all = classify_all(TAGS, &graph);
        let words: Vec<_> = all.iter().map(|one| format!("{} {}", one.tag, one.class)).collect();
        assert_eq!(
            words,
            [
                "v1.0-3333333 [main]",
                "v1.0-2222222 [main]",
                "v1.0-2222222-nix [main]",
                "v9.0-1111111 [main]",
                "v2.0-4444444 [branch]",
                "v1.0-5555555 [unknown]",
            ],
            "neither version nor text decides"
        );
        let summary = summary(&all, TAGS.len());
        assert_eq!((summary.main, summary.branch, summary.unknown, summary.foreign), (4, 1, 1, 1));
        assert_eq!(summary.newest.len(), 6);
    }

    #[test]
    fn wanted_is_of_the_same_variant_and_not_older_than_the_touch() {
        let graph = graph();
        let all = classify_all(TAGS, &graph);
        let of = |variant| candidates(&all, variant, &id(TOUCH).unwrap(), &graph).map(|(one, _)| one.tag).collect::<Vec<_>>();
        assert_eq!(of(Variant::Dockerfile), ["v1.0-3333333", "v1.0-2222222"]);
        assert_eq!(of(Variant::Nix), ["v1.0-2222222-nix"]);
    }

    #[test]
    fn half_a_list_of_tags_changes_no_class() {
        let graph = graph();
        let half = classify_all(TAGS.into_iter().step_by(2), &graph);
        let all = classify_all(TAGS, &graph);
        assert!(half.iter().all(|one| all.contains(one)));
    }
}
