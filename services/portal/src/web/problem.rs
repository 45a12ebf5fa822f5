//! Refusals and failures in HTTP: problem details (RFC 9457) for programs, pages for people.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use varve_chassis::db::DatabaseError;

use crate::caller::Caller;
use crate::error::HubError;
use crate::pages;

impl HubError {
    /// What HTTP calls it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Database(
                DatabaseError::Unavailable { .. } | DatabaseError::Busy | DatabaseError::Unknown,
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::SignInNeeded | Self::SignInFailed => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// What whoever asked is told: nothing of the hub's inside.
    pub(crate) fn told(&self) -> String {
        match (self, self.status()) {
            (Self::Database(_), StatusCode::SERVICE_UNAVAILABLE) => {
                "the hub's database can't be reached now: try again in a moment".to_owned()
            }
            (Self::Database(_), _) => "something went wrong in the hub; its log tells what".to_owned(),
            (other, _) => other.to_string(),
        }
    }
}

impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        let status = self.status();
        if let Self::Database(error) = &self {
            tracing::error!(%error, "a request failed");
        }
        let mut problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.told(),
        });
        if let Self::Invalid { field, .. } = &self {
            problem["field"] = (*field).into();
        }
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Self::TooMany(many) = &self {
            headers.insert(header::RETRY_AFTER, many.retry_after.as_secs().max(1).into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A failure as a page; who has to sign in is led there.
pub(super) fn as_page(caller: &Caller, path: &str, response: Response) -> Response {
    let Some(error) = response.extensions().get::<HubError>().cloned() else { return response };
    if matches!(error, HubError::SignInNeeded) {
        let next: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
        return Redirect::to(&format!("/sign-in?next={next}")).into_response();
    }
    let mut page = (error.status(), pages::problem::page(caller, &error)).into_response();
    if let Some(wait) = response.headers().get(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    page
}

/// A path that isn't in the table.
pub(super) async fn nothing() -> Response {
    HubError::NotFound("page").into_response()
}
