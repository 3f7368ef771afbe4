//! What the lab knows about itself: who owns it, how far it is, its credentials, and what the machine was like before.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Context, Error, Result, paths::Paths};

/// How far the lab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// An `up` is at work, or died at it.
    Starting,
    /// An `up` finished.
    Up,
}

/// What the machine was like before the lab, so that `down` touches only what the lab added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// nftables tables, as `family name`.
    pub tables: BTreeSet<String>,
    /// iptables chains of Kubernetes and CNI, as `program table chain`.
    pub chains: BTreeSet<String>,
    /// Kernel settings that the lab's programs change.
    pub sysctls: BTreeMap<String, String>,
    /// Paths outside the run folder that the lab's programs may make, and that were there already.
    pub paths: BTreeSet<PathBuf>,
}

/// The state file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The checkout whose `up` this lab is.
    pub owner: PathBuf,
    /// How far it is.
    pub phase: Phase,
    /// The boot it was started in: nothing of it runs after another one.
    pub boot: String,
    /// The programs and base images it was started with.
    pub programs: String,
    /// The machine before it.
    pub baseline: Baseline,
    /// The registry's password.
    pub registry_password: String,
    /// The password of the forge's administrator.
    pub forge_password: String,
    /// An API token of the forge's administrator, once the forge is up.
    pub forge_token: Option<String>,
}

impl State {
    /// Reads the state file; `None` if there is no lab.
    pub fn load(paths: &Paths) -> Result<Option<Self>> {
        let file = paths.state();
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::new(format!("read {}", file.display()), error)),
        };
        serde_json::from_slice(&text).map(Some).context(format!("read {}", file.display()))
    }

    /// Writes the state file in one piece, readable by its owner only.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("write the lab's state")?;
        write_private(&paths.state(), &text)
    }

    /// Refuses when the lab belongs to another checkout and is `alive`: what is left of a dead one is anybody's to clear.
    pub fn check_owner(&self, checkout: &Path, take_over: bool, alive: bool) -> Result<()> {
        if self.owner == checkout || take_over || !alive {
            return Ok(());
        }
        Err(Error::new("use the lab", format!("it belongs to the checkout {}", self.owner.display()))
            .remedy("work with it as it is (`cargo lab env`), or add --take-over to make it this checkout's"))
    }
}

/// Writes a file that only its owner may read, by way of a temporary name.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    let what = || format!("write {}", file.display());
    let temporary = file.with_extension("new");
    let mut open = std::fs::OpenOptions::new();
    let mut handle = open.write(true).create(true).truncate(true).mode(0o600).open(&temporary).context(what())?;
    handle.write_all(content).context(what())?;
    std::fs::rename(&temporary, file).context(what())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            owner: "/checkout/one".into(),
            phase: Phase::Up,
            boot: "b".into(),
            programs: "p".into(),
            baseline: Baseline::default(),
            registry_password: "r".into(),
            forge_password: "f".into(),
            forge_token: None,
        }
    }

    #[test]
    fn another_checkout_is_refused_unless_it_takes_over() {
        let state = state();
        assert!(state.check_owner(Path::new("/checkout/one"), false, true).is_ok());
        assert!(state.check_owner(Path::new("/checkout/two"), true, true).is_ok());
        assert!(state.check_owner(Path::new("/checkout/two"), false, false).is_ok(), "nothing of it runs");
        let refused = state.check_owner(Path::new("/checkout/two"), false, true).unwrap_err();
        assert!(refused.to_string().contains("/checkout/one"));
        assert!(refused.what_to_do().unwrap().contains("--take-over"));
    }

    #[test]
    fn the_state_survives_the_disk_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path(), folder.path());
        assert!(State::load(&paths).unwrap().is_none());
        state().save(&paths).unwrap();
        assert_eq!(State::load(&paths).unwrap().unwrap().owner, Path::new("/checkout/one"));
        let mode = std::fs::metadata(paths.state()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
