//! The JSON interface; one file for each subject. What may be asked for by whom is in `web/routes.rs`.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod contexts;
pub(crate) mod documents;
pub(crate) mod health;
pub(crate) mod openapi;
pub(crate) mod pairings;

use axum::extract::FromRequest;
use axum::http::Request;

use crate::error::HubError;
use crate::hub::Hub;

/// A body in JSON; one that is something else is refused with its reason.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: serde::de::DeserializeOwned> FromRequest<Hub> for Body<T> {
    type Rejection = HubError;

    async fn from_request(request: Request<axum::body::Body>, hub: &Hub) -> Result<Self, HubError> {
        match axum::Json::<T>::from_request(request, hub).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE => {
                Err(HubError::TooLong(crate::web::MOST_BODY))
            }
            Err(rejection) => Err(HubError::invalid("body", rejection.body_text())),
        }
    }
}
