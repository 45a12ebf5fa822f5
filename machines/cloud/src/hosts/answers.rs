//! What a host is told when it isn't given what it asked for.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use varve_chassis::db::DatabaseError;

/// Why a host's request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// No token, or one that nobody knows.
    #[error("the token is not known")]
    Unknown,
    /// There is no such thing, or not for this host.
    #[error("there is no such thing")]
    Absent,
    /// A host has this name.
    #[error("a host is called '{0}' already: join under another name, or remove that one first")]
    Taken(String),
    /// It makes no sense.
    #[error("{0}")]
    Unsound(String),
    /// The database.
    #[error("the database of the cloud can't be used at the moment")]
    Database(#[from] DatabaseError),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Absent => StatusCode::NOT_FOUND,
            Self::Taken(_) => StatusCode::CONFLICT,
            Self::Unsound(_) => StatusCode::BAD_REQUEST,
            Self::Database(error) => {
                tracing::error!(%error, "the cloud's database");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (status, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}
