//! The endpoint: reads a request, finds out whose it is, has its action carried out, and answers with a document.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};

use super::actions::{self, Call};
use super::fault::Fault;
use super::parameters::{Parameters, shown};
use super::signature::{Claim, Signed};
use crate::cloud::Cloud;

/// The longest body: the longest user data and a thousand ids fit in many times.
const LONGEST: usize = 1 << 20;
/// The name that signatures are scoped to.
const SERVICE: &str = "ec2";
/// Versions of the API that are answered: the actions here are in all of them.
const VERSIONS: std::ops::RangeInclusive<&str> = "2010-08-31"..=super::VERSION;

/// The endpoint at a path, such as `/ec2`, to be merged into a server's other routes.
pub fn router(cloud: Cloud, path: &str) -> Router {
    let mut router = Router::new().route(path, any(handle));
    if path != "/" {
        router = router.route(&format!("{path}/"), any(handle));
    }
    router.with_state(cloud)
}

async fn handle(State(cloud): State<Cloud>, request: Request) -> Response {
    let request_id = request_id();
    let answered = answer(&cloud, request, &request_id).await;
    let (status, document) = match answered {
        Ok(document) => (StatusCode::OK, document),
        Err(fault) => (fault.status(), fault.document(&request_id)),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/xml;charset=UTF-8".to_owned()),
        (header::HeaderName::from_static("x-amzn-requestid"), request_id),
    ];
    (status, headers, document).into_response()
}

async fn answer(cloud: &Cloud, request: Request, request_id: &str) -> Result<String, Fault> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::GET && parts.method != Method::POST {
        return Err(Fault::new("InvalidRequest", "The request must be a GET or a POST."));
    }
    let body = read(body).await?;
    let signed = Signed {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        authority: parts.uri.authority().map(|authority| authority.as_str()),
        body: &body,
    };
    let form = if parts.method == Method::POST { &body[..] } else { b"" };
    let mut parameters = Parameters::read([signed.query.as_bytes(), form])?;
    let security_token = parameters.take("X-Amz-Security-Token");
    parameters.forget_signature();

    let claim = Claim::read(&signed)?;
    let refused =
        || Fault::new("AuthFailure", "AWS was not able to validate the provided access credentials");
    let key = cloud.accounts.access_key(&claim.key_id).await.map_err(|error| {
        tracing::error!(%error, "access keys can't be looked up");
        Fault::new("Unavailable", "Access keys can't be looked up at the moment. Please try again.")
    })?;
    let key = key.ok_or_else(refused)?;
    let now = cloud.now();
    claim.verify(&signed, &key.secret, SERVICE, now.div_euclid(1000))?;
    if key.session_token != security_token.or_else(|| text(&parts.headers, "x-amz-security-token")) {
        return Err(refused());
    }

    let action = parameters.take("Action");
    let action =
        action.ok_or_else(|| Fault::new("MissingAction", "The request must contain the parameter Action"))?;
    let version = parameters.required("Version")?;
    if !VERSIONS.contains(&version.as_str()) {
        let message = format!(
            "The web service does not support the version '{}'; it is {}",
            shown(&version),
            super::VERSION
        );
        return Err(Fault::new("InvalidParameterValue", message));
    }
    let call = Call {
        cloud: cloud.clone(),
        account: key.account,
        parameters,
        request_id: request_id.to_owned(),
        signature: claim.text(),
        now,
    };
    actions::perform(&action, call).await
}

async fn read(body: Body) -> Result<bytes::Bytes, Fault> {
    let collected = Limited::new(body, LONGEST).collect().await.map_err(|error| {
        tracing::debug!(%error, "a request did not arrive");
        Fault::new(
            "RequestEntityTooLarge",
            format!("The body is longer than {LONGEST} bytes, or did not arrive."),
        )
    })?;
    Ok(collected.to_bytes())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// A name for a request, by which it can be found in logs.
fn request_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("because the kernel has random numbers");
    let digits = hex::encode(bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
