//! What the server tells programs about itself: `/cvmfs/info/v1/repositories.json` and `meta.json`.

use std::fs;
use std::io;
use std::path::Path;

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use varve_chassis::Body;
use varve_repository::RepositoryName;

use super::plain;
use super::repositories::Description;

/// The schema of both documents.
const SCHEMA: u32 = 1;

/// What an operator who wrote no `meta.json` tells.
const NO_META: &str = "{}\n";

#[derive(Serialize)]
struct Repositories {
    schema: u32,
    repositories: Vec<Listed>,
    replicas: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    url: String,
}

/// Originals and mirrors, apart.
pub(super) fn repositories(listed: &[(RepositoryName, Description)]) -> Response<Body> {
    let (originals, mirrors): (Vec<_>, Vec<_>) =
        listed.iter().partition(|(_, description)| description.original);
    let list = |part: Vec<&(RepositoryName, Description)>| {
        let name = |(name, _): &(RepositoryName, Description)| name.as_str().to_owned();
        part.into_iter()
            .map(|item| Listed { name: name(item), url: format!("/cvmfs/{}", name(item)) })
            .collect()
    };
    let document = Repositories { schema: SCHEMA, repositories: list(originals), replicas: list(mirrors) };
    match serde_json::to_vec_pretty(&document) {
        Ok(bytes) => json(bytes),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the repositories can't be listed\n"),
    }
}

/// What the operator wrote, as it is now.
pub(super) fn meta(path: Option<&Path>) -> Response<Body> {
    match path.map(fs::read) {
        Some(Ok(bytes)) => json(bytes),
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "cannot read meta.json");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "meta.json can't be read\n")
        }
        _ => json(NO_META.into()),
    }
}

fn json(bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::whole(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=61"));
    response
}
