//! `/api/proxy`: the proxies between the machine and the servers of its repositories.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use varve_context::text::Line;
use varve_store::ProxyGroups;

use super::Shared;
use super::problem::Problem;
use super::repositories::{configure, configured, unit};

/// Groups between `;`, members between `|`, `DIRECT` for none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    proxy: String,
}

pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Json<Proxy>, Problem> {
    let proxy = configured(&shared.system)?.proxy;
    Ok(Json(Proxy { proxy: proxy.map(|proxy| proxy.as_str().to_owned()).unwrap_or_default() }))
}

/// Sets them, and mounts the repositories anew.
pub(super) async fn set(
    State(shared): State<Arc<Shared>>,
    Json(proxy): Json<Proxy>,
) -> Result<StatusCode, Problem> {
    let text = proxy.proxy.trim();
    text.parse::<ProxyGroups>().map_err(Problem::refused)?;
    let mut repositories = configured(&shared.system)?;
    repositories.proxy =
        (!text.is_empty()).then(|| Line::parse(text)).transpose().map_err(Problem::refused)?;
    let units: Vec<String> = repositories.mount.iter().map(|mount| unit(mount.name.as_str())).collect();
    configure(&shared.system, repositories)?;
    for unit in &units {
        shared.system.systemctl(&["try-restart", "--", unit])?;
    }
    Ok(StatusCode::NO_CONTENT)
}
