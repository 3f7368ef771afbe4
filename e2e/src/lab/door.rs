//! A way to a server that can be shut: what a pod sees of a registry that goes away and comes back.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Context, Result, address};

/// An address on the lab's bridge behind which another server answers while the door is open. It closes for good when it is dropped.
pub struct Door {
    address: String,
    open: Arc<watch::Sender<bool>>,
    keeper: JoinHandle<()>,
}

impl Door {
    /// An open door to `host:port`.
    ///
    /// # Errors
    /// Where the bridge is not there.
    pub async fn to(server: &str) -> Result<Self> {
        let listener = TcpListener::bind((address::NODE_IP, 0)).await.context("listen on the lab's bridge")?;
        let address = listener.local_addr().context("listen on the lab's bridge")?.to_string();
        let open = Arc::new(watch::Sender::new(true));
        let keeper = tokio::spawn(keep(listener, server.to_owned(), open.clone()));
        Ok(Self { address, open, keeper })
    }

    /// What to call instead of the server, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends all connections and takes no other.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Takes connections again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close();
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, server: String, open: Arc<watch::Sender<bool>>) {
    while let Ok((mut inside, _)) = listener.accept().await {
        let (server, mut open) = (server.clone(), open.subscribe());
        tokio::spawn(async move {
            if !*open.borrow() {
                return;
            }
            let Ok(mut outside) = TcpStream::connect(&server).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut inside, &mut outside) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}
