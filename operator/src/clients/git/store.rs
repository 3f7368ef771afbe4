use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository};

use super::about;
use super::auth::Remote;
use super::error::GitError;
use super::fetch::{self, Synced};
use super::graph;
use super::index::{Index, Watch};
use super::known::Known;
use super::listing::{self, Container, Listing};
use super::manifests::{self, Manifests};
use super::push::{self, Pushed};
use super::trace::{self, Change};
use super::write::WriteRequest;
use crate::domain::graph::Graph;

/// Key in a clone's configuration: the URL that it was made from.
const URL: &str = "mainstay.url";

/// Packs after which a clone is made anew: each fetch brings one, and libgit2 does not collect them.
const MAX_PACKS: usize = 400;

/// The clones, one for each SourceRepository, and what is known of them. A clone may vanish or break at any time: it is made again.
#[derive(Clone)]
pub struct Store {
    root: PathBuf,
    deadline: Duration,
    clones: Arc<Mutex<HashMap<String, Entry>>>,
}

/// One clone: what is on the disk, for one at a time, and what was read from it, for everybody.
#[derive(Clone, Default)]
struct Entry {
    local: Arc<tokio::sync::Mutex<Local>>,
    known: Arc<Mutex<Known>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("root", &self.root).finish_non_exhaustive()
    }
}

/// One clone while the program runs.
#[derive(Default)]
struct Local {
    repository: Option<Repository>,
    index: Index,
    /// The branch that counts as main, as last fetched.
    main: String,
}

impl Store {
    /// Clones below `root`, which may be empty. A fetch takes `deadline` at most.
    pub fn new(root: PathBuf, deadline: Duration) -> Self {
        // As git itself does: a fetch checks the hash of every object, the disk has checksums of its own, and two thirds of a walk were spent on
        // hashing what had been checked (`make bench`).
        git2::opts::strict_hash_verification(false);
        Self { root, deadline, clones: Arc::default() }
    }

    /// Fetches all heads; clones where there is no clone, and again where it is damaged or was made from another URL.
    ///
    /// # Errors
    /// What the server or the disk says.
    pub async fn sync(&self, key: &str, remote: &Remote) -> Result<Synced, GitError> {
        let (path, remote, deadline) = (self.root.join(key), remote.clone(), self.deadline);
        self.blocking(key, move |clone, known| {
            let fresh = |clone: &mut Local| -> Result<Synced, GitError> {
                *clone = Local::default();
                let disk = |error: std::io::Error| GitError::Disk(error.to_string());
                if path.exists() {
                    fs::remove_dir_all(&path).map_err(disk)?;
                }
                fs::create_dir_all(&path).map_err(disk)?;
                let repository = Repository::init_bare(&path).map_err(|error| GitError::Disk(error.message().to_owned()))?;
                repository
                    .config()
                    .and_then(|mut config| config.set_str(URL, &remote.url))
                    .map_err(|error| GitError::Disk(error.message().to_owned()))?;
                let synced = fetch::heads(&repository, &remote, deadline)?;
                clone.repository = Some(repository);
                Ok(synced)
            };
            if clone.repository.is_none() {
                clone.repository = Repository::open_bare(&path).ok();
            }
            let same_url =
                |repository: &Repository| repository.config().and_then(|mut c| c.snapshot()?.get_str(URL).map(|url| url == remote.url));
            let synced = match clone
                .repository
                .take()
                .filter(|repository| same_url(repository).unwrap_or(false) && packs(repository) <= MAX_PACKS)
            {
                None => fresh(clone),
                Some(repository) => match fetch::heads(&repository, &remote, deadline) {
                    Err(GitError::Damaged(message)) => {
                        tracing::warn!(message, "the clone is damaged and is made anew");
                        fresh(clone)
                    }
                    result => {
                        clone.repository = Some(repository);
                        result
                    }
                },
            }?;
            clone.main.clone_from(&synced.branch);
            if let Some(repository) = &clone.repository {
                read_graph(repository, &clone.main, known)?;
            }
            Ok(synced)
        })
        .await
    }

