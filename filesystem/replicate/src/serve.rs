//! Serving: from a request's path to a response. The HTTP protocol itself is the chassis' business.
//!
//! ```text
//! request ─▶ address: which of the few things that exist does the path name?
//!         ─▶ repositories: the directory of that repository, held open, or its bucket
//!         ─▶ file: openat, fstat, range, body with the headers of its kind
//!            bucket: the same of an S3 service, passed on as it comes
//!         ─▶ geo: which servers are near the client, if there is a database of addresses
//! ```
//! Nothing is reachable but what [`address`] knows: files of fixed names and objects whose names parse.

mod address;
mod announce;
mod batch;
mod bucket;
mod file;
mod geo;
mod index;
mod info;
mod range;
mod repositories;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use varve_chassis::{Body, Handler, RequestBody};
use varve_repository::RepositoryName;
use varve_store::Batch;

use address::{Address, Info, Kind};
use announce::Announcer;
use geo::Geo;
use repositories::{Held, Listed, Repositories};

pub use geo::GeoError;
pub use repositories::{Elsewhere, Place, ServeError};

/// What is to be served.
#[derive(Debug)]
pub struct ServeConfig {
    /// The directory whose children are the repositories, named by their names. Need not exist yet.
    pub root: PathBuf,
    /// Says which of them have their files elsewhere. `None`: none has.
    pub elsewhere: Option<Box<dyn Elsewhere>>,
    /// Only these; every one if empty.
    pub only: BTreeSet<RepositoryName>,
    /// The operator's JSON for `/cvmfs/info/v1/meta.json`. Need not exist.
    pub meta: Option<PathBuf>,
    /// A database of addresses in MaxMind's format, for telling clients which servers are near.
    pub geo: Option<PathBuf>,
}

/// Answers requests for repositories.
#[derive(Debug)]
pub struct RepositoryServer {
    repositories: Arc<Repositories>,
    announcer: Arc<Announcer>,
    meta: Option<PathBuf>,
    geo: Option<Geo>,
}

impl RepositoryServer {
    /// Repositories may come and go while it runs.
    ///
    /// # Errors
    /// [`ServeError`] if the directory is none or can't be read, or the database of addresses.
    pub fn new(config: ServeConfig) -> Result<Self, ServeError> {
        let repositories = Arc::new(Repositories::new(config.root, config.elsewhere, config.only)?);
        let announcer = Announcer::new(Arc::clone(&repositories));
        let geo = config.geo.map(Geo::open).transpose()?;
        Ok(Self { repositories, announcer, meta: config.meta, geo })
    }

    /// The names of what is served now, in order.
    ///
    /// # Errors
    /// [`ServeError`] if the directory can't be read.
    pub fn names(&self) -> Result<Vec<RepositoryName>, ServeError> {
        Ok(self.repositories.list()?.into_iter().map(|(name, _)| name).collect())
    }

    async fn answer(&self, request: &Parts, peer: IpAddr) -> Response<Body> {
        if request.method != Method::GET && request.method != Method::HEAD {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match Address::parse(request.uri.path()) {
            Some(Address::File { repository, path, kind }) => {
                self.repository_file(request, repository, path, kind).await
            }
            Some(Address::Batch { repository, path }) => self.batch(request, repository, path).await,
            Some(Address::Events { repository }) => self.events(request, repository),
            Some(Address::Geo { repository, question }) => {
                match self.geo.as_ref().filter(|_| self.repositories.open(repository, false).is_some()) {
                    Some(geo) => geo.answer(request, peer, question).await,
                    None => not_found(),
                }
            }
            Some(Address::Index) => self.listed(index::render).await,
            Some(Address::Info(Info::Repositories)) => self.listed(info::repositories).await,
            Some(Address::Info(Info::Meta)) => info::meta(self.meta.as_deref()),
            None => not_found(),
        }
    }

    async fn repository_file(&self, request: &Parts, name: &str, path: &str, kind: Kind) -> Response<Body> {
        // A manifest is asked for now and then, and begins every visit: the moment to notice a replaced directory.
        let directory = match self.repositories.open(name, path == ".cvmfspublished") {
            Some(Held::Directory(directory)) => directory,
            Some(Held::Bucket(bucket)) => return bucket::respond(request, &bucket.reader, path, kind).await,
            None => return not_found(),
        };
        match directory.open(path) {
            Ok(file) => file::respond(request, file, kind),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {
                match self.repositories.open_if_replaced(name, &directory) {
                    Some(Held::Directory(replaced)) => match replaced.open(path) {
                        Ok(file) => file::respond(request, file, kind),
                        Err(_) => not_found(),
                    },
                    // It was moved to a bucket this very moment: the next request finds it there.
                    Some(Held::Bucket(_)) | None => not_found(),
                }
            }
            Err(errno) => {
                tracing::warn!(repository = name, path, error = %errno, "cannot open a file");
                failed(errno)
            }
        }
    }

    fn events(&self, request: &Parts, name: &str) -> Response<Body> {
        if request.method == Method::HEAD {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
        }
        self.announcer.listen(name)
    }

    async fn batch(&self, request: &Parts, name: &str, path: &str) -> Response<Body> {
        match (self.repositories.open(name, false), Batch::parse_address(path)) {
            (Some(Held::Directory(directory)), Some(names)) => batch::respond(request, &directory, &names),
            (Some(Held::Bucket(bucket)), Some(names)) => {
                batch::respond_from(request, &bucket.reader, &names).await
            }
            _ => not_found(),
        }
    }

    async fn listed(
        &self,
        render: fn(&[(RepositoryName, repositories::Description)]) -> Response<Body>,
    ) -> Response<Body> {
        match self.repositories.list() {
            Ok(listed) => {
                let mut described = Vec::with_capacity(listed.len());
                for (name, what) in listed {
                    let description = match what {
                        Listed::Described(description) => description,
                        Listed::InBucket(bucket) => bucket::describe(&bucket.reader).await,
                    };
                    described.push((name, description));
                }
                render(&described)
            }
            Err(error) => {
                tracing::error!(error = %std::error::Error::source(&error).map_or(String::new(), ToString::to_string), "{error}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the repositories can't be listed\n")
            }
        }
    }
}

impl Handler for RepositoryServer {
    async fn handle(&self, request: Request<RequestBody>, peer: IpAddr) -> Response<Body> {
        // Whatever comes behind the header is not read.
        let (request, _) = request.into_parts();
        self.answer(&request, peer).await
    }
}

/// There is nothing of that name, now.
fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "not found\n")
}

/// It is there, but can't be read.
fn failed(errno: rustix::io::Errno) -> Response<Body> {
    use rustix::io::Errno;
    match errno {
        Errno::ACCESS | Errno::PERM => plain(StatusCode::FORBIDDEN, "not readable\n"),
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => plain(StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
        _ => plain(StatusCode::INTERNAL_SERVER_ERROR, "not readable\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
