//! User data as such: checking, importing, and the two ways between a document's text and its values.

use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::Value;

use super::Body;
use crate::contexts::{self, Checked, MOST_BYTES};
use crate::error::HubError;

/// User data.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// As text.
    content: String,
}

/// What is said of user data, and their values where a form can show them.
#[derive(serde::Serialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    checked: Checked,
    values: Option<Value>,
}

/// Reading takes time: not where requests of others wait for it.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HubError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HubError::invalid("content", "it can't be read"))
}

fn bounded(text: Text) -> Result<String, HubError> {
    if text.content.len() > MOST_BYTES { Err(HubError::TooLong(MOST_BYTES)) } else { Ok(text.content) }
}

pub(crate) async fn check(Body(text): Body<Text>) -> Result<Json<Answer>, HubError> {
    let content = bounded(text)?;
    apart(move || {
        let checked = contexts::check(&content);
        // Only what is a document of Varve's own, in TOML, can go to and fro.
        let table = toml::from_str::<toml::Table>(&content).ok().filter(|_| !checked.protected);
        let own = checked.forms.iter().all(|form| form == "varve");
        let values = table.filter(|_| own).and_then(|table| serde_json::to_value(table).ok());
        Json(Answer { checked, values })
    })
    .await
}

pub(crate) async fn import(Body(text): Body<Text>) -> Result<Json<Text>, HubError> {
    let content = bounded(text)?;
    let content = apart(move || contexts::import(&content)).await??;
    Ok(Json(Text { content }))
}

pub(crate) async fn write(Body(value): Body<Value>) -> Result<Json<Text>, HubError> {
    let table: toml::Table =
        serde_json::from_value(value).map_err(|error| HubError::invalid("document", error))?;
    let content = toml::to_string_pretty(&table).map_err(|error| HubError::invalid("document", error))?;
    Ok(Json(Text { content }))
}

pub(crate) async fn schema() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/schema+json")], varve_context::schema())
}
