//! `/api/users`: who may log in.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use varve_context::sections::users::User;
use varve_context::text::{AccountName, Line};
use varve_context::{Document, Secret};

use super::Shared;
use super::problem::Problem;

/// Numbers of people's accounts.
const PEOPLE: std::ops::Range<u32> = 1000..60_000;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Listed {
    name: String,
    full_name: String,
    shell: String,
    groups: Vec<String>,
    admin: bool,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<Listed>>, Problem> {
    let people = shared.system.accounts()?.into_iter().filter(|account| PEOPLE.contains(&account.uid));
    let listed = people.map(|account| {
        let groups = shared.system.groups_of(&account.name)?;
        let admin = groups.iter().any(|group| group == "sudo" || group == "wheel");
        Ok(Listed { name: account.name, full_name: account.full_name, shell: account.shell, groups, admin })
    });
    Ok(Json(listed.collect::<Result<_, Problem>>()?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct New {
    name: String,
    #[serde(default)]
    full_name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    ssh_keys: Vec<String>,
    #[serde(default)]
    admin: bool,
}

/// Makes an account, or changes one of the same name.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    Json(new): Json<New>,
) -> Result<StatusCode, Problem> {
    let name = AccountName::parse(new.name).map_err(Problem::refused)?;
    let known = shared.system.accounts()?.into_iter().find(|account| account.name == name.as_str());
    if known.is_some_and(|account| !PEOPLE.contains(&account.uid)) {
        return Err(Problem::refused(format!("'{}' is an account of the system", name.as_str())));
    }
    let mut user = User::named(name);
    if !new.full_name.is_empty() {
        user.full_name = Some(Line::parse(new.full_name).map_err(Problem::refused)?);
    }
    if !new.password.is_empty() {
        user.password = Some(Secret::Plain(new.password));
    }
    let keys = new.ssh_keys.into_iter().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    user.ssh_keys = keys.map(Line::parse).collect::<Result<_, _>>().map_err(Problem::refused)?;
    user.admin = new.admin;
    shared.system.become_as(&Document { users: vec![user], ..Document::default() })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an account away; its home directory stays.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let account = shared.system.accounts()?.into_iter().find(|account| account.name == name);
    let Some(account) = account else { return Err(Problem::absent("user", &name)) };
    if !PEOPLE.contains(&account.uid) {
        return Err(Problem::refused(format!("'{name}' is an account of the system")));
    }
    shared.system.program("usr/sbin/userdel", &["--", &name])?;
    Ok(StatusCode::NO_CONTENT)
}
