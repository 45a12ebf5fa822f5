//! What stands in front of every route: who asks, whether the request comes from a page of this hub, whether they may.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;
use varve_chassis::Peer;

use super::access::{Access, Kind};
use super::{MOST_BODY, problem, session_in};
use crate::caller::{Caller, Proof};
use crate::error::HubError;
use crate::hub::Hub;

/// A route's guard.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) hub: Hub,
    pub(super) access: Access,
    pub(super) kind: Kind,
}

/// Lets a request through, or says why not.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let mut caller = Caller::nobody(address(&guard.hub, &request), guard.hub.now());
    let response = match guard.admit(request, &mut caller).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    match guard.kind {
        Kind::Page | Kind::Form if !path.starts_with("/api/") => problem::as_page(&caller, &path, response),
        _ => response,
    }
}

impl Guard {
    async fn admit(&self, mut request: Request, caller: &mut Caller) -> Result<Request, HubError> {
        self.identify(request.headers(), caller).await?;
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if changes && self.kind != Kind::Plain && !matches!(caller.proof, Proof::Token) {
            let host = request.uri().authority().map(http::uri::Authority::as_str);
            check_origin(request.headers(), host)?;
            if let Some(expected) = caller.csrf() {
                let (rebuilt, shown) = self.mark(request).await?;
                request = rebuilt;
                let same: bool = shown.as_bytes().ct_eq(expected.as_str().as_bytes()).into();
                if !same {
                    return Err(HubError::CrossSite);
                }
            }
        }
        self.access.check(caller)?;
        request.extensions_mut().insert(caller.clone());
        Ok(request)
    }

    async fn identify(&self, headers: &HeaderMap, caller: &mut Caller) -> Result<(), HubError> {
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            let token = shown.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
            let account = match token {
                Some(token) => self.hub.token(token.trim(), caller.time).await?,
                None => None,
            };
            // Whoever shows a token that doesn't count is not taken for nobody.
            caller.account = Some(account.ok_or(HubError::SignInNeeded)?);
            caller.proof = Proof::Token;
        } else if let Some(token) = session_in(headers, self.hub.encrypted())
            && let Some(account) = self.hub.session(&token, caller.time).await?
        {
            (caller.account, caller.proof) = (Some(account), Proof::Session(token));
        }
        Ok(())
    }

    /// The mark of the session that a request shows: in a header, or as a field of its form.
    async fn mark(&self, request: Request) -> Result<(Request, String), HubError> {
        if let Some(mark) = request.headers().get("x-csrf-token") {
            let mark = mark.to_str().unwrap_or_default().to_owned();
            return Ok((request, mark));
        }
        if self.kind != Kind::Form {
            return Ok((request, String::new()));
        }
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, MOST_BODY).await.map_err(|_| HubError::TooLong(MOST_BODY))?;
        let mark = super::form::field(&bytes, "csrf").unwrap_or_default();
        Ok((Request::from_parts(parts, Body::from(bytes)), mark))
    }
}

/// Browsers say which site a request comes from; programs that aren't browsers have no session that could be misused.
/// The host is in the address with HTTP/2, else in a header.
fn check_origin(headers: &HeaderMap, host: Option<&str>) -> Result<(), HubError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return if matches!(site, "same-origin" | "none") { Ok(()) } else { Err(HubError::CrossSite) };
    }
    match text("origin") {
        Some(origin) => {
            let from = origin.split_once("://").map(|(_, host)| host);
            if from.is_some() && from == text("host").or(host) { Ok(()) } else { Err(HubError::CrossSite) }
        }
        None => Ok(()),
    }
}

/// Where a request comes from: what the proxy in front says, if there is one, else the other end of the connection.
fn address(hub: &Hub, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    if !hub.config().behind_proxy {
        return peer.to_canonical();
    }
    let forwarded = request.headers().get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.unwrap_or(peer).to_canonical()
}
