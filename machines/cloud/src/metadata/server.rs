//! The server of one machine's metadata. It listens at a socket in the machine's own directory, which only that machine is
//! led to: so nobody reads another's.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, header};
use parking_lot::RwLock;
use tokio::net::UnixListener;

use super::session::{LONGEST, Sessions};
use crate::hosts::protocol::Definition;

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// What a machine is now, and whether it needs a token; replaced when that changes.
pub type Known = Arc<RwLock<(Arc<Definition>, bool)>>;

#[derive(Clone)]
struct Serving {
    known: Known,
    sessions: Sessions,
    clock: fn() -> SystemTime,
}

/// Answers until it is dropped.
pub async fn serve(listener: UnixListener, known: Known, sessions: Sessions, clock: fn() -> SystemTime) {
    let serving = Serving { known, sessions, clock };
    let answer =
        |State(serving): State<Serving>, request: Request| std::future::ready(serving.answer(&request));
    let router = Router::new().fallback(answer).with_state(serving);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the metadata of a machine are not served any more");
    }
}

impl Serving {
    fn answer(&self, request: &Request) -> Response {
        let now = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let (definition, tokens_required) = self.known.read().clone();
        let headers = request.headers();
        let path = request.uri().path();
        if request.method() == Method::PUT && path == TOKEN_PATH {
            // Whoever was asked by somebody else gets none.
            if headers.contains_key("x-forwarded-for") {
                return plain(StatusCode::FORBIDDEN, Vec::new());
            }
            let seconds = headers.get(TTL).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let Some(seconds) = seconds.filter(|seconds| (1..=LONGEST).contains(seconds)) else {
                return plain(StatusCode::BAD_REQUEST, Vec::new());
            };
            let token = self.sessions.token(&definition.instance, now + seconds);
            return ([(TTL, seconds.to_string())], plain(StatusCode::OK, token.into_bytes())).into_response();
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return plain(StatusCode::METHOD_NOT_ALLOWED, Vec::new());
        }
        let good = match headers.get(TOKEN) {
            Some(token) => self.sessions.is_good(token.as_bytes(), &definition.instance, now),
            None => !tokens_required,
        };
        if !good {
            return plain(StatusCode::UNAUTHORIZED, Vec::new());
        }
        match super::lookup(&definition, path) {
            Some(bytes) => plain(StatusCode::OK, bytes),
            None => plain(StatusCode::NOT_FOUND, Vec::new()),
        }
    }
}

fn plain(status: StatusCode, bytes: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain"), (header::SERVER, "EC2ws")];
    (status, headers, bytes).into_response()
}
