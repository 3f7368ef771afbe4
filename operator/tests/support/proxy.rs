//! A TCP proxy before a real server: it counts what is sent, and breaks off, slows down or hangs when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it treats what is sent to the server. All counts are over all connections.
#[derive(Default)]
pub struct Wire {
    /// Bytes that went to the server.
    pub sent: AtomicU64,
    /// The connection that sends this byte is broken; 0 for none. It happens once.
    pub cut_at: AtomicU64,
    /// How often that happened.
    pub cuts: AtomicU64,
    /// Nothing after this byte is taken any more; 0 for never.
    pub hang_at: AtomicU64,
    /// Pause after each 64 KiB, in milliseconds.
    pub pause: AtomicU64,
}

pub struct Proxy {
    pub endpoint: String,
    pub wire: Arc<Wire>,
}

impl Proxy {
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let wire = Arc::new(Wire::default());
        let (server, shared) = (server.to_owned(), wire.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, TcpStream::connect(server.clone()).await.unwrap(), shared.clone()));
            }
        });
        Self { endpoint, wire }
    }

    /// Bytes that went to the server since the last call.
    pub fn sent(&self) -> u64 {
        self.wire.sent.swap(0, SeqCst)
    }
}

async fn pass(client: TcpStream, server: TcpStream, wire: Arc<Wire>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        let sent = wire.sent.fetch_add(read as u64, SeqCst) + read as u64;
        let cut = wire.cut_at.load(SeqCst);
        if cut > 0 && sent >= cut {
            wire.cut_at.store(0, SeqCst);
            wire.cuts.fetch_add(1, SeqCst);
            break;
        }
        let hang = wire.hang_at.load(SeqCst);
        if hang > 0 && sent >= hang {
            std::future::pending::<()>().await;
        }
        if to_server.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(wire.pause.load(SeqCst))).await;
    }
    back.abort();
}
