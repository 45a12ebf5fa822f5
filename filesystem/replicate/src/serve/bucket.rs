//! The response that carries something out of a bucket: passed on as it comes, a few pieces of it in memory. It is not
//! verified, no more than a file on a disk is: whoever receives it does that.

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use varve_chassis::Body;
use varve_store::{RepositoryFile, S3Reader, ServiceFault, StoreError};

use super::address::Kind;
use super::file::{insert, part};
use super::range::Part;
use super::repositories::{Description, MANIFEST_LIMIT};
use super::{not_found, plain};

/// What lies at `path` as the answer to `request`.
pub(super) async fn respond(request: &Parts, reader: &S3Reader, path: &str, kind: Kind) -> Response<Body> {
    match answer(request, reader, path, kind).await {
        Ok(response) => response,
        Err(error) => failed(path, &error),
    }
}

/// What the manifest says; nothing if it can't be had.
pub(super) async fn describe(reader: &S3Reader) -> Description {
    let manifest = reader.whole(RepositoryFile::Manifest.name(), MANIFEST_LIMIT as u64).await;
    match manifest {
        Ok(bytes) => {
            let original = reader.size(RepositoryFile::MasterReplica.name()).await.is_ok();
            Description { original, ..Description::of_manifest(&bytes) }
        }
        Err(error) => {
            tracing::warn!(%error, "a repository can't be described");
            Description::default()
        }
    }
}

async fn answer(
    request: &Parts,
    reader: &S3Reader,
    path: &str,
    kind: Kind,
) -> Result<Response<Body>, StoreError> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind.content_type());
    headers.insert(header::CACHE_CONTROL, kind.cache_control());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if request.method == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(reader.size(path).await?));
        return Ok(response);
    }
    let mut range = None;
    if request.headers.contains_key(header::RANGE) {
        // Only with the size it is known what a range means.
        let size = reader.size(path).await?;
        match part(request, size) {
            Part::Whole => {}
            Part::Bytes(bytes) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let text = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
                insert(&mut response, header::CONTENT_RANGE, text);
                range = Some(bytes);
            }
            Part::Unsatisfiable => {
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                insert(&mut response, header::CONTENT_RANGE, format!("bytes */{size}"));
                return Ok(response);
            }
        }
    }
    let found = reader.get(path, range).await?;
    *response.body_mut() = Body::relayed(found.range.end - found.range.start, found.pieces);
    Ok(response)
}

/// Absence is told as such, since clients rely on it; every other fault is the gateway's, and passes.
fn failed(path: &str, error: &StoreError) -> Response<Body> {
    if error.is_absence() {
        return not_found();
    }
    tracing::warn!(path, %error, "a bucket fails");
    match error {
        StoreError::TimedOut { .. } | StoreError::Service { fault: ServiceFault::Unreachable, .. } => {
            plain(StatusCode::GATEWAY_TIMEOUT, "the storage can't be reached\n")
        }
        _ => plain(StatusCode::BAD_GATEWAY, "the storage fails\n"),
    }
}
