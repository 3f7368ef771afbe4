use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Content and mode of each path.
type Files = BTreeMap<String, (Vec<u8>, i32)>;

fn repository() -> (tempfile::TempDir, Repository) {
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(directory.path()).unwrap();
    (directory, repository)
}

fn start(repository: &Repository, files: &Files) -> Oid {
    let mut update = TreeUpdateBuilder::new();
    for (path, (bytes, mode)) in files {
        let mode = match mode {
            0o100_755 => FileMode::BlobExecutable,
            0o120_000 => FileMode::Link,
            _ => FileMode::Blob,
        };
        update.upsert(path.as_str(), repository.blob(bytes).unwrap(), mode);
    }
    let empty = repository.find_tree(repository.treebuilder(None).unwrap().write().unwrap()).unwrap();
    let tree = repository.find_tree(update.create_updated(repository, &empty).unwrap()).unwrap();
    let who = Signature::new("a", "a@b", &Time::new(0, 0)).unwrap();
    repository.commit(None, &who, &who, "start", &tree, &[]).unwrap()
}

fn read(repository: &Repository, commit: Oid) -> Files {
    let mut files = Files::new();
    let tree = repository.find_commit(commit).unwrap().tree().unwrap();
    tree.walk(git2::TreeWalkMode::PreOrder, |directory, entry| {
        if entry.kind() == Some(git2::ObjectType::Blob) {
            let bytes = repository.find_blob(entry.id()).unwrap().content().to_vec();
            files.insert(format!("{directory}{}", entry.name().unwrap()), (bytes, entry.filemode()));
        }
        git2::TreeWalkResult::Ok
    })
    .unwrap();
    files
}

fn request(base: Oid, files: &[(&str, &[u8])]) -> WriteRequest {
    WriteRequest {
        branch: "main".to_owned(),
        expected: Some(base.to_string()),
        parents: vec![base.to_string()],
        base: base.to_string(),
        files: files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect(),
        message: "Pin cv\n\nbody".to_owned(),
        author: Author { name: "Mainstay".to_owned(), email: "m@example.org".to_owned() },
        when: 1_700_000_000,
        signing: None,
    }
}

fn some_files() -> Files {
    [("a/x.yaml", 0o100_644), ("a/run", 0o100_755), ("a/link", 0o120_000), ("b", 0o100_644)]
        .map(|(path, mode)| (path.to_owned(), (path.as_bytes().to_vec(), mode)))
        .into()
}

#[test]
fn the_same_request_is_the_same_commit() {
    let (_directory, repository) = repository();
    let base = start(&repository, &some_files());
    let first = commit(&repository, &request(base, &[("b", b"2")])).unwrap().unwrap();
    let again = commit(&repository, &request(base, &[("b", b"2")])).unwrap().unwrap();
    assert_eq!((first.commit, first.expected), (again.commit, Some(base)));
    let made = repository.find_commit(first.commit).unwrap();
    assert_eq!((made.author().name(), made.committer().email()), (Ok("Mainstay"), Ok("m@example.org")));
    assert_eq!((made.time().seconds(), made.time().offset_minutes(), made.message()), (1_700_000_000, 0, Ok("Pin cv\n\nbody")));
}