    /// Reads a person's own repository where it lies, with its branches as they are; nothing is fetched and nothing is written. Main is `branch`,
    /// else what `origin` has as its default, else what is checked out.
    ///
    /// # Errors
    /// [`GitError::RepositoryNotFound`] where there is none, [`GitError::BranchNotFound`], or what reading it says.
    pub async fn open(&self, key: &str, directory: &Path, branch: Option<&str>) -> Result<Synced, GitError> {
        let (directory, branch) = (directory.to_owned(), branch.map(str::to_owned));
        self.blocking(key, move |clone, known| {
            let url = directory.display().to_string();
            let repository = Repository::discover(&directory).map_err(|_| GitError::RepositoryNotFound { url: url.clone() })?;
            let default = || Some(repository.find_reference("refs/remotes/origin/HEAD").ok()?.symbolic_target().ok()??.to_owned());
            let default = default().and_then(|name| name.strip_prefix("refs/remotes/origin/").map(str::to_owned));
            let current = || repository.head().ok()?.shorthand().ok().map(str::to_owned);
            let branch = branch.or(default).or_else(current).ok_or_else(|| GitError::Empty { url: url.clone() })?;
            let Ok(head) = repository.refname_to_id(&format!("refs/heads/{branch}")) else {
                return Err(GitError::BranchNotFound { url, branch });
            };
            read_graph(&repository, &branch, known)?;
            clone.main.clone_from(&branch);
            clone.repository = Some(repository);
            Ok(Synced { branch, head: head.to_string(), forced: false })
        })
        .await
    }

    /// Where a repository that was opened came from: the URL of its remote `origin`.
    ///
    /// # Errors
    /// What reading it says.
    pub async fn origin(&self, key: &str) -> Result<Option<String>, GitError> {
        self.reading(key, |repository, _, _| {
            Ok(repository.find_remote("origin").ok().and_then(|origin| origin.url().ok().map(str::to_owned)))
        })
        .await
    }

