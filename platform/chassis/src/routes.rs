//! A router of axum's as what a server asks for responses.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::Router;
use http::{Request, Response};
use tower::ServiceExt as _;

use crate::body::Body;
use crate::request_body::RequestBody;
use crate::server::Handler;

/// The address that a request came from, among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Handler for Router {
    async fn handle(&self, request: Request<RequestBody>, peer: IpAddr) -> Response<Body> {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        let response: Result<_, Infallible> = self.clone().oneshot(request).await;
        match response {
            Ok(response) => response.map(Body::stream),
            Err(never) => match never {},
        }
    }
}
