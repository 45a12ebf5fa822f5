//! Contexts.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use http::StatusCode;

use super::Body;
use crate::caller::Caller;
use crate::contexts::{Context, ContextDraft, Description, Difference, Version};
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::ContextId;
use crate::web::Id;

/// What somebody can use besides public ones.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Lists {
    /// Their own.
    own: Vec<Context>,
    /// What others have shared with them.
    shared: Vec<Context>,
}

/// A context that is to be made.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewContext {
    /// What it is called.
    #[serde(default)]
    description: Description,
    /// Its first version.
    draft: ContextDraft,
}

#[derive(serde::Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
}

#[derive(serde::Deserialize)]
pub(crate) struct Between {
    from: Option<i64>,
    to: Option<i64>,
}

pub(crate) async fn list(State(hub): State<Hub>, caller: Caller) -> Result<Json<Lists>, HubError> {
    let (own, shared) = hub.contexts(&caller).await?;
    Ok(Json(Lists { own, shared }))
}

pub(crate) async fn public(
    State(hub): State<Hub>,
    Query(search): Query<Search>,
) -> Result<Json<Vec<Context>>, HubError> {
    Ok(Json(hub.public_contexts(&search.q).await?))
}

pub(crate) async fn create(
    State(hub): State<Hub>,
    caller: Caller,
    Body(new): Body<NewContext>,
) -> Result<(StatusCode, Json<Context>), HubError> {
    let context = hub.create_context(&caller, &new.description, &new.draft).await?;
    Ok((StatusCode::CREATED, Json(context)))
}

pub(crate) async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<Json<Context>, HubError> {
    Ok(Json(hub.context(&caller, &id).await?.0))
}

pub(crate) async fn describe(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
    Body(description): Body<Description>,
) -> Result<Json<Context>, HubError> {
    Ok(Json(hub.describe_context(&caller, &id, &description).await?))
}

pub(crate) async fn remove(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<StatusCode, HubError> {
    hub.delete_context(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn content(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<impl IntoResponse, HubError> {
    let (_, version) = hub.context_version(&caller, &id, None).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], version.content))
}

pub(crate) async fn versions(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
) -> Result<Json<Vec<Version>>, HubError> {
    Ok(Json(hub.context_versions(&caller, &id).await?.1))
}

pub(crate) async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
    Body(draft): Body<ContextDraft>,
) -> Result<Json<Context>, HubError> {
    Ok(Json(hub.change_context(&caller, &id, &draft).await?))
}

pub(crate) async fn version(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
) -> Result<Json<Version>, HubError> {
    let (id, number) = numbered(&id, &number)?;
    Ok(Json(hub.context_version(&caller, &id, Some(number)).await?.1))
}

pub(crate) async fn difference(
    State(hub): State<Hub>,
    caller: Caller,
    Id(id): Id<ContextId>,
    Query(between): Query<Between>,
) -> Result<Json<Difference>, HubError> {
    let Between { from: Some(from), to: Some(to) } = between else {
        return Err(HubError::invalid("from", "say which versions: ?from=1&to=2"));
    };
    Ok(Json(hub.context_difference(&caller, &id, (from, to)).await?))
}

/// A version in a path.
pub(crate) fn numbered(id: &str, number: &str) -> Result<(ContextId, i64), HubError> {
    let id = id.parse().map_err(|_| HubError::NotFound("context"))?;
    let number = number.parse().map_err(|_| HubError::NotFound("version"))?;
    Ok((id, number))
}
