//! What hosts ask the service for, over HTTP with JSON. A host calls, the service never does: hosts may be behind NAT.
//!
//! ```text
//! POST   /cloud/hosts/join                  join token   Join       → Joined
//! GET    /cloud/hosts                       any token               → [Host]
//! DELETE /cloud/hosts/ID                    join token
//! POST   /cloud/hosts/sync                  host token   Report     → Orders, at once or when something is new
//! GET    /cloud/hosts/instances/ID          host token              → Definition
//! PUT    /cloud/hosts/instances/ID/console  host token   bytes
//! GET    /cloud/hosts/images/ID             host token              → bytes
//! ```
//!
//! A report says what the host sees, orders say what is wanted. Both can be lost or come twice: the next ones say it all again.

mod answers;
pub mod protocol;

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};
use varve_chassis::db::DatabaseError;

use self::answers::Refused;
use self::protocol::{Definition, Join, Joined, MOST_CONSOLE, Order, Orders, Report};
use crate::cloud::{Cloud, secret};
use crate::db::{consoles, hosts, images, instances, settings};
use crate::host::Host;
use crate::id::{HostId, ImageId, InstanceId};
use crate::image;
use crate::instance::{InstanceState, settle};

/// The longest that a host waits for news in one request.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How often the database is looked at meanwhile: what another process of the service has recorded is noticed so soon.
const LOOK: Duration = Duration::from_secs(1);
/// The longest report.
const LONGEST_REPORT: usize = 8 << 20;
/// The most machines of one host.
const MOST_MACHINES: usize = 10_000;
/// Pieces of an image that wait for a slow host.
const PIECES: usize = 4;

/// What hosts ask for, to be merged into a server's other routes.
pub fn router(cloud: Cloud) -> Router {
    Router::new()
        .route("/cloud/hosts", get(list))
        .route("/cloud/hosts/join", post(join))
        .route("/cloud/hosts/{id}", delete(remove))
        .route("/cloud/hosts/sync", post(sync))
        .route("/cloud/hosts/instances/{id}", get(definition))
        .route("/cloud/hosts/instances/{id}/console", put(console))
        .route("/cloud/hosts/images/{id}", get(image_file))
        .layer(DefaultBodyLimit::max(LONGEST_REPORT))
        .with_state(cloud)
}

/// The token of a request.
fn token(headers: &HeaderMap) -> Result<String, Refused> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned).ok_or(Refused::Unknown)
}

/// What is recorded of a host's token. It is as long as the digest, so there is nothing to guess and nothing to slow down.
fn token_digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Whether a request has the token that lets hosts join.
async fn may_join(cloud: &Cloud, headers: &HeaderMap) -> Result<(), Refused> {
    let given = token_digest(&token(headers)?);
    let known = cloud.database.read(|transaction| settings::find(transaction, "join-token")).await?;
    // Digests are compared: how long that takes says nothing about the token.
    let known = known.map(|known: String| token_digest(&known));
    if known.is_some_and(|known| known == given) { Ok(()) } else { Err(Refused::Unknown) }
}

async fn host_of(cloud: &Cloud, headers: &HeaderMap) -> Result<Host, Refused> {
    let digest = token_digest(&token(headers)?);
    let host = cloud.database.read(move |transaction| hosts::of_token(transaction, &digest)).await;
    host.map_err(|error: DatabaseError| Refused::from(error))?.ok_or(Refused::Unknown)
}

async fn join(
    State(cloud): State<Cloud>,
    headers: HeaderMap,
    Json(join): Json<Join>,
) -> Result<Json<Joined>, Refused> {
    may_join(&cloud, &headers).await?;
    join.check().map_err(Refused::Unsound)?;
    let token = secret("varve-host-");
    let now = cloud.now();
    let host = Host {
        id: HostId::new(),
        name: join.name,
        zone: join.zone.unwrap_or_else(|| cloud.config.first_zone()),
        version: join.version,
        cores: join.cores,
        memory: join.memory,
        taken_cores: 0,
        taken_memory: 0,
        joined: now,
        heard: now,
        revision: 1,
    };
    let (id, zone, digest) = (host.id.clone(), host.zone.clone(), token_digest(&token));
    cloud
        .database
        .write(move |transaction| {
            if hosts::all(transaction)?.iter().any(|other| other.name == host.name) {
                return Err(Refused::Taken(host.name.clone()));
            }
            Ok(hosts::insert(transaction, &host, &digest)?)
        })
        .await?;
    tracing::info!(host = %id, "a host joined");
    Ok(Json(Joined { id, token, zone, region: cloud.config.region.clone() }))
}

async fn list(State(cloud): State<Cloud>, headers: HeaderMap) -> Result<Json<Vec<Host>>, Refused> {
    if may_join(&cloud, &headers).await.is_err() {
        host_of(&cloud, &headers).await?;
    }
    Ok(Json(cloud.hosts().await?))
}

async fn remove(
    State(cloud): State<Cloud>,
    headers: HeaderMap,
    Path(id): Path<HostId>,
) -> Result<StatusCode, Refused> {
    may_join(&cloud, &headers).await?;
    match cloud.remove_host(id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refused::Absent),
    }
}

