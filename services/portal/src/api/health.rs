//! Whether the hub works.

use axum::extract::State;

use crate::error::HubError;
use crate::hub::Hub;

/// Answers if the database does.
pub(crate) async fn show(State(hub): State<Hub>) -> Result<&'static str, HubError> {
    hub.is_healthy().await?;
    Ok("ok\n")
}
