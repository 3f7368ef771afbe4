//! A blob as a part of a file, and its bytes on their way: read in pieces, hashed where that was not done before.

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
const PIECE: u64 = 512 << 10;

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
    /// Whether the digest was computed from these bytes, and is not what somebody says of them. Those of others are hashed on their way, and no
    /// registry is asked for a blob by a digest alone: who does not have the bytes does not get them.
    pub hashed: bool,
}

/// The bytes of a blob. They can be read again from anywhere; each is hashed the first time.
#[derive(Clone)]
pub(super) struct Content {
    blob: Arc<Blob>,
    file: Arc<File>,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    hash: Sha256,
    /// Up to where bytes were read.
    to: u64,
    /// Why the bytes do not serve.
    fault: Option<String>,
    /// When bytes were last asked for.
    at: Instant,
}

impl Content {
    pub(super) fn open(blob: Blob) -> io::Result<Self> {
        let file = Arc::new(File::open(&blob.file)?);
        let seen = Seen { hash: Sha256::new(), to: 0, fault: None, at: Instant::now() };
        Ok(Self { blob: Arc::new(blob), file, seen: Arc::new(Mutex::new(seen)) })
    }

    pub(super) fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Up to where bytes were read at all.
    pub(super) fn read_to(&self) -> u64 {
        self.seen().to
    }

    /// Why the bytes do not serve, once that is known.
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

    /// Reads what was not read yet, so that the digest is known to be right.
    pub(super) async fn verify(&self) -> io::Result<()> {
        if self.blob.hashed {
            return Ok(());
        }
        let content = self.clone();
        let read = move || {
            let mut at = content.read_to();
            while at < content.blob.size {
                at += content.read(at, content.blob.size)?.len() as u64;
            }
            content.fault().map_or(Ok(()), |fault| Err(io::Error::new(io::ErrorKind::InvalidData, fault)))
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    /// The next piece. The last of a blob that is not what its digest says is not given away.
    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let Blob { digest, size, file, offset, hashed } = self.blob.as_ref();
        let length = usize::try_from((to - from).min(PIECE)).unwrap_or_default();
        let mut piece = vec![0; length];
        let fail = |seen: &mut Seen, fault: String| {
            seen.fault = Some(fault.clone());
            Err(io::Error::new(io::ErrorKind::InvalidData, fault))
        };
        if let Err(error) = self.file.read_exact_at(&mut piece, offset + from) {
            return fail(&mut self.seen(), format!("{}: {error}", file.display()));
        }
        let mut seen = self.seen();
        let end = from + length as u64;
        if end > seen.to {
            let known = usize::try_from(seen.to - from.min(seen.to)).unwrap_or_default();
            seen.to = end;
            if !hashed {
                seen.hash.update(piece.get(known..).unwrap_or_default());
                let found = (end == *size).then(|| format!("sha256:{}", hex::encode(seen.hash.clone().finalize())));
                if let Some(found) = found.filter(|found| found != digest) {
                    return fail(&mut seen, format!("blob {digest} has the digest {found}"));
                }
            }
        }
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

    async fn all(content: &Content, from: u64) -> io::Result<Vec<u8>> {
        Ok(content.stream(from, content.blob.size).try_collect::<Vec<_>>().await?.concat())
    }

    #[tokio::test]
    async fn a_blob_is_hashed_once_however_often_it_is_read() {
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|n| (n % 251) as u8).collect();
        let digest = super::super::image::digest(&bytes);
        let (_kept, content) = content(&bytes, &digest, false);
        // Twice from the middle, as after broken connections, and in pieces that do not meet those from before.
        let begun: Vec<Vec<u8>> = content.stream(0, PIECE + 3).try_collect().await.unwrap();
        assert_eq!((begun.concat().len() as u64, content.read_to()), (PIECE + 3, PIECE + 3));
        assert_eq!(all(&content, 5).await.unwrap(), bytes[5..]);
        assert_eq!(all(&content, 0).await.unwrap(), bytes);
        content.verify().await.unwrap();
    }

    #[tokio::test]
    async fn the_end_of_a_blob_that_lies_is_kept_back() {
        let (_kept, lying) = content(b"bytes", "sha256:00", false);
        assert!(all(&lying, 0).await.is_err());
        assert!(lying.fault().unwrap().contains("has the digest sha256:"), "{:?}", lying.fault());
        let (_kept, other) = content(b"bytes", "sha256:00", false);
        assert!(other.verify().await.is_err());
        let (_kept, trusted) = content(b"bytes", "sha256:00", true);
        assert_eq!(all(&trusted, 0).await.unwrap(), b"bytes");
    }
}
