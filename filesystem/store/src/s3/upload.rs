//! One upload: whether it is needed, in one piece or in parts.

use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, ObjectStore as _, PutMode, PutMultipartOptions, PutOptions,
    Result,
};
use tokio::sync::OnceCell;

use super::bucket::Bucket;

/// Up to this size an object is sent without asking first whether it is there: that is told by the answer.
const ASKED_FIRST: usize = 128 << 10;

/// What is larger is sent in parts.
const IN_ONE_PIECE: usize = 32 << 20;

/// How often something is sent whose failure the library takes for final.
pub(super) const TRIALS: u32 = 4;

/// A part, at least; a service accepts 10,000 of them.
const PART: usize = 8 << 20;

/// Parts of one object that are on their way at once.
const PARTS_AT_ONCE: usize = 4;

/// What the service tells those who read the bucket over HTTP: as `varve serve` and CernVM-FS do.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Never changes.
    Object,
    /// A `.cvmfs…` file, which changes with every revision.
    Dot,
    /// The same in JSON.
    Json,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uploaded {
    New,
    /// It was there already.
    Found,
}

/// Whether the service refuses to replace an object where it is asked to (`If-None-Match: *`). Found out with the first
/// small object, since services that don't know the condition just ignore it.
#[derive(Default)]
pub(super) struct Conditions(OnceCell<bool>);

impl Kind {
    fn attributes(self) -> Attributes {
        let (content_type, cache) = match self {
            Self::Object => ("application/octet-stream", "max-age=259200"),
            Self::Dot => ("application/x-cvmfs", "max-age=61"),
            Self::Json => ("application/json", "max-age=61"),
        };
        Attributes::from_iter([(Attribute::ContentType, content_type), (Attribute::CacheControl, cache)])
    }
}

/// Stores an object unless it is there.
pub(super) async fn put_absent(
    bucket: &Bucket,
    key: &Path,
    bytes: Bytes,
    conditions: &Conditions,
) -> Result<Uploaded> {
    if bytes.len() <= ASKED_FIRST {
        let mut found_out = None;
        let heeded = conditions
            .0
            .get_or_try_init(|| async {
                let (heeded, uploaded) = find_out(bucket, key, &bytes).await?;
                found_out = Some(uploaded);
                Ok::<_, Error>(heeded)
            })
            .await?;
        if let Some(uploaded) = found_out {
            return Ok(uploaded);
        }
        if *heeded {
            return put_if_absent(bucket, key, bytes).await;
        }
    }
    if is_stored(bucket, key, bytes.len()).await? {
        return Ok(Uploaded::Found);
    }
    put(bucket, key, bytes, Kind::Object).await?;
    Ok(Uploaded::New)
}

/// Replaces whatever is there.
pub(super) async fn put(bucket: &Bucket, key: &Path, bytes: Bytes, kind: Kind) -> Result<()> {
    if bytes.len() > IN_ONE_PIECE {
        return put_in_parts(bucket, key, &bytes, kind).await;
    }
    let begun = Instant::now();
    let mut trial = 1;
    loop {
        match put_with(bucket, key, bytes.clone(), kind, PutMode::Overwrite).await {
            // The library takes some ends of a connection for final, such as that of a request which had only been queued. What
            // is written over can be sent again.
            Err(Error::Generic { .. }) if trial < TRIALS && begun.elapsed() < bucket.patience() => trial += 1,
            result => return result,
        }
    }
}

/// The size of what is stored.
pub(super) async fn size(bucket: &Bucket, key: &Path) -> Result<Option<u64>> {
    match bucket.client.get_opts(key, GetOptions::new().with_head(true)).await {
        Ok(found) => Ok(Some(found.meta.size)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an object of this size is there. Who may not list a bucket is not told of what is absent (403): then it is sent,
/// and if that isn't permitted either, the answer says why.
async fn is_stored(bucket: &Bucket, key: &Path, length: usize) -> Result<bool> {
    match size(bucket, key).await {
        Err(Error::PermissionDenied { .. }) => Ok(false),
        found => Ok(found? == Some(length as u64)),
    }
}

/// Stores an object, and tries whether it could be stored a second time.
async fn find_out(bucket: &Bucket, key: &Path, bytes: &Bytes) -> Result<(bool, Uploaded)> {
    let uploaded = if is_stored(bucket, key, bytes.len()).await? {
        Uploaded::Found
    } else {
        put(bucket, key, bytes.clone(), Kind::Object).await?;
        Uploaded::New
    };
    let again = put_with(bucket, key, bytes.clone(), Kind::Object, PutMode::Create).await;
    let heeded = again.is_err_and(|error| is_there(&error));
    tracing::debug!(place = bucket.place(), heeded, "conditional writes");
    Ok((heeded, uploaded))
}

async fn put_if_absent(bucket: &Bucket, key: &Path, bytes: Bytes) -> Result<Uploaded> {
    match put_with(bucket, key, bytes.clone(), Kind::Object, PutMode::Create).await {
        Ok(()) => Ok(Uploaded::New),
        Err(error) if is_there(&error) => Ok(Uploaded::Found),
        Err(error @ (Error::PermissionDenied { .. } | Error::NotFound { .. })) => Err(error),
        // The library does not repeat what may have been done already; of an object that makes no difference.
        Err(_) => put(bucket, key, bytes, Kind::Object).await.map(|()| Uploaded::New),
    }
}

async fn put_with(bucket: &Bucket, key: &Path, bytes: Bytes, kind: Kind, mode: PutMode) -> Result<()> {
    let options = PutOptions { mode, attributes: kind.attributes(), ..PutOptions::default() };
    bucket.client.put_opts(key, bytes.into(), options).await.map(drop)
}

/// Whether the service refused because the object is there; a conflict (409) only says that somebody else writes it.
fn is_there(error: &Error) -> bool {
    let Error::AlreadyExists { source, .. } = error else { return false };
    matches!(source.downcast_ref(), Some(Error::Precondition { .. } | Error::NotModified { .. }))
}

async fn put_in_parts(bucket: &Bucket, key: &Path, bytes: &Bytes, kind: Kind) -> Result<()> {
    let client = &bucket.client;
    let options = PutMultipartOptions { attributes: kind.attributes(), ..PutMultipartOptions::default() };
    let id = client.create_multipart_opts(key, options).await?;
    let length = PART.max(bytes.len().div_ceil(9_000));
    let count = bytes.len().div_ceil(length);
    let sent = stream::iter(0..count)
        .map(|part| {
            let piece = bytes.slice(part * length..bytes.len().min((part + 1) * length));
            client.put_part(key, &id, part, piece.into())
        })
        .buffered(PARTS_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await;
    let completed = match sent {
        Ok(parts) => client.complete_multipart(key, &id, parts).await.map(drop),
        Err(error) => Err(error),
    };
    if completed.is_err() {
        // If that fails too, the next publish does it.
        let _aborted = client.abort_multipart(key, &id).await;
    }
    completed
}