    /// The commits of the repository as of the last fetch.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn graph(&self, key: &str) -> Result<Arc<Graph>, GitError> {
        if let Some(graph) = &lock(&self.entry(key).known).graph {
            return Ok(graph.clone());
        }
        self.reading(key, |repository, clone, known| read_graph(repository, &clone.main, known)).await
    }

    /// Whether each commit has the same content as `head` at all of the paths.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn same_inputs(&self, key: &str, head: &str, paths: &[String], commits: Vec<String>) -> Result<Vec<bool>, GitError> {
        let (head, paths) = (oid(head)?, paths.to_vec());
        self.reading(key, move |repository, _, _| {
            let inputs = |commit: Oid| -> Result<Vec<Option<(Oid, i32)>>, GitError> {
                let tree = repository.find_commit(commit)?.tree()?;
                Ok(paths.iter().map(|path| tree.get_path(path.as_ref()).ok().map(|entry| (entry.id(), entry.filemode()))).collect())
            };
            let wanted = inputs(head)?;
            commits.iter().map(|commit| Ok(inputs(oid(commit)?)? == wanted)).collect()
        })
        .await
    }

    /// The commit that a branch, a full commit or the beginning of one (seven digits or more) names.
    ///
    /// # Errors
    /// [`GitError::RefNotFound`] and [`GitError::RefAmbiguous`], or what reading the clone says.
    pub async fn resolve(&self, key: &str, reference: &str) -> Result<String, GitError> {
        let reference = reference.to_owned();
        self.reading(key, move |repository, _, _| {
            // A full commit is that commit, whatever a branch is called.
            let exact = reference.len() == 40 && Oid::from_str(&reference).is_ok();
            if let Some(commit) = repository.refname_to_id(&format!("refs/heads/{reference}")).ok().filter(|_| !exact) {
                return Ok(commit.to_string());
            }
            let hex = reference.len() >= 7 && reference.bytes().all(|b| b.is_ascii_hexdigit());
            let not_found = || GitError::RefNotFound { reference: reference.clone() };
            if !hex {
                return Err(not_found());
            }
            match repository.find_commit_by_prefix(&reference) {
                Ok(commit) => Ok(commit.id().to_string()),
                Err(error) if error.code() == ErrorCode::Ambiguous => Err(GitError::RefAmbiguous { reference: reference.clone() }),
                Err(_) => Err(not_found()),
            }
        })
        .await
    }

    /// The containers at a commit. Their touches are indexed in the same go: one pass serves all.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn list(&self, key: &str, head: &str, containers_path: &str) -> Result<Listing, GitError> {
        let (head, containers_path) = (oid(head)?, containers_path.to_owned());
        self.reading(key, move |repository, clone, known| {
            let listing = listing::list(repository, head, &containers_path)?;
            let watches: Vec<Watch> = listing.found.iter().map(|found| Watch { paths: vec![found.path.clone()] }).collect();
            read_touches(repository, clone, known, head, &watches)?;
            Ok(listing)
        })
        .await
    }

    /// The touch of each watch on the line that ends at `head`.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn touches(&self, key: &str, head: &str, watches: &[Watch]) -> Result<Vec<Option<String>>, GitError> {
        if let Some(touches) = lock(&self.entry(key).known).touches(head, watches) {
            return Ok(touches);
        }
        let (head, watches) = (oid(head)?, watches.to_vec());
        self.reading(key, move |repository, clone, known| read_touches(repository, clone, known, head, &watches)).await
    }

    /// The build files of a container at a commit.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn container(&self, key: &str, commit: &str, path: &str) -> Result<Arc<Container>, GitError> {
        if let Some(container) = lock(&self.entry(key).known).container(commit, path) {
            return Ok(container);
        }
        let (commit, path) = (oid(commit)?, path.to_owned());
        self.reading(key, move |repository, _, known| {
            let container = Arc::new(listing::container(repository, commit, &path)?);
            lock(known).set_container(&commit.to_string(), &path, &container);
            Ok(container)
        })
        .await
    }

    /// Whether a commit is `head` or an ancestor of it: the whole of main, not only its first-parent line.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn is_on_main(&self, key: &str, head: &str, commit: &str) -> Result<bool, GitError> {
        let (head, commit) = (oid(head)?, oid(commit)?);
        self.reading(key, move |repository, _, _| Ok(head == commit || repository.graph_descendant_of(head, commit)?)).await
    }

    /// The regular files at a commit that `select` wants by their paths. No file above 4 MiB is read.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] where more than 20,000 files or 256 MiB are selected, or what reading the clone says.
    pub async fn blobs(&self, key: &str, commit: &str, select: impl Fn(&str) -> bool + Send + 'static) -> Result<Manifests, GitError> {
        let commit = oid(commit)?;
        self.reading(key, move |repository, _, _| manifests::read(repository, commit, &select)).await
    }

    /// For each path the newest commit of the first-parent line that touches the file and of which `step` says that it changed what is
    /// looked for there. `step` gets the path, the file before (`None`: not there) and after the commit, and the commit, the newest first.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn trace(
        &self,
        key: &str,
        head: &str,
        paths: Vec<String>,
        mut step: impl FnMut(&str, Option<&[u8]>, &[u8], &Change) -> bool + Send + 'static,
    ) -> Result<Vec<Option<Change>>, GitError> {
        let head = oid(head)?;
        self.reading(key, move |repository, _, _| trace::trace(repository, head, &paths, &mut step)).await
    }

    /// Makes one commit on top of what was observed and brings it to its branch, if that is still as observed. The branch is read back, and
    /// with it all heads. It takes twice the deadline of a fetch at most.
    ///
    /// # Errors
    /// [`GitError::PushRefused`] where trying again is of no use, [`GitError::WriteInvalid`] for a request that makes no sense, or what the
    /// server or the disk says. After an error that may pass, the branch may have the commit all the same: fetch, and look.
    pub async fn write(&self, key: &str, remote: &Remote, request: WriteRequest) -> Result<Pushed, GitError> {
        let (remote, deadline) = (remote.clone(), self.deadline);
        self.reading(key, move |repository, clone, known| {
            let pushed = push::write(repository, &remote, &request, deadline);
            // Whatever came of it, the heads may have been read back. What was pushed is pushed: the next look reads them where this one cannot.
            if let Err(error) = read_graph(repository, &clone.main, known) {
                tracing::warn!(%error, "the heads could not be read after a push");
                lock(known).graph = None;
            }
            pushed
        })
        .await
    }

    /// Author, time and message of a commit.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn about(&self, key: &str, commit: &str) -> Result<Change, GitError> {
        let commit = oid(commit)?;
        self.reading(key, move |repository, _, _| about::about(repository, commit)).await
    }

    /// The commits that a branch has and main has not, the newest first; at most 200.
    ///
    /// # Errors
    /// What reading the clone says.
    pub async fn unmerged(&self, key: &str, main: &str, tip: &str) -> Result<Vec<Change>, GitError> {
        let (main, tip) = (oid(main)?, oid(tip)?);
        self.reading(key, move |repository, _, _| about::unmerged(repository, main, tip)).await
    }

    /// Removes the clones of repositories that are no more.
    pub async fn retain(&self, keys: HashSet<String>) {
        lock(&self.clones).retain(|key, _| keys.contains(key));
        let root = self.root.clone();
        let removed = tokio::task::spawn_blocking(move || {
            for entry in fs::read_dir(root).into_iter().flatten().flatten() {
                if !keys.contains(entry.file_name().to_string_lossy().as_ref()) {
                    // What cannot be removed now is tried again the next time.
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "old clones not removed");
        }
    }

    /// Whether there is a clone: after a restart there is none.
    pub async fn is_cloned(&self, key: &str) -> bool {
        self.reading(key, |_, _, _| Ok(())).await.is_ok()
    }

    /// Reads a clone that is there.
    async fn reading<T: Send + 'static>(
        &self,
        key: &str,
        read: impl FnOnce(&Repository, &mut Local, &Mutex<Known>) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        self.blocking(key, move |clone, known| {
            let Some(repository) = clone.repository.take() else { return Err(GitError::NotCloned) };
            let result = read(&repository, clone, known);
            clone.repository = Some(repository);
            result
        })
        .await
    }

    /// Runs on a thread for blocking work, one at a time for each clone; the wait for the clone takes no thread. A damaged clone is given up,
    /// so that the next fetch makes it anew.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&mut Local, &Mutex<Known>) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let Entry { local, known } = self.entry(key);
        let path = self.root.join(key);
        let mut local = local.lock_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut local, &known);
            if let Err(GitError::Damaged(message)) = &result {
                tracing::warn!(message, "the clone is damaged and is given up");
                (*local, *lock(&known)) = (Local::default(), Known::default());
                let _ = fs::remove_dir_all(&path);
            }
            result
        });
        done.await.unwrap_or_else(|error| Err(GitError::Damaged(error.to_string())))
    }

    fn entry(&self, key: &str) -> Entry {
        lock(&self.clones).entry(key.to_owned()).or_default().clone()
    }
}

