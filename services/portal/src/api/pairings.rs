//! Pairing: the machine's side, and the owner's from a program.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::Body;
use crate::caller::Caller;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::PairingId;
use crate::pairing::{Decision, Pairing, PairingRequest, Poll, Started};
use crate::web::Id;

/// A machine's question.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Question {
    /// What it proves itself by.
    device_code: String,
    /// For how many seconds the question may be kept.
    #[serde(default)]
    wait: u16,
}

/// What somebody read on a machine's screen.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Typed {
    /// The PIN.
    pin: String,
}

pub(crate) async fn start(
    State(hub): State<Hub>,
    caller: Caller,
    Body(request): Body<PairingRequest>,
) -> Result<(StatusCode, Json<Started>), HubError> {
    Ok((StatusCode::CREATED, Json(hub.start_pairing(&caller, &request).await?)))
}

pub(crate) async fn poll(
    State(hub): State<Hub>,
    Body(question): Body<Question>,
) -> Result<Response, HubError> {
    let wait = Duration::from_secs(question.wait.into());
    let said = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    Ok(match hub.poll_pairing(&question.device_code, wait).await? {
        Poll::Pending => said("authorization_pending"),
        Poll::Denied => said("access_denied"),
        Poll::Expired => said("expired_token"),
        Poll::Approved { sealed } => {
            let sealed: serde_json::Value = serde_json::from_str(&sealed).unwrap_or_default();
            Json(json!({ "sealed": sealed })).into_response()
        }
    })
}

pub(crate) async fn taken(
    State(hub): State<Hub>,
    caller: Caller,
    Body(question): Body<Question>,
) -> Result<StatusCode, HubError> {
    hub.pairing_taken(&caller, &question.device_code).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn list(State(hub): State<Hub>, caller: Caller) -> Result<Json<Vec<Pairing>>, HubError> {
    Ok(Json(hub.pairings(&caller).await?))
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<PairingId>,
) -> Result<Json<Pairing>, HubError> {
    Ok(Json(hub.pairing(&caller, &id).await?))
}

pub(crate) async fn look(
    State(hub): State<Hub>,
    caller: Caller,
    Body(typed): Body<Typed>,
) -> Result<Json<Pairing>, HubError> {
    Ok(Json(hub.waiting_machine(&caller, &typed.pin).await?))
}

pub(crate) async fn decide(
    State(hub): State<Hub>,
    caller: Caller,
    Body(decision): Body<Decision>,
) -> Result<Json<Pairing>, HubError> {
    Ok(Json(hub.decide_pairing(&caller, &decision).await?))
}
