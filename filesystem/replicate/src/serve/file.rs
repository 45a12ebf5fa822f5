//! The response that carries a file: its headers, the range that was asked for, its bytes.

use std::fs::File;
use std::os::fd::OwnedFd;

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use rustix::fs::{Advice, FileType, fadvise, fstat};
use varve_chassis::{Body, FileBody};

use super::address::Kind;
use super::range::Part;
use super::{failed, not_found};

/// Up to this size a body goes out in one piece together with the header.
const WHOLE: u64 = 256 * 1024;

/// What the original's Apache configuration says of each kind. Neither an `ETag` nor a time of modification is sent:
/// proxies would ask again with them, and an object never changes.
impl Kind {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Object => "application/octet-stream",
            Self::Dot => "application/x-cvmfs",
            Self::Json => "application/json",
        })
    }

    /// Three days, or 61 seconds: Squid keeps nothing that is fresh for 60 seconds or less.
    pub(super) fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Object => "max-age=259200",
            Self::Dot | Self::Json => "max-age=61",
        })
    }
}

/// The file as the answer to `request`.
pub(super) fn respond(request: &Parts, file: OwnedFd, kind: Kind) -> Response<Body> {
    let size = match fstat(&file) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => stat.st_size as u64,
        Ok(_) => return not_found(),
        Err(errno) => return failed(errno),
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind.content_type());
    headers.insert(header::CACHE_CONTROL, kind.cache_control());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if request.method == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        return response;
    }
    let range = match part(request, size) {
        Part::Whole => 0..size,
        Part::Bytes(range) => {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(&mut response, header::CONTENT_RANGE, text);
            range
        }
        Part::Unsatisfiable => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            insert(&mut response, header::CONTENT_RANGE, format!("bytes */{size}"));
            return response;
        }
    };
    *response.body_mut() = body(file, range);
    response
}

/// Without validators, a condition on the range is never fulfilled: the client then wants everything.
pub(super) fn part(request: &Parts, size: u64) -> Part {
    if request.headers.contains_key(header::IF_RANGE) {
        return Part::Whole;
    }
    match request.headers.get(header::RANGE).map(HeaderValue::to_str) {
        Some(Ok(value)) => Part::parse(value, size),
        _ => Part::Whole,
    }
}

fn body(file: OwnedFd, range: std::ops::Range<u64>) -> Body {
    let file = File::from(file);
    if range.end - range.start <= WHOLE {
        if let Some(bytes) = FileBody::if_cached(&file, range.clone()) {
            return Body::whole(bytes);
        }
    } else {
        // Only makes reading ahead bolder; nothing is lost if the file system can't.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
    }
    Body::file(FileBody::new(file, range))
}

pub(super) fn insert(response: &mut Response<Body>, name: header::HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(name, value);
    }
}
