//! A store below a prefix of an S3 bucket, laid out as CernVM-FS does it, so that HTTP clients mount the bucket itself.
//!
//! ```text
//! s3://BUCKET/PREFIX/NAME/.cvmfspublished  .cvmfswhitelist  …    files, each replaced by one PUT
//! s3://BUCKET/PREFIX/NAME/data/ab/cdef…                          objects
//! ```
//!
//! [`ObjectStore::put`] returns when the upload has begun: many are under way at once, and [`ObjectStore::sync`] waits for
//! all of them. Files are put behind a sync of their own, so no manifest can come before its objects. What is asked about
//! an object that is on its way waits for it.
//!
//! Nobody is locked out here: whoever publishes holds a lock on the machine that publishes.
//!
//! | file | owns |
//! |---|---|
//! | config, credentials | what has to be said about a bucket, who asks |
//! | bucket | the library's client |
//! | upload, uploads | one upload; many at once |
//! | download | objects for whoever passes them on |
//! | leftovers | uploads that were begun and never ended |
//! | fault | what errors mean |

mod bucket;
mod config;
mod credentials;
mod download;
mod fault;
mod leftovers;
mod upload;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};
use varve_content::{Hasher, ObjectKind, ObjectName};

use self::bucket::Bucket;
use self::upload::{Kind, TRIALS};
use self::uploads::{AT_ONCE, Uploads};
use crate::{
    Deadline, Freshness, ObjectSink, ObjectSource, ObjectStore, Repeated, RepositoryFile, StoreError,
};

pub use self::config::{BucketName, Endpoint, KeyPrefix, S3Config, S3Location, S3LocationError};
pub use self::credentials::{AwsEnvironment, CredentialsError, S3Credentials};
pub use self::download::{S3Body, S3Reader};

/// Objects of a batch that are fetched at once.
const FETCHED_AT_ONCE: usize = 16;

/// One repository in a bucket.
///
/// Its calls block, and must come from plain threads, not from those of an async runtime.
pub struct S3Store {
    bucket: Arc<Bucket>,
    uploads: Uploads,
}

impl S3Store {
    /// Sets up connections, but makes none.
    ///
    /// # Errors
    /// [`StoreError::Transport`] if no client can be made, for want of certificates as a rule.
    pub fn new(config: &S3Config) -> Result<Self, StoreError> {
        let bucket = Arc::new(Bucket::new(config)?);
        Ok(Self { uploads: Uploads::new(Arc::clone(&bucket)), bucket })
    }

    /// Checks the size that was announced, and passes the body on piece by piece.
    fn read(
        &self,
        (name, key): (&str, &Path),
        limit: u64,
        deadline: Deadline,
        take: &mut dyn FnMut(&Bytes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let too_large = || StoreError::TooLarge { name: name.to_owned(), place: self.place(), limit };
        let (mut total, mut version, mut trial) = (0, None, 1);
        loop {
            // What came before a connection ended is not sent again.
            let rest = (total > 0).then_some(GetRange::Offset(total));
            let options = GetOptions::new().with_range(rest).with_if_match(version.clone());
            let asked = self.bucket.client.get_opts(key, options);
            let answer = self.bucket.request("read", name, key, Some(deadline), asked)?;
            if answer.meta.size > limit {
                return Err(too_large());
            }
            let size = answer.meta.size;
            version.clone_from(&answer.meta.e_tag);
            // Some services send all of it, whatever is asked for.
            let mut known = total.saturating_sub(answer.range.start);
            let mut pieces = answer.into_stream();
            // What is done with a piece stands outside of the request: it may be another request.
            let ended = loop {
                match self.bucket.request("read", name, key, Some(deadline), pieces.try_next()) {
                    Ok(Some(piece)) => {
                        let passed_over = known.min(piece.len() as u64);
                        known -= passed_over;
                        let piece = piece.slice(passed_over as usize..);
                        total += piece.len() as u64;
                        if total > limit {
                            return Err(too_large());
                        }
                        take(&piece)?;
                    }
                    Ok(None) => return Ok(()),
                    Err(error) => break error,
                }
            };
            if total >= size || trial == TRIALS || version.is_none() {
                return Err(ended);
            }
            tracing::debug!(name, total, error = %ended, "what is left is asked for again");
            trial += 1;
        }
    }
}

impl ObjectSource for S3Store {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.uploads.wait_for(name);
        let text = name.to_string();
        let mut hasher = Hasher::new(name.hash.algorithm());
        self.read((&text, &self.bucket.object_key(name)), limit, deadline, &mut |piece| {
            hasher.update(piece);
            sink.write(piece).map_err(|source| StoreError::Io {
                action: "pass on",
                path: text.clone(),
                source,
            })
        })?;
        let actual = hasher.finish();
        if actual != name.hash {
            return Err(StoreError::WrongHash {
                name: text,
                place: self.place(),
                actual: actual.to_string(),
            });
        }
        Ok(())
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        _freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.read((file.name(), &self.bucket.file_key(file)), file.limit(), deadline, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn fetch_batch(
        &self,
        wanted: &[(ObjectName, u64)],
        deadline: Deadline,
    ) -> Vec<Result<Vec<u8>, StoreError>> {
        wanted.iter().for_each(|(name, _)| self.uploads.wait_for(name));
        let fetch = |&(name, limit): &(ObjectName, u64)| async move {
            let (text, key) = (name.to_string(), self.bucket.object_key(&name));
            let too_large = || StoreError::TooLarge { name: text.clone(), place: self.place(), limit };
            let mut trial = 1;
            let stored = loop {
                let asked = self.bucket.client.get_opts(&key, GetOptions::default());
                let answer = self.bucket.requested("read", &text, &key, Some(deadline), asked).await?;
                if answer.meta.size > limit {
                    return Err(too_large());
                }
                match self.bucket.requested("read", &text, &key, Some(deadline), answer.bytes()).await {
                    Ok(stored) => break stored,
                    // A connection that ended in the middle of the answer.
                    Err(_) if trial < TRIALS => trial += 1,
                    Err(error) => return Err(error),
                }
            };
            if stored.len() as u64 > limit {
                return Err(too_large());
            }
            let actual = name.hash.algorithm().hash(&stored);
            if actual != name.hash {
                let actual = actual.to_string();
                return Err(StoreError::WrongHash { name: text, place: self.place(), actual });
            }
            Ok(stored.to_vec())
        };
        self.bucket.run(stream::iter(wanted).map(fetch).buffered(FETCHED_AT_ONCE).collect())
    }

    fn place(&self) -> String {
        self.bucket.place().to_owned()
    }
}

impl ObjectStore for S3Store {
    fn put(&self, name: &ObjectName, stored: &[u8]) -> Result<(), StoreError> {
        self.uploads.begin(name, stored).map(drop)
    }

