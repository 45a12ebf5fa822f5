//! What handlers take of a request.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;

impl FromRequestParts<Hub> for Caller {
    type Rejection = HubError;

    /// The guard in front of every route knows who asks.
    async fn from_request_parts(parts: &mut Parts, _: &Hub) -> Result<Self, HubError> {
        parts.extensions.get::<Self>().cloned().ok_or(HubError::SignInNeeded)
    }
}

/// An id in a path; what is none isn't there.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr> FromRequestParts<Hub> for Id<T> {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, HubError> {
        let nothing = || HubError::NotFound("page");
        let Path(text) = Path::<String>::from_request_parts(parts, hub).await.map_err(|_| nothing())?;
        text.parse().map(Self).map_err(|_| nothing())
    }
}
