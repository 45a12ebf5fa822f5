//! The audit log.

use axum::Json;
use axum::extract::{Query, State};

use crate::audit::Entry;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;

#[derive(serde::Deserialize)]
pub(crate) struct Part {
    before: Option<i64>,
    limit: Option<u32>,
}

pub(crate) async fn list(
    State(hub): State<Hub>,
    caller: Caller,
    Query(part): Query<Part>,
) -> Result<Json<Vec<Entry>>, HubError> {
    Ok(Json(hub.audit(&caller, part.before, part.limit.unwrap_or(100)).await?))
}
