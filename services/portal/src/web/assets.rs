//! The files that pages need, out of the program itself.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::ids::hex;

/// A file: its name, its type, what is in it.
type Asset = (&'static str, &'static str, &'static str);

const ASSETS: [Asset; 6] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../../assets/style.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("../../assets/page.js")),
    ("editor.js", "text/javascript; charset=utf-8", include_str!("../../assets/editor.js")),
    ("form.js", "text/javascript; charset=utf-8", include_str!("../../assets/form.js")),
    ("secret.js", "text/javascript; charset=utf-8", include_str!("../../assets/secret.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
];

fn version(content: &str) -> String {
    hex(&Sha256::digest(content)[..6])
}

/// Where a file is: another version is elsewhere, so that browsers may keep it.
pub(crate) fn address(name: &str) -> String {
    let found = ASSETS.iter().find(|(known, _, _)| *known == name);
    format!("/assets/{name}?{}", found.map_or(String::new(), |(_, _, content)| version(content)))
}

/// Answers with a file.
pub(crate) async fn get(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((_, kind, content)) = ASSETS.iter().find(|(known, _, _)| *known == name) else {
        return crate::HubError::NotFound("file").into_response();
    };
    let tag = format!("\"{}\"", version(content));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let about = [
        (header::CONTENT_TYPE, (*kind).to_owned()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG, tag),
    ];
    if known { (StatusCode::NOT_MODIFIED, about).into_response() } else { (about, *content).into_response() }
}
