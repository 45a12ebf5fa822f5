//! `api/v1.0/geo`: which servers are near a client, as CernVM-FS's clients ask.
//!
//! ```text
//! GET /cvmfs/NAME/api/v1.0/geo/CLIENT/SERVER,SERVER,…   ─▶   2,1,3
//! ```
//! The client is where its own name, or that of its proxy, says; else where its request comes from.

mod database;
mod hosts;
mod order;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use varve_chassis::Body;

use self::database::Database;
pub use self::database::GeoError;
use self::hosts::Hosts;
use self::order::{Point, Question, is_host, order};
use super::plain;

/// How long caches may keep an answer, and an apology, in seconds.
const FRESH: HeaderValue = HeaderValue::from_static("max-age=3600");
const FRESH_APOLOGY: HeaderValue = HeaderValue::from_static("max-age=300");

/// What may say where a request comes from, if somebody passed it on; of a list, the last is the nearest to us.
const FORWARDED: [&str; 2] = ["cf-connecting-ip", "x-forwarded-for"];

/// Answers who is near.
#[derive(Debug)]
pub(crate) struct Geo {
    database: Arc<Database>,
    hosts: Hosts,
}

impl Geo {
    /// With the database at a path.
    ///
    /// # Errors
    /// [`GeoError`] if it can't be used.
    pub(crate) fn open(path: PathBuf) -> Result<Self, GeoError> {
        Ok(Self { database: Arc::new(Database::open(path)?), hosts: Hosts::default() })
    }

    /// The answer to `CLIENT/SERVER,…`.
    pub(crate) async fn answer(&self, request: &Parts, peer: IpAddr, question: &str) -> Response<Body> {
        let Some(question) = Question::parse(question) else {
            return apology("expected CLIENT/SERVER,SERVER,… with at most 64 servers\n");
        };
        if self.database.look_is_due() {
            let database = Arc::clone(&self.database);
            // Whoever asks meanwhile gets the answer of the old one.
            let _following = tokio::task::spawn_blocking(move || database.follow());
        }
        let Some(client) = self.client(&question, &request.headers, peer).await else {
            return apology("nobody knows where you are\n");
        };
        let servers = self.places(&question.servers).await;
        let proxies = match &question.proxies {
            Some(proxies) => Some(self.places(proxies).await),
            None => None,
        };
        let order: Vec<String> =
            order(client, &servers, proxies.as_deref()).iter().map(ToString::to_string).collect();
        let mut response = Response::new(Body::whole(format!("{}\n", order.join(","))));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(header::CACHE_CONTROL, FRESH);
        response
    }

    async fn client(&self, question: &Question<'_>, headers: &HeaderMap, peer: IpAddr) -> Option<Point> {
        let named = question.client;
        // What has no dot or colon is there to tell clients apart.
        if named.contains(['.', ':'])
            && is_host(named)
            && let Some(place) = self.place(named).await
        {
            return Some(place);
        }
        let forwarded =
            FORWARDED.iter().filter_map(|name| headers.get(*name)?.to_str().ok()?.rsplit(',').next());
        let addresses = forwarded.filter_map(|address| address.trim().parse().ok()).chain([peer]);
        addresses.into_iter().find_map(|address| self.database.place(address))
    }

    async fn places(&self, hosts: &[&str]) -> Vec<Option<Point>> {
        join_all(hosts.iter().map(|host| self.place(host))).await
    }

    async fn place(&self, host: &str) -> Option<Point> {
        self.database.place(self.hosts.address(host).await?)
    }
}

fn apology(text: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::BAD_REQUEST, text);
    response.headers_mut().insert(header::CACHE_CONTROL, FRESH_APOLOGY);
    response
}
