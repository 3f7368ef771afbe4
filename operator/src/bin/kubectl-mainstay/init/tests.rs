use super::*;
use mainstay_crds::{ManifestPin, SourceRepository};
use std::process::Command;

/// A checkout with these files and this origin.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new(origin: &str, files: &[(&str, &str)]) -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.git(&["init", "--quiet", "--initial-branch=trunk"]);
        this.git(&["remote", "add", "origin", origin]);
        for (path, text) in files {
            let file = this.0.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        this.git(&["add", "--all"]);
        this.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        this
    }

    fn git(&self, args: &[&str]) {
        let who = [("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")];
        let mut command = Command::new("git");
        let command = command.args(args).current_dir(self.0.path()).env("HOME", self.0.path()).envs(who);
        assert!(command.status().unwrap().success(), "git {args:?}");
    }

    async fn init(&self, edit: impl FnOnce(&mut cli::Init)) -> Result<String, Failure> {
        let directory = self.0.path().to_owned();
        let mut asked = cli::Init { directory, url: None, registry: None, branch: None, containers_path: "containers".to_owned() };
        edit(&mut asked);
        let text = objects::write(&read(&asked).await?, Some("builds"));
        objects::check(&text).map(|()| text)
    }
}

const DOCKERFILE: &str = "ARG CONTAINER_APP_VERSION=1.0.3\nFROM scratch\n";
const CV: (&str, &str) = ("containers/cv/Dockerfile", DOCKERFILE);
const PINNED: (&str, &str) = ("apps/cv/kustomization.yaml", "images:\n  - name: registry.example/team/cv\n    newTag: v1.0.3-0e2c101\n");

fn both(text: &str) -> (SourceRepository, ManifestPin) {
    let (source, pin) = text.split_once("\n---\n").unwrap();
    (serde_saphyr::from_str(source).unwrap(), serde_saphyr::from_str(pin).unwrap())
}

#[tokio::test]
async fn a_repository_with_manifests_leaves_nothing_to_fill_in() {
    let files = [CV, PINNED, ("containers/noversion/Dockerfile", "FROM scratch\n"), ("containers/Bad/Dockerfile", "FROM scratch\n")];
    let repository = Repository::new("https://me:secret@git.example/team/Ops_Repo.git", &files);
    let text = repository.init(|_| {}).await.unwrap();
    assert!(!text.contains(objects::FILL_IN) && !text.contains("secret@"), "{text}");
    assert!(text.contains("#   containers/cv: dockerfile 1.0.3\n"), "{text}");
    assert!(text.contains("#   containers/noversion: dockerfile: ") && text.contains("left out: containers/Bad: "), "{text}");
    let (source, pin) = both(&text);
    assert_eq!((source.metadata.name.as_deref(), source.metadata.namespace.as_deref()), (Some("ops-repo"), Some("builds")));
    assert_eq!((source.spec.url.as_str(), source.spec.branch.as_deref()), ("https://git.example/team/Ops_Repo.git", Some("trunk")));
    assert_eq!(source.spec.registry.prefix, "registry.example/team");
    assert_eq!((pin.spec.paths, pin.spec.source_ref.unwrap().name), (vec!["apps".to_owned()], "ops-repo".to_owned()));
    assert_eq!(pin.spec.write, Some(mainstay_crds::WriteMode::DryRun), "nothing is written before somebody wants it");
}

#[tokio::test]
async fn what_is_not_known_is_marked_and_still_valid() {
    let repository = Repository::new("/srv/git/ops.git", &[("images/cv/Dockerfile", DOCKERFILE)]);
    let text = repository.init(|asked| asked.containers_path = "images/".to_owned()).await.unwrap();
    assert_eq!(text.matches(objects::FILL_IN).count(), 3, "{text}");
    assert_eq!(both(&text).0.spec.containers_path.as_deref(), Some("images"));
}

#[tokio::test]
async fn ssh_wants_a_key_and_flags_count() {
    let repository = Repository::new("git@git.example:team/ops.git", &[CV]);
    let text = repository.init(|asked| asked.registry = Some("other.example:5000/x".to_owned())).await.unwrap();
    let (source, _) = both(&text);
    assert!(text.contains("--from-file=identity=") && text.contains("--docker-server=other.example:5000 "), "{text}");
    assert_eq!((source.spec.url.as_str(), source.spec.registry.prefix.as_str()), ("git@git.example:team/ops.git", "other.example:5000/x"));
}

#[tokio::test]
async fn mistakes_are_told_in_one_line() {
    let repository = Repository::new("https://git.example/team/ops.git", &[CV]);
    let refused = |result: Result<String, Failure>| result.unwrap_err();
    let scheme = refused(repository.init(|asked| asked.registry = Some("https://registry.example".to_owned())).await);
    assert!(matches!(&scheme, Failure::Usage(text) if text.contains("prefix has no scheme")), "{scheme}");
    let url = refused(repository.init(|asked| asked.url = Some("ftp://git.example/x".to_owned())).await);
    assert!(matches!(url, Failure::Usage(_)), "{url}");
    let branch = refused(repository.init(|asked| asked.branch = Some("main".to_owned())).await).to_string();
    assert!(branch.ends_with("has no branch main: name another with --branch"), "{branch}");
    let none = refused(repository.init(|asked| asked.containers_path = "images".to_owned()).await).to_string();
    assert!(none.contains("images/<name>") && none.contains("--containers-path"), "{none}");
    let empty = tempfile::tempdir().unwrap();
    let nothing = refused(repository.init(|asked| asked.directory = empty.path().to_owned()).await).to_string();
    assert!(nothing.starts_with("there is no Git repository at "), "{nothing}");
}

#[test]
fn addresses_lose_their_passwords() {
    for (remote, address_) in [
        ("https://g/x.git", Some("https://g/x.git")),
        ("https://user:token@g/x", Some("https://g/x")),
        ("ssh://git@g:22/x", Some("ssh://git@g:22/x")),
        ("ssh://git:pw@g/x", Some("ssh://git@g/x")),
        ("git@g:team/x", Some("git@g:team/x")),
        ("/srv/x.git", None),
        ("file:///srv/x.git", None),
    ] {
        assert_eq!(address(remote).as_deref(), address_, "{remote}");
    }
}
