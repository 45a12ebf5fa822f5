//! The appliance's page: what the person in front of a machine sees and changes without knowing its commands.
//!
//! A page and the JSON API below it, on the machine's own address: the state of the machine, versions and updates, repositories, the
//! proxy, users and services. Nothing of the API answers without the machine's token or the password of an administrator
//! (`access`). What is changed goes the way of user data: a fragment of a context document is planned and applied to the root
//! directory, so that the page can do nothing that a document can't.

mod access;
mod machine;
mod problem;
mod proxy;
mod repositories;
mod services;
mod system;
pub(crate) mod unit;
mod users;
mod versions;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware;
use axum::response::{Html, IntoResponse as _};
use axum::routing::{delete, get, post};

use crate::update::Releases;
use access::Access;
use system::System;

/// Where it listens if nothing else is said: on the machine itself, at the port that CernVM's had.
pub const ADDRESS: &str = "127.0.0.1:8003";

/// Requests are short.
const LONGEST_REQUEST: usize = 64 << 10;

/// What it works on.
#[derive(Clone, Debug)]
pub struct ApplianceConfig {
    /// The root directory of the machine.
    pub root: PathBuf,
    /// The directory of versions on the scratch disk; a machine without one can't change its version.
    pub versions: Option<PathBuf>,
    /// Where its token is written, readable by root alone.
    pub token: PathBuf,
    /// The program that is asked about and told to change services.
    pub systemctl: PathBuf,
    /// The clock.
    pub now: fn() -> SystemTime,
    /// Where versions are listed and compared.
    pub releases: Arc<dyn Releases>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    system: System,
    access: Access,
    versions: Option<PathBuf>,
    releases: Arc<dyn Releases>,
    root: PathBuf,
}

/// The page and the API.
///
/// # Errors
/// If the token can't be written.
pub fn router(config: ApplianceConfig) -> io::Result<Router> {
    let access = Access::new(&config.token)?;
    let shared = Arc::new(Shared {
        system: System::new(config.root.clone(), config.systemctl, config.now),
        access,
        versions: config.versions,
        releases: config.releases,
        root: config.root,
    });
    let api = Router::new()
        .route("/machine", get(machine::show))
        .route("/restart", post(machine::restart))
        .route("/versions", get(versions::list).post(versions::change))
        .route("/versions/compare", post(versions::compare))
        .route("/repositories", get(repositories::list).post(repositories::add))
        .route("/repositories/{name}", delete(repositories::remove))
        .route("/proxy", get(proxy::show).put(proxy::set))
        .route("/users", get(users::list).post(users::add))
        .route("/users/{name}", delete(users::remove))
        .route("/services", get(services::list))
        .route("/services/{name}", post(services::act))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), access::required))
        .route("/session", post(access::open))
        .fallback(problem::nothing_here);
    Ok(Router::new()
        .route("/", get(page))
        .nest("/api", api)
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
        .layer(middleware::map_response(hardened))
        .with_state(shared))
}

/// Answers until the process ends.
///
/// # Errors
/// If the address can't be listened at.
pub async fn serve(address: SocketAddr, config: ApplianceConfig) -> io::Result<()> {
    let router = router(config)?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, router).await
}

async fn page() -> Html<&'static str> {
    Html(include_str!("appliance/page.html"))
}

/// Nothing from elsewhere runs in the page, and nobody shows it inside another.
async fn hardened(response: axum::response::Response) -> axum::response::Response {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, response).into_response()
}
