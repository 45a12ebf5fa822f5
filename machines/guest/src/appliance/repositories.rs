//! `/api/repositories`: the software below `/cvmfs`.
//!
//! The client's settings file is the list: what user data asked for, and what was added here.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use varve_context::Document;
use varve_context::sections::repositories::{Repositories, Repository};
use varve_context::text::{Line, RepositoryName, Word};

use super::Shared;
use super::problem::Problem;
use super::system::System;

const SETTINGS: &str = "etc/varve/client.toml";

/// The client's settings, as far as they say what is mounted how.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    default: Common,
    #[serde(default)]
    repository: BTreeMap<String, Own>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Common {
    #[serde(default)]
    servers: Vec<Word>,
    proxy: Option<Line>,
    cache_quota: Option<Word>,
    cache: Option<varve_context::text::TargetPath>,
}

#[derive(Debug, Default, Deserialize)]
struct Own {
    #[serde(default)]
    servers: Vec<Word>,
    #[serde(default)]
    keys: Vec<String>,
    revision: Option<Word>,
    proxy: Option<Line>,
}

/// What the machine's settings say.
pub(super) fn configured(system: &System) -> Result<Repositories, Problem> {
    let settings: Settings = toml::from_str(&system.read(SETTINGS)?)
        .map_err(|error| Problem::refused(format!("/{SETTINGS}: {}", error.message())))?;
    let mount = settings.repository.into_iter().map(|(name, own)| {
        let mut repository = Repository::named(RepositoryName::parse(name).map_err(Problem::refused)?);
        let keys = own.keys.iter().map(|path| system.read(path.trim_start_matches('/')));
        repository.keys = keys.collect::<Result<_, _>>()?;
        (repository.servers, repository.revision, repository.proxy) = (own.servers, own.revision, own.proxy);
        Ok(repository)
    });
    Ok(Repositories {
        mount: mount.collect::<Result<_, Problem>>()?,
        servers: settings.default.servers,
        proxy: settings.default.proxy,
        cache_quota: settings.default.cache_quota,
        cache: settings.default.cache,
    })
}

/// Writes settings and units, and tells systemd.
pub(super) fn configure(system: &System, repositories: Repositories) -> Result<(), Problem> {
    system.become_as(&Document { repositories, ..Document::default() })?;
    system.systemctl(&["daemon-reload"])?;
    Ok(())
}

pub(super) fn unit(name: &str) -> String {
    format!("varve-repository-{name}.service")
}

#[derive(Debug, Serialize)]
pub(super) struct Listed {
    name: String,
    directory: String,
    servers: Vec<String>,
    revision: Option<String>,
    mounted: bool,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<Listed>>, Problem> {
    let repositories = configured(&shared.system)?;
    let mounts = shared.system.read("proc/self/mounts")?;
    let listed = repositories.mount.into_iter().map(|repository| {
        let directory = format!("/cvmfs/{}", repository.name.as_str());
        let servers = if repository.servers.is_empty() { &repositories.servers } else { &repository.servers };
        Listed {
            mounted: mounts.lines().any(|line| line.split(' ').nth(1) == Some(&directory)),
            servers: servers.iter().map(|server| server.replace("@fqrn@", &repository.name)).collect(),
            revision: repository.revision.map(|revision| revision.as_str().to_owned()),
            name: repository.name.as_str().to_owned(),
            directory,
        }
    });
    Ok(Json(listed.collect()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    name: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    revision: String,
}

/// Adds a repository and mounts it, or changes one of the same name.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    Json(new): Json<New>,
) -> Result<StatusCode, Problem> {
    let word = |text: &str| Word::parse(text).map_err(Problem::refused);
    let name = RepositoryName::parse(new.name).map_err(Problem::refused)?;
    let unit = unit(name.as_str());
    let mut repositories = configured(&shared.system)?;
    let repository = repositories.named(name);
    if !new.server.trim().is_empty() {
        repository.servers = new.server.split_whitespace().map(word).collect::<Result<_, _>>()?;
    }
    if !new.key.trim().is_empty() {
        repository.keys = vec![format!("{}\n", new.key.trim())];
    }
    repository.revision = (!new.revision.trim().is_empty()).then(|| word(new.revision.trim())).transpose()?;
    configure(&shared.system, repositories)?;
    shared.system.systemctl(&["enable", "--", &unit])?;
    shared.system.systemctl(&["restart", "--", &unit])?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unmounts a repository, for good.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut repositories = configured(&shared.system)?;
    let before = repositories.mount.len();
    repositories.mount.retain(|repository| repository.name.as_str() != name);
    if repositories.mount.len() == before {
        return Err(Problem::absent("repository", &name));
    }
    shared.system.systemctl(&["disable", "--now", "--", &unit(&name)])?;
    configure(&shared.system, repositories)?;
    Ok(StatusCode::NO_CONTENT)
}
