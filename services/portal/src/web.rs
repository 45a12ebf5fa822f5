//! HTTP: which routes there are, what each takes to be used, and what every response has.

pub(crate) mod access;
pub(crate) mod assets;
mod cookie;
mod extract;
pub(crate) mod form;
mod guard;
mod headers;
mod openapi;
mod problem;
mod routes;

use axum::Router;
use axum::extract::DefaultBodyLimit;

pub use access::{Access, Kind};
pub use routes::{Route, routes};

pub(crate) use cookie::{begin_cookie, end_cookie, session_in};
pub(crate) use extract::Id;
pub(crate) use openapi::describe;

use crate::hub::Hub;

/// The most bytes that a request may have behind its header: a context, with every character written as three.
pub const MOST_BODY: usize = 4 << 20;

/// Everything that the hub answers.
pub fn router(hub: &Hub) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let Route { path, access, kind, handler, .. } = route;
        let guard = guard::Guard { hub: hub.clone(), access, kind };
        let guarded = handler.layer(axum::middleware::from_fn_with_state(guard, guard::guard));
        router = router.route(path, guarded);
    }
    let nothing = guard::Guard { hub: hub.clone(), access: Access::Public, kind: Kind::Page };
    let elsewhere = axum::middleware::from_fn_with_state(nothing.clone(), guard::guard);
    router
        .fallback(axum::routing::any(problem::nothing).layer(elsewhere))
        .route_layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(axum::middleware::from_fn_with_state(nothing, headers::add))
        .with_state(hub.clone())
}
