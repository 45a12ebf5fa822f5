//! Objects and files of a bucket for somebody who passes them on: asked for in an async context, a piece at a time. Nothing
//! is verified here: whoever receives them does that.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectStore as _};
use tokio::sync::{mpsc, oneshot};

use super::bucket::Bucket;
use super::config::S3Config;
use super::upload;
use crate::StoreError;

/// Pieces that wait for a slow receiver: little more than what the connection itself holds.
const WAITING: usize = 2;

/// What of a piece that begins `at` is wanted.
fn within(wanted: &Range<u64>, at: &mut u64, piece: &Bytes) -> Bytes {
    let first = wanted.start.saturating_sub(*at).min(piece.len() as u64);
    let last = wanted.end.saturating_sub(*at).min(piece.len() as u64);
    *at += piece.len() as u64;
    piece.slice(first as usize..last.max(first) as usize)
}

/// Reads a repository in a bucket, from any async runtime.
#[derive(Clone)]
pub struct S3Reader {
    bucket: Arc<Bucket>,
}

/// The bytes of an object, as they come.
#[derive(Debug)]
pub struct S3Body {
    /// How many bytes the whole object has.
    pub size: u64,
    /// The bytes that come.
    pub range: Range<u64>,
    /// Them. Ends early only with an error.
    pub pieces: mpsc::Receiver<io::Result<Bytes>>,
}

impl std::fmt::Debug for S3Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("S3Reader").field(&self.bucket.place()).finish()
    }
}

impl S3Reader {
    /// Sets up connections, but makes none.
    ///
    /// # Errors
    /// As [`super::S3Store::new`].
    pub fn new(config: &S3Config) -> Result<Self, StoreError> {
        Ok(Self { bucket: Arc::new(Bucket::new(config)?) })
    }

    /// The size of what lies below the repository's root at `path`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Service`].
    pub async fn size(&self, path: &str) -> Result<u64, StoreError> {
        let reader = self.clone();
        let name = path.to_owned();
        let size = self.beside(async move {
            let key = reader.bucket.key(&name);
            reader.bucket.requested("look up", &name, &key, None, upload::size(&reader.bucket, &key)).await
        });
        size.await?.ok_or_else(|| self.absent(path))
    }

    /// The bytes at `path`, or those of a range that has to lie within them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Service`].
    pub async fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<S3Body, StoreError> {
        let reader = self.clone();
        let name = path.to_owned();
        let (sender, pieces) = mpsc::channel(WAITING);
        let (begun, beginning) = oneshot::channel();
        self.bucket.spawn(async move {
            let answer = match reader.ask(&name, &reader.bucket.key(&name), range.clone()).await {
                Ok(answer) => answer,
                Err(error) => {
                    // If nobody waits any more, nobody is told.
                    let _told = begun.send(Err(error));
                    return;
                }
            };
            let wanted = range.unwrap_or_else(|| answer.range.clone());
            if begun.send(Ok((answer.meta.size, wanted.clone()))).is_err() {
                return;
            }
            let mut at = answer.range.start;
            let mut stream = answer.into_stream();
            while at < wanted.end
                && let Some(piece) = stream.next().await
            {
                let piece = piece.map_err(io::Error::other).map(|piece| within(&wanted, &mut at, &piece));
                // Nobody listens any more: the rest is not fetched.
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        let (size, range) = beginning.await.unwrap_or_else(|_| Err(self.given_up()))?;
        Ok(S3Body { size, range, pieces })
    }

    /// All bytes at `path`; an error if there are more than `most`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::TooLarge`], [`StoreError::Service`].
    pub async fn whole(&self, path: &str, most: u64) -> Result<Bytes, StoreError> {
        let reader = self.clone();
        let name = path.to_owned();
        self.beside(async move {
            let key = reader.bucket.key(&name);
            let answer = reader.ask(&name, &key, None).await?;
            if answer.meta.size > most {
                let place = reader.bucket.place().to_owned();
                return Err(StoreError::TooLarge { name, place, limit: most });
            }
            reader.bucket.requested("read", &name, &key, None, answer.bytes()).await
        })
        .await
    }

    /// The object, or a part of it that has the range in it: some services send all of it, whatever is asked for.
    async fn ask(&self, name: &str, key: &Path, range: Option<Range<u64>>) -> Result<GetResult, StoreError> {
        let client = &self.bucket.client;
        let part = GetOptions::new().with_range(range.clone().map(GetRange::Bounded));
        let asked = async {
            match client.get_opts(key, part).await {
                Err(error @ Error::Generic { .. }) if range.is_some() => {
                    tracing::debug!(%error, "a range was refused");
                    client.get_opts(key, GetOptions::new()).await
                }
                answer => answer,
            }
        };
        self.bucket.requested("read", name, key, None, asked).await
    }

    /// Runs a request on the threads that drive the connections: the caller's runtime may end before they do.
    async fn beside<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.bucket.spawn(async move {
            let _told = sender.send(request.await);
        });
        receiver.await.unwrap_or_else(|_| Err(self.given_up()))
    }

    fn absent(&self, path: &str) -> StoreError {
        StoreError::NotFound { name: path.to_owned(), place: self.bucket.place().to_owned() }
    }

    fn given_up(&self) -> StoreError {
        let place = self.bucket.place().to_owned();
        StoreError::Transport {
            name: "an object".to_owned(),
            place,
            reason: "the request was given up".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_to_the_range() {
        let bytes = Bytes::from_static(b"0123456789");
        for (wanted, length) in [(0..10, 3), (2..3, 3), (2..9, 4), (5..5, 2), (9..10, 10)] {
            let mut at = 0;
            let cut: Vec<u8> = bytes
                .chunks(length)
                .flat_map(|piece| within(&wanted, &mut at, &Bytes::copy_from_slice(piece)))
                .collect();
            assert_eq!(cut, bytes[wanted.start as usize..wanted.end as usize], "{wanted:?} {length}");
        }
    }
}
