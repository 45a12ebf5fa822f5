//! `/api/versions`: which version of the operating system runs, which there are, and going to another one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::problem::Problem;
use crate::rebase::Rebase;
use crate::update::{Policy, Release, Request, Version, Versions};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct State_ {
    current: Option<Version>,
    policy: Policy,
    /// Whether there is a version before that can be gone back to.
    undo: bool,
    /// What the next start does.
    request: Option<Request>,
    /// Newest first.
    releases: Vec<Release>,
    /// Why they can't be listed, if they can't.
    unreachable: Option<String>,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<State_>, Problem> {
    let versions = shared.versions()?;
    let pinned = versions.pinned().map_err(|error| Problem::failed(&error))?;
    let request = versions.request().map_err(|error| Problem::failed(&error))?;
    let asked = Arc::clone(&shared);
    let releases = tokio::task::spawn_blocking(move || asked.releases.list())
        .await
        .map_err(|error| Problem::failed(&error))?;
    let (releases, unreachable) = match releases {
        Ok(releases) => (releases, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Ok(Json(State_ {
        undo: pinned.as_ref().is_some_and(|pinned| pinned.update > 0),
        policy: pinned.as_ref().map(|pinned| pinned.policy).unwrap_or_default(),
        current: pinned.map(|pinned| pinned.version),
        request,
        releases,
        unreachable,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// To the release of this tag, at the next start.
    Rebase(String),
    /// Back to the version before, at the next start.
    Undo,
    /// Not to do what was asked for.
    Cancel,
    /// From now on.
    Policy(Policy),
}

pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    Json(change): Json<Change>,
) -> Result<StatusCode, Problem> {
    let versions = shared.versions()?;
    let failed = |error: crate::update::UpdateError| Problem::failed(&error);
    match change {
        Change::Rebase(tag) => {
            let to = shared.release(tag).await?;
            versions.ask(Some(&Request::Rebase(to))).map_err(failed)?;
        }
        Change::Undo => versions.ask(Some(&Request::Undo)).map_err(Problem::refused)?,
        Change::Cancel => versions.ask(None).map_err(failed)?,
        Change::Policy(policy) => {
            let Some(pinned) = versions.pinned().map_err(failed)? else {
                return Err(Problem::refused("this machine has no version yet"));
            };
            versions.pin(&crate::update::Pinned { policy, ..pinned }).map_err(failed)?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    tag: String,
}

/// What another version would make of the machine's changes.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    untouched: u64,
    conflicts: usize,
    steps: Vec<Said>,
}

#[derive(Debug, Serialize)]
struct Said {
    path: String,
    what: String,
    conflict: bool,
}

pub(super) async fn compare(
    State(shared): State<Arc<Shared>>,
    Json(To { tag }): Json<To>,
) -> Result<Json<Compared>, Problem> {
    let to = shared.release(tag).await?;
    let asked = Arc::clone(&shared);
    let rebase: Rebase = tokio::task::spawn_blocking(move || asked.releases.compare(&to))
        .await
        .map_err(|error| Problem::failed(&error))?
        .map_err(|error| Problem::failed(error.as_ref()))?;
    let steps = rebase.steps.iter().map(|step| Said {
        path: format!("/{}", step.path.display()),
        what: step.words(),
        conflict: step.is_conflict(),
    });
    Ok(Json(Compared {
        untouched: rebase.untouched,
        conflicts: rebase.conflicts().count(),
        steps: steps.collect(),
    }))
}

impl Shared {
    fn versions(&self) -> Result<Versions, Problem> {
        self.versions.as_deref().map(Versions::in_directory).ok_or_else(|| {
            Problem::refused("this machine has no scratch disk: it starts at the version that its image or user data names")
        })
    }

    async fn release(self: &Arc<Self>, tag: String) -> Result<Version, Problem> {
        let asked = Arc::clone(self);
        let releases = tokio::task::spawn_blocking(move || asked.releases.list())
            .await
            .map_err(|error| Problem::failed(&error))?
            .map_err(|error| Problem::failed(error.as_ref()))?;
        let found = releases.into_iter().find(|release| release.version.tag.as_deref() == Some(&tag));
        found.map(|release| release.version).ok_or_else(|| Problem::absent("version", &tag))
    }
}
