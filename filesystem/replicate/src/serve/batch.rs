//! The response that carries many small objects; see [`Batch`] for its form.

use futures_util::stream::{self, StreamExt as _};
use http::request::Parts;
use http::{Method, Response, header};
use rustix::fs::{FileType, fstat};
use varve_chassis::Body;
use varve_content::ObjectName;
use varve_store::{Batch, S3Reader};

use super::address::Kind;
use super::repositories::Directory;

/// Objects of a bucket that are fetched at once for one answer.
const AT_ONCE: usize = 8;

/// All of the objects that are there and fit.
pub(super) fn respond(request: &Parts, directory: &Directory, names: &[ObjectName]) -> Response<Body> {
    let mut answer = Vec::new();
    if request.method == Method::GET {
        let mut left = Batch::MOST_BYTES;
        for name in names {
            let stored = read(directory, name, left);
            left -= stored.as_ref().map_or(0, Vec::len);
            Batch::write_frame(&mut answer, stored.as_deref());
        }
    }
    with_headers(answer)
}

/// The same of a bucket: several are fetched at once.
pub(super) async fn respond_from(request: &Parts, reader: &S3Reader, names: &[ObjectName]) -> Response<Body> {
    let mut answer = Vec::new();
    if request.method == Method::GET {
        let read = |name: ObjectName| async move {
            reader.whole(&format!("data/{}", name.path()), Batch::MOST_BYTES as u64).await.ok()
        };
        let mut objects = stream::iter(names.iter().copied()).map(read).buffered(AT_ONCE);
        let mut left = Batch::MOST_BYTES;
        while let Some(stored) = objects.next().await {
            let stored = stored.filter(|stored| stored.len() <= left);
            left -= stored.as_ref().map_or(0, |stored| stored.len());
            Batch::write_frame(&mut answer, stored.as_deref());
        }
    }
    with_headers(answer)
}

fn with_headers(answer: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::whole(answer));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, Kind::Object.content_type());
    headers.insert(header::CACHE_CONTROL, Kind::Object.cache_control());
    response
}

/// The stored bytes of an object of at most `most` bytes; whoever wanted another asks for it by itself and learns why.
fn read(directory: &Directory, name: &ObjectName, most: usize) -> Option<Vec<u8>> {
    let file = directory.open(&format!("data/{}", name.path())).ok()?;
    let stat = fstat(&file).ok()?;
    let size = usize::try_from(stat.st_size).ok().filter(|size| *size <= most)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut stored = Vec::with_capacity(size);
    let read = rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut stored), 0).ok()?;
    (read == size).then_some(stored)
}
