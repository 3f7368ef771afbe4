//! Which image repositories are ours.

use std::collections::{BTreeSet, HashSet};

use memchr::memmem::Finder;

/// The image repositories that are ours: `host[:port]/path`, without tag.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    repositories: HashSet<String>,
    hosts: Vec<Finder<'static>>,
}

impl Targets {
    /// Whether exactly this repository is ours.
    pub fn contains(&self, repository: &str) -> bool {
        self.repositories.contains(repository)
    }

    /// Whether a text has one of our hosts in it. The host alone is looked for, because Helm values may keep the path apart from it.
    pub(super) fn occur_in(&self, text: &[u8]) -> bool {
        self.hosts.iter().any(|host| host.find(text).is_some())
    }

    /// The hosts, each once.
    pub(super) fn hosts(&self) -> &[Finder<'static>] {
        &self.hosts
    }
}

impl FromIterator<String> for Targets {
    fn from_iter<I: IntoIterator<Item = String>>(repositories: I) -> Self {
        let repositories: HashSet<String> = repositories.into_iter().filter(|repository| !repository.is_empty()).collect();
        let hosts: BTreeSet<&str> = repositories.iter().filter_map(|repository| repository.split('/').next()).collect();
        let hosts = hosts.into_iter().filter(|host| !host.is_empty()).map(|host| Finder::new(host).into_owned()).collect();
        Targets { repositories, hosts }
    }
}