    fn put_absent(&self, name: &ObjectName, stored: &[u8]) -> Result<bool, StoreError> {
        self.uploads.begin(name, stored)
    }

    fn repeated(&self, kind: ObjectKind) -> Repeated {
        self.uploads.repeated(kind)
    }

    fn contains(&self, name: &ObjectName) -> Result<bool, StoreError> {
        Ok(self.stored_size(name)?.is_some())
    }

    fn stored_size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.uploads.wait_for(name);
        let key = self.bucket.object_key(name);
        self.bucket.request("look up", &name.to_string(), &key, None, upload::size(&self.bucket, &key))
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.remove_all(std::slice::from_ref(name))
    }

    fn remove_all(&self, names: &[ObjectName]) -> Result<(), StoreError> {
        names.iter().for_each(|name| self.uploads.wait_for(name));
        let remove = |name: &ObjectName| {
            let (text, key) = (name.to_string(), self.bucket.object_key(name));
            async move {
                let removed = async {
                    match self.bucket.client.delete(&key).await {
                        Err(Error::NotFound { .. }) => Ok(()),
                        other => other,
                    }
                };
                self.bucket.requested("remove", &text, &key, None, removed).await
            }
        };
        let removed = stream::iter(names).map(remove).buffer_unordered(AT_ONCE).try_collect::<()>();
        let removed = self.bucket.run(removed);
        names.iter().for_each(|name| self.uploads.forget(name));
        removed
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(ObjectName, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.uploads.wait()?;
        let prefix = self.bucket.keys_below("data");
        let key = self.bucket.key("data");
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
            let asked = self.bucket.client.list_paginated(Some(&prefix), options);
            let page = self.bucket.request("list", &prefix, &key, None, asked)?;
            for found in page.result.objects {
                let below = found.location.as_ref().strip_prefix(&prefix);
                if let Some(name) = below.and_then(|path| ObjectName::from_path(path).ok()) {
                    visit(name, found.size)?;
                }
            }
            page_token = page.page_token;
            if page_token.is_none() {
                return Ok(());
            }
        }
    }

    fn put_file(&self, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError> {
        self.uploads.wait()?;
        let key = self.bucket.file_key(file);
        let kind = if file == RepositoryFile::Status { Kind::Json } else { Kind::Dot };
        let put = upload::put(&self.bucket, &key, Bytes::copy_from_slice(bytes), kind);
        self.bucket.request("store", file.name(), &key, None, put)
    }

    fn remove_leftovers(&self) -> Result<(), StoreError> {
        leftovers::remove(&self.bucket)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.uploads.wait()
    }
}