async fn sync(
    State(cloud): State<Cloud>,
    headers: HeaderMap,
    Json(report): Json<Report>,
) -> Result<Json<Orders>, Refused> {
    let host = host_of(&cloud, &headers).await?;
    report.check(MOST_MACHINES).map_err(Refused::Unsound)?;
    let (seen, wait) = (report.revision, report.wait().min(LONGEST_WAIT));
    let strangers = take(&cloud, host.clone(), report).await?;
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let news = cloud.news.notified();
        tokio::pin!(news);
        // From here on nothing is missed: the database is looked at after it has begun to listen.
        news.as_mut().enable();
        let id = host.id.clone();
        let revision: i64 = cloud
            .database
            .read(move |transaction| hosts::revision(transaction, &id))
            .await
            .map_err(|error: DatabaseError| error)?;
        let now = tokio::time::Instant::now();
        if revision != seen || now >= deadline {
            break;
        }
        let _either = tokio::time::timeout_at(deadline.min(now + LOOK), news).await;
    }
    orders(&cloud, host.id, strangers).await.map(Json)
}

/// Records what a host reports; gives the machines on it that nobody knows.
async fn take(cloud: &Cloud, host: Host, report: Report) -> Result<Vec<InstanceId>, Refused> {
    let now = cloud.now();
    let heard = Host {
        heard: now,
        cores: report.cores,
        memory: report.memory,
        version: report.version.clone(),
        ..host
    };
    let work = move |transaction: &mut varve_chassis::db::Transaction<'_>| -> Result<_, DatabaseError> {
        hosts::heard(transaction, &heard)?;
        let mut strangers = Vec::new();
        for seen in &report.machines {
            match instances::find(transaction, &seen.instance)? {
                Some(mut instance) if instance.host == heard.id => {
                    let settled = settle(&instance, seen);
                    let ports =
                        if settled.state == InstanceState::Running { seen.ports.as_str() } else { "" };
                    let same = (settled.state, settled.wanted, &settled.reason)
                        == (instance.state, instance.wanted, &instance.reason);
                    if same && instance.ports == ports {
                        continue;
                    }
                    if settled.state != instance.state {
                        tracing::info!(instance = %instance.id, from = %instance.state, to = %settled.state, "an instance");
                    }
                    ports.clone_into(&mut instance.ports);
                    let wants = settled.wanted != instance.wanted;
                    instances::change(transaction, &mut instance, settled, now)?;
                    if wants {
                        hosts::touch(transaction, &heard.id)?;
                    }
                }
                _ => strangers.push(seen.instance.clone()),
            }
        }
        Ok(strangers)
    };
    Ok(cloud.database.write(work).await?)
}

async fn orders(cloud: &Cloud, host: HostId, strangers: Vec<InstanceId>) -> Result<Orders, Refused> {
    let read = cloud.database.read(move |transaction| {
        let order = |instance: crate::instance::Instance| Order {
            instance: instance.id,
            wanted: instance.wanted,
            starts: instance.starts,
            restarts: instance.restarts,
            tokens_required: instance.tokens_required,
        };
        Ok::<_, DatabaseError>(Orders {
            revision: hosts::revision(transaction, &host)?,
            instances: instances::on_host(transaction, &host)?.into_iter().map(order).collect(),
            strangers: strangers.clone(),
        })
    });
    Ok(read.await?)
}

async fn definition(
    State(cloud): State<Cloud>,
    headers: HeaderMap,
    Path(id): Path<InstanceId>,
) -> Result<Json<Definition>, Refused> {
    let host = host_of(&cloud, &headers).await?;
    let region = cloud.config.region.clone();
    let found = cloud.database.read(move |transaction| {
        let Some(instance) = instances::find(transaction, &id)?.filter(|instance| instance.host == host.id)
        else {
            return Ok::<_, DatabaseError>(None);
        };
        let Some(image) = images::find(transaction, &instance.image)? else { return Ok(None) };
        let told = instances::told(transaction, &id)?;
        Ok(Some(Definition::new(&instance, &image, told, &region)))
    });
    found.await?.map(Json).ok_or(Refused::Absent)
}

async fn console(
    State(cloud): State<Cloud>,
    headers: HeaderMap,
    Path(id): Path<InstanceId>,
    request: Request,
) -> Result<StatusCode, Refused> {
    let host = host_of(&cloud, &headers).await?;
    let content = axum::body::to_bytes(request.into_body(), MOST_CONSOLE).await;
    let content =
        content.map_err(|_| Refused::Unsound(format!("a console's end has at most {MOST_CONSOLE} bytes")))?;
    let now = cloud.now();
    let there = cloud.database.write(move |transaction| {
        let there = instances::find(transaction, &id)?.is_some_and(|instance| instance.host == host.id);
        if there {
            consoles::put(transaction, &id, &content, now)?;
        }
        Ok::<_, DatabaseError>(there)
    });
    if there.await? { Ok(StatusCode::NO_CONTENT) } else { Err(Refused::Absent) }
}

async fn image_file(
    State(cloud): State<Cloud>,
    headers: HeaderMap,
    Path(id): Path<ImageId>,
) -> Result<Response, Refused> {
    host_of(&cloud, &headers).await?;
    let found = cloud.database.read(move |transaction| images::find(transaction, &id)).await;
    let found = found.map_err(|error: DatabaseError| error)?.ok_or(Refused::Absent)?;
    let path = image::file(&cloud.config.images, &found.location).map_err(|_| Refused::Absent)?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(PIECES);
    // Whoever reads checks the digest: a file that was changed since is refused there.
    tokio::task::spawn_blocking(move || {
        let read = || -> std::io::Result<()> {
            let mut file = File::open(&path)?;
            loop {
                let mut piece = vec![0; 256 << 10];
                let count = file.read(&mut piece)?;
                piece.truncate(count);
                if count == 0 || sender.blocking_send(Ok(piece.into())).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = read() {
            tracing::error!(%error, "an image can't be read");
            // A transfer that breaks off is noticed.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    Ok(([(header::CONTENT_LENGTH, found.size)], Body::from_stream(pieces)).into_response())
}
