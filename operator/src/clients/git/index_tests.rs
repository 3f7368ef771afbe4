use super::*;
use git2::{Signature, Time};
use proptest::prelude::*;

/// A repository whose commits set or remove files.
struct Fixture {
    _directory: tempfile::TempDir,
    repository: Repository,
    clock: i64,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        Self { _directory: directory, repository, clock: 0 }
    }

    /// A commit on top of `parents` whose tree is the first parent's with these changes.
    fn commit(&mut self, parents: &[Oid], changes: &[(&str, Option<&str>)]) -> Oid {
        self.clock += 1;
        let parents: Vec<Commit<'_>> = parents.iter().map(|id| self.repository.find_commit(*id).unwrap()).collect();
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, content) in changes {
            match content {
                Some(text) => update.upsert(*path, self.repository.blob(text.as_bytes()).unwrap(), git2::FileMode::Blob),
                None => update.remove(*path),
            };
        }
        let empty = self.repository.find_tree(self.repository.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let base = parents.first().map_or(empty, |parent| parent.tree().unwrap());
        let tree = self.repository.find_tree(update.create_updated(&self.repository, &base).unwrap()).unwrap();
        let who = Signature::new("a", "a@b", &Time::new(self.clock, 0)).unwrap();
        let parents: Vec<&Commit<'_>> = parents.iter().collect();
        self.repository.commit(None, &who, &who, "m", &tree, &parents).unwrap()
    }
}

fn watch(paths: &[&str]) -> Watch {
    Watch { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

fn touch(fixture: &Fixture, index: &mut Index, head: Oid, paths: &[&str]) -> Option<Oid> {
    index.touches(&fixture.repository, head, &[watch(paths)]).unwrap()[0]
}

#[test]
fn the_newest_change_of_the_directory_counts() {
    let mut f = Fixture::new();
    let root = f.commit(&[], &[("containers/cv/Dockerfile", Some("1")), ("containers/ntfy/Dockerfile", Some("1"))]);
    let cv = f.commit(&[root], &[("containers/cv/x/y", Some("2"))]);
    let other = f.commit(&[cv], &[("README", Some("2"))]);
    let mut index = Index::default();
    assert_eq!(touch(&f, &mut index, other, &["containers/cv"]), Some(cv));
    assert_eq!(touch(&f, &mut index, other, &["containers/ntfy"]), Some(root), "a root commit touches what it brings");
    assert_eq!(touch(&f, &mut index, other, &["containers/none"]), None);
    assert_eq!(touch(&f, &mut index, other, &["containers/ntfy", "README"]), Some(other), "an input counts too");
    assert_eq!(touch(&f, &mut index, other, &["containers/c"]), None, "a name is matched whole");
}

#[test]
fn a_merge_counts_by_its_first_parent() {
    let mut f = Fixture::new();
    let root = f.commit(&[], &[("containers/cv/Dockerfile", Some("1"))]);
    let branch = f.commit(&[root], &[("containers/cv/Dockerfile", Some("2"))]);
    let main = f.commit(&[root], &[("README", Some("1"))]);
    let merge = f.commit(&[main, branch], &[("containers/cv/Dockerfile", Some("2"))]);
    assert_eq!(touch(&f, &mut Index::default(), merge, &["containers/cv"]), Some(merge));
}

#[test]
fn a_revert_is_a_touch_and_a_deletion_ends_it() {
    let mut f = Fixture::new();
    let root = f.commit(&[], &[("containers/cv/Dockerfile", Some("1"))]);
    let changed = f.commit(&[root], &[("containers/cv/Dockerfile", Some("2"))]);
    let reverted = f.commit(&[changed], &[("containers/cv/Dockerfile", Some("1"))]);
    let gone = f.commit(&[reverted], &[("containers/cv/Dockerfile", None)]);
    let back = f.commit(&[gone], &[("containers/cv/Dockerfile", Some("1"))]);
    let mut index = Index::default();
    let all = [root, changed, reverted, gone, back].map(|head| touch(&f, &mut index, head, &["containers/cv"]));
    assert_eq!(all, [Some(root), Some(changed), Some(reverted), None, Some(back)]);
}

#[test]
fn rewritten_history_is_seen() {
    let mut f = Fixture::new();
    let root = f.commit(&[], &[("containers/cv/Dockerfile", Some("1"))]);
    let old = f.commit(&[root], &[("containers/cv/Dockerfile", Some("2"))]);
    let new = f.commit(&[root], &[("README", Some("1"))]);
    let unrelated = f.commit(&[], &[("containers/cv/Dockerfile", Some("9"))]);
    let mut index = Index::default();
    assert_eq!(touch(&f, &mut index, old, &["containers/cv"]), Some(old));
    assert_eq!(touch(&f, &mut index, new, &["containers/cv"]), Some(root), "the commit that was rewritten away does not count");
    assert_eq!(touch(&f, &mut index, unrelated, &["containers/cv"]), Some(unrelated));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// An index that followed every head says the same as one that begins at the last.
    #[test]
    fn incremental_equals_cold(changes in proptest::collection::vec((0usize..4, 0u8..3), 1..30)) {
        let paths = ["containers/a", "containers/b", "shared", "containers/a/deep"];
        let mut f = Fixture::new();
        let mut warm = Index::default();
        let mut head: Option<Oid> = None;
        let watches: Vec<Watch> = paths.iter().map(|path| watch(&[path])).chain([watch(&["containers/b", "shared"])]).collect();
        for (path, content) in changes {
            let file = format!("{}/file", paths[path]);
            let parents: Vec<Oid> = head.into_iter().collect();
            let there = head.is_some_and(|h| f.repository.find_commit(h).unwrap().tree().unwrap().get_path(file.as_ref()).is_ok());
            let content = if content == 0 && there { None } else { Some(content.to_string()) };
            let next = f.commit(&parents, &[(&file, content.as_deref())]);
            head = Some(next);
            let cold = Index::default().touches(&f.repository, next, &watches).unwrap();
            prop_assert_eq!(warm.touches(&f.repository, next, &watches).unwrap(), cold);
        }
    }
}

#[test]
fn many_names_are_found_as_one_by_one() {
    let mut f = Fixture::new();
    let names: Vec<String> = (0..FEW + 4).map(|n| format!("containers/c{n}")).collect();
    let files: Vec<String> = names.iter().map(|name| format!("{name}/Dockerfile")).collect();
    let first: Vec<(&str, Option<&str>)> = files.iter().map(|file| (file.as_str(), Some("1"))).collect();
    let mut head = f.commit(&[], &first);
    let steps: [&[(&str, Option<&str>)]; 8] = [
        &[("containers/c3/Dockerfile", Some("2")), ("containers/c11/x", Some("2"))],
        &[("containers/c0/Dockerfile", None)],
        &[("containers/c1/Dockerfile", None)],
        // A file where a directory was has another place in the order of names.
        &[("containers/c1", Some("file"))],
        &[("containers/c0-new/Dockerfile", Some("1"))],
        &[("containers/c1", None)],
        &[("containers/c1/Dockerfile", Some("1"))],
        &[("README", Some("1"))],
    ];
    for step in steps {
        head = f.commit(&[head], step);
        let watches: Vec<Watch> = names.iter().map(|name| watch(&[name])).collect();
        let together = Index::default().touches(&f.repository, head, &watches).unwrap();
        let apart: Vec<Option<Oid>> = names.iter().map(|name| touch(&f, &mut Index::default(), head, &[name])).collect();
        assert_eq!(together, apart);
    }
}
