//! `/api/services`: what systemd runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use varve_context::text::UnitName;

use super::Shared;
use super::problem::Problem;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Service {
    name: String,
    description: String,
    /// As systemd says: `active`, `inactive`, `failed`, …
    active: String,
    /// Such as `running`.
    state: String,
    /// Such as `enabled`; empty where that makes no sense.
    starts: String,
}

#[derive(Deserialize)]
struct Unit {
    unit: String,
    active: String,
    sub: String,
    description: String,
}

#[derive(Deserialize)]
struct UnitFile {
    unit_file: String,
    state: String,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<Service>>, Problem> {
    let ask = |arguments: &[&str]| {
        shared.system.systemctl(&[&["--type=service", "--output=json"], arguments].concat())
    };
    let unreadable = |error: serde_json::Error| Problem::failed(&error);
    let units: Vec<Unit> = serde_json::from_str(&ask(&["list-units", "--all"])?).map_err(unreadable)?;
    let files: Vec<UnitFile> = serde_json::from_str(&ask(&["list-unit-files"])?).map_err(unreadable)?;
    let starts: BTreeMap<String, String> =
        files.into_iter().map(|file| (file.unit_file, file.state)).collect();
    let services = units.into_iter().filter_map(|unit| {
        let name = unit.unit.strip_suffix(".service")?.to_owned();
        let starts = starts.get(&unit.unit).cloned().unwrap_or_default();
        Some(Service { name, description: unit.description, active: unit.active, state: unit.sub, starts })
    });
    Ok(Json(services.collect()))
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    Start,
    Stop,
    Restart,
    Enable,
    Disable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Act {
    action: Verb,
}

pub(super) async fn act(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Json(act): Json<Act>,
) -> Result<StatusCode, Problem> {
    let unit = UnitName::parse(format!("{name}.service")).map_err(Problem::refused)?;
    let verb = match act.action {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
        Verb::Enable => "enable",
        Verb::Disable => "disable",
    };
    shared.system.systemctl(&[verb, "--", unit.as_str()])?;
    Ok(StatusCode::NO_CONTENT)
}
