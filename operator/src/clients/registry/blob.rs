//! A blob as a part of a file, and its bytes on their way, in pieces.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, Stream};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// Bytes that are read at once, and held for each blob that is on its way.
const PIECE: u64 = 256 << 10;

/// Bytes that a registry takes at least in a second when it looks at a blob that has arrived.
const LOOKED_AT: u64 = 20 << 20;

/// A blob as a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// The file that it is part of.
    pub file: PathBuf,
    /// Where it begins in the file.
    pub offset: u64,
    /// Whether the digest was computed from these bytes, and is not what somebody says of them. A registry that is sent the bytes checks them; where
    /// none are sent they are hashed here: who does not have them does not get the blob.
    pub hashed: bool,
}

/// The bytes of a blob. They can be read again from anywhere.
#[derive(Clone)]
pub(super) struct Content {
    blob: Arc<Blob>,
    file: Arc<File>,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    /// Up to where bytes were read.
    to: u64,
    /// Why they cannot be read.
    fault: Option<String>,
    /// When bytes were last asked for.
    at: Instant,
}

impl Content {
    pub(super) fn open(blob: Blob) -> io::Result<Self> {
        let file = Arc::new(File::open(&blob.file)?);
        let seen = Seen { to: 0, fault: None, at: Instant::now() };
        Ok(Self { blob: Arc::new(blob), file, seen: Arc::new(Mutex::new(seen)) })
    }

    pub(super) fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Up to where bytes were read at all.
    pub(super) fn read_to(&self) -> u64 {
        self.seen().to
    }

    /// Why the bytes cannot be read, once that is known.
    pub(super) fn fault(&self) -> Option<String> {
        self.seen().fault.clone()
    }

    /// Begins to wait anew.
    pub(super) fn touch(&self) {
        self.seen().at = Instant::now();
    }

    /// When a registry has to be given up that asked for no bytes for `idle`. Once all are on their way, the last have to arrive yet, and it may
    /// look at the whole blob before it answers.
    pub(super) fn overdue(&self, idle: Duration) -> Instant {
        let seen = self.seen();
        let look = if seen.to == self.blob.size { idle + Duration::from_secs(self.blob.size / LOOKED_AT) } else { Duration::ZERO };
        seen.at + idle + look
    }

    /// A part of the bytes as a body.
    pub(super) fn stream(&self, from: u64, to: u64) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + use<> {
        let content = self.clone();
        stream::try_unfold(from, move |at| {
            let content = content.clone();
            async move {
                if at >= to {
                    return Ok(None);
                }
                content.touch();
                let piece = tokio::task::spawn_blocking(move || content.read(at, to)).await.map_err(io::Error::other)??;
                let next = at + piece.len() as u64;
                Ok(Some((piece, next)))
            }
        })
    }

    /// Makes sure that the bytes are those of the digest.
    pub(super) async fn verify(&self) -> io::Result<()> {
        if self.blob.hashed {
            return Ok(());
        }
        let content = self.clone();
        let read = move || {
            let Blob { digest, size, .. } = content.blob.as_ref();
            let (mut hash, mut at) = (Sha256::new(), 0);
            while at < *size {
                let piece = content.read(at, *size)?;
                hash.update(&piece);
                at += piece.len() as u64;
            }
            let found = format!("sha256:{}", hex::encode(hash.finalize()));
            if found == *digest { Ok(()) } else { Err(io::Error::other(format!("blob {digest} has the digest {found}"))) }
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    /// The next piece.
    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; usize::try_from((to - from).min(PIECE)).unwrap_or_default()];
        if let Err(error) = self.file.read_exact_at(&mut piece, self.blob.offset + from) {
            let fault = format!("{}: {error}", self.blob.file.display());
            self.seen().fault = Some(fault.clone());
            return Err(io::Error::other(fault));
        }
        let mut seen = self.seen();
        seen.to = seen.to.max(from + piece.len() as u64);
        Ok(piece)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    fn content(bytes: &[u8], digest: &str, hashed: bool) -> (tempfile::TempDir, Content) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, [b"before", bytes, b"after"].concat()).unwrap();
        let blob = Blob { digest: digest.to_owned(), size: bytes.len() as u64, file, offset: 6, hashed };
        (directory, Content::open(blob).unwrap())
    }

    #[tokio::test]
    async fn a_blob_can_be_read_from_anywhere_and_no_further_than_its_end() {
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|n| (n % 251) as u8).collect();
        let (_kept, content) = content(&bytes, &super::super::image::digest(&bytes), false);
        let part = |from, to| content.stream(from, to).try_collect::<Vec<_>>();
        assert_eq!(part(0, PIECE + 3).await.unwrap().concat(), bytes[..PIECE as usize + 3]);
        assert_eq!(content.read_to(), PIECE + 3);
        assert_eq!(part(5, bytes.len() as u64).await.unwrap().concat(), bytes[5..]);
        assert_eq!(content.read_to(), bytes.len() as u64);
        content.verify().await.unwrap();
    }

    #[tokio::test]
    async fn a_blob_that_lies_is_named() {
        let (_kept, lying) = content(b"bytes", "sha256:00", false);
        let error = lying.verify().await.unwrap_err();
        assert!(error.to_string().contains("blob sha256:00 has the digest sha256:"), "{error}");
        let (_kept, hashed) = content(b"bytes", "sha256:00", true);
        hashed.verify().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_ends_too_early_is_a_fault_of_the_blob() {
        let (_kept, short) = content(b"bytes", "sha256:00", true);
        std::fs::write(&short.blob.file, b"before").unwrap();
        assert!(short.stream(0, 5).try_collect::<Vec<_>>().await.is_err());
        assert!(short.fault().is_some());
    }
}