#[test]
fn what_makes_no_sense_is_refused_and_named() {
    let (_directory, repository) = repository();
    let base = start(&repository, &some_files());
    let other = start(&repository, &[("z".to_owned(), (b"z".to_vec(), 0o100_644))].into());
    let good = || request(base, &[("b", b"2")]);
    let named = |author: &str, email: &str| Author { name: author.to_owned(), email: email.to_owned() };
    for (case, word) in [
        (request(base, &[("none", b"2")]), "\"none\""),
        (request(base, &[("a", b"2")]), "\"a\""),
        (request(base, &[("a/link", b"2")]), "\"a/link\""),
        (request(base, &[("a//x.yaml", b"2")]), "regular file"),
        (request(base, &[("a/../b", b"2")]), "regular file"),
        (request(base, &[("/b", b"2")]), "regular file"),
        (request(base, &[("b/", b"2")]), "regular file"),
        (request(base, &[("b\0", b"2")]), "regular file"),
        (request(base, &[("b", b"2"), ("b", b"3")]), "twice"),
        (request(base, &[("b", b"b")]), "nothing"),
        (request(base, &[]), "nothing"),
        (WriteRequest { branch: "a..b".to_owned(), ..good() }, "branch"),
        (WriteRequest { branch: "x:refs/heads/y".to_owned(), ..good() }, "branch"),
        (WriteRequest { message: " \n".to_owned(), ..good() }, "message"),
        (WriteRequest { message: "a\0b".to_owned(), ..good() }, "message"),
        (WriteRequest { author: named("a\nparent 1", "a@b"), ..good() }, "author"),
        (WriteRequest { author: named("a", "a@b> 1 +0000\ncommitter <"), ..good() }, "author"),
        (WriteRequest { author: named("a <x>", "a@b"), ..good() }, "author"),
        (WriteRequest { author: named("", "a@b"), ..good() }, "author"),
        (WriteRequest { parents: vec![other.to_string()], ..good() }, "forced"),
        (WriteRequest { parents: Vec::new(), ..good() }, "forced"),
        (WriteRequest { base: "main".to_owned(), ..good() }, "full commit"),
    ] {
        match commit(&repository, &case) {
            Err(GitError::WriteInvalid(text)) => assert!(text.contains(word), "{text} without {word}"),
            Err(error) => panic!("{word}: {error}"),
            Ok(_) => panic!("{word}: made"),
        }
    }
}

#[test]
fn commits_that_are_gone_are_a_lost_race() {
    let (_directory, repository) = repository();
    let base = start(&repository, &some_files());
    let gone = "4".repeat(40);
    let good = || request(base, &[("b", b"2")]);
    for case in [
        WriteRequest { expected: Some(gone.clone()), ..good() },
        WriteRequest { parents: vec![base.to_string(), gone.clone()], ..good() },
        WriteRequest { base: gone.clone(), ..good() },
    ] {
        assert!(commit(&repository, &case).unwrap().is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_other_path_changes(
        files in prop::collection::btree_map("[ab]{1,2}(/[cd]{1,2}){0,2}\\.y", (prop::collection::vec(any::<u8>(), 0..20), prop::sample::select(vec![0o100_644, 0o100_755])), 1..12),
        chosen in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..20)), 1..6),
    ) {
        let (_directory, repository) = repository();
        let base = start(&repository, &files);
        let paths: Vec<&String> = files.keys().collect();
        let wanted: BTreeMap<&str, &[u8]> = chosen.iter().map(|(index, bytes)| (index.get(&paths).as_str(), bytes.as_slice())).collect();
        let list: Vec<(&str, &[u8])> = wanted.iter().map(|(path, bytes)| (*path, *bytes)).collect();
        let mut expected = files.clone();
        for (path, bytes) in &list {
            expected.get_mut(*path).unwrap().0 = bytes.to_vec();
        }
        match commit(&repository, &request(base, &list)) {
            Ok(made) => {
                let made = made.unwrap().commit;
                prop_assert_eq!(&read(&repository, made), &expected);
                let tree = |id| repository.find_commit(id).unwrap().tree().unwrap();
                let diff = repository.diff_tree_to_tree(Some(&tree(base)), Some(&tree(made)), None).unwrap();
                let changed: BTreeSet<String> = diff.deltas().map(|d| d.new_file().path().unwrap().display().to_string()).collect();
                let meant: BTreeSet<String> = files.iter().filter(|(path, file)| expected.get(*path) != Some(file)).map(|(path, _)| path.clone()).collect();
                prop_assert_eq!(changed, meant);
            }
            Err(_) => prop_assert_eq!(expected, files),
        }
    }
}
