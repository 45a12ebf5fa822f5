//! The description of this interface.

use axum::Json;

/// In OpenAPI.
pub(crate) async fn show() -> Json<serde_json::Value> {
    Json(crate::web::describe(&crate::web::routes()))
}
