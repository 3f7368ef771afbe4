//! Secrets that were read a moment ago: two hundred images of one registry ask for one and the same.
//!
//! They are read by name and not watched, so that the operator need not list the Secrets of the cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as AsyncMutex;

use crate::clients::call::CallError;
use crate::clients::cluster::Cluster;

/// How long a Secret counts as just read: a changed one is in force after that.
const FRESH: Duration = Duration::from_secs(5);

/// The data of a Secret by key.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// What was read, and when. It is locked while it is being read.
type Read = Option<(Instant, Arc<SecretData>)>;
type Slot = Arc<AsyncMutex<Read>>;

/// Secrets by namespace and name.
#[derive(Default)]
pub struct Secrets {
    read: Mutex<HashMap<(String, String), Slot>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// The data of a Secret, or `None` where there is none. Those who ask at the same time wait for one answer; that there is none is asked
    /// again each time, for it is about to be created.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn get(&self, cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Arc<SecretData>>, CallError> {
        let slot = {
            let mut all = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            // Nothing is kept for longer than it is of use. A slot that is in use stays.
            all.retain(|_, slot| slot.try_lock().map_or(true, |read| is_fresh(&read)));
            all.entry((namespace.to_owned(), name.to_owned())).or_default().clone()
        };
        let mut read = slot.lock().await;
        if let Some((_, data)) = read.as_ref().filter(|_| is_fresh(&read)) {
            return Ok(Some(data.clone()));
        }
        let data = cluster.secret(namespace, name).await?.map(Arc::new);
        *read = data.clone().map(|data| (Instant::now(), data));
        Ok(data)
    }
}

fn is_fresh(read: &Read) -> bool {
    read.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH)
}