/// Brings the graph up to what the branches of the clone are, and publishes it.
fn read_graph(repository: &Repository, main: &str, known: &Mutex<Known>) -> Result<Arc<Graph>, GitError> {
    let mut graph = lock(known).graph.clone().unwrap_or_default();
    graph::refresh(repository, main, &mut graph)?;
    lock(known).graph = Some(graph.clone());
    Ok(graph)
}

/// Looks touches up and publishes them.
fn read_touches(
    repository: &Repository,
    clone: &mut Local,
    known: &Mutex<Known>,
    head: Oid,
    watches: &[Watch],
) -> Result<Vec<Option<String>>, GitError> {
    let touches = clone.index.touches(repository, head, watches)?;
    let touches: Vec<Option<String>> = touches.into_iter().map(|touch| touch.map(|commit| commit.to_string())).collect();
    lock(known).set_touches(&head.to_string(), watches.iter().cloned().zip(touches.iter().cloned()));
    Ok(touches)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn oid(commit: &str) -> Result<Oid, GitError> {
    Oid::from_str(commit).map_err(|_| GitError::RefNotFound { reference: commit.to_owned() })
}

fn packs(repository: &Repository) -> usize {
    fs::read_dir(repository.path().join("objects/pack")).map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack")).count()
    })
}
