//! The cloud as one process of the service has it: the database, who has access, and who waits for news.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Notify;
use varve_chassis::db::{Database, DatabaseError};

use crate::account::Accounts;
use crate::db::{hosts, instances, requests, settings};
use crate::host::Host;
use crate::id::HostId;
use crate::instance::{InstanceState, Settled, StateReason, Wanted};

/// How long records of terminated instances stay.
const TERMINATED_KEPT: Duration = Duration::from_secs(3600);
/// How long the tokens of requests are remembered.
const TOKENS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// The setting with the token that hosts join with.
const JOIN_TOKEN: &str = "join-token";

/// How a cloud is to be.
#[derive(Clone, Debug)]
pub struct CloudConfig {
    /// The name of its one region.
    pub region: String,
    /// The directory that images are registered from.
    pub images: PathBuf,
    /// Where its endpoint is reached, as it is told to whoever asks for regions.
    pub endpoint: String,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

impl CloudConfig {
    /// The zone of hosts that name none.
    pub fn first_zone(&self) -> String {
        format!("{}-a", self.region)
    }
}

/// A cloud. Clones are the same one.
#[derive(Clone)]
pub struct Cloud {
    pub(crate) database: Database,
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) config: Arc<CloudConfig>,
    /// Something is new for some host.
    pub(crate) news: Arc<Notify>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Cloud {
    /// A cloud over a database that has [`crate::SCHEMA`].
    pub fn new(database: Database, accounts: Arc<dyn Accounts>, config: CloudConfig) -> Self {
        Self { database, accounts, config: Arc::new(config), news: Arc::new(Notify::new()) }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        let since = (self.config.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// The token that lets hosts join. It is made when it is first asked for.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn join_token(&self) -> Result<String, DatabaseError> {
        let new = secret("varve-join-");
        self.database
            .write(move |transaction| {
                if let Some(token) = settings::find(transaction, JOIN_TOKEN)? {
                    return Ok(token);
                }
                settings::put(transaction, JOIN_TOKEN, &new)?;
                Ok(new.clone())
            })
            .await
    }

    /// Another token lets hosts join from now on; those that have joined stay.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn renew_join_token(&self) -> Result<String, DatabaseError> {
        let new = secret("varve-join-");
        self.database
            .write(move |transaction| {
                settings::put(transaction, JOIN_TOKEN, &new)?;
                Ok(new.clone())
            })
            .await
    }

    /// The hosts, by name.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn hosts(&self) -> Result<Vec<Host>, DatabaseError> {
        self.database.read(hosts::all).await
    }

    /// A host is gone for good: its instances are terminated, and it can't come back but by joining anew. `false` if there
    /// is no such host.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn remove_host(&self, id: HostId) -> Result<bool, DatabaseError> {
        let now = self.now();
        self.database
            .write(move |transaction| {
                if hosts::find(transaction, &id)?.is_none() {
                    return Ok(false);
                }
                for mut instance in instances::on_host(transaction, &id)? {
                    let reason = StateReason::new(
                        "Server.HostLost",
                        "Server.HostLost: its host was removed from the cloud",
                    );
                    let settled = Settled {
                        state: InstanceState::Terminated,
                        wanted: Wanted::Terminated,
                        reason: Some(reason),
                    };
                    instances::change(transaction, &mut instance, settled, now)?;
                }
                hosts::remove(transaction, &id, now)?;
                Ok(true)
            })
            .await
    }

    /// Forgets what has been over for long. To be called now and then, by any process.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn forget_old(&self) -> Result<(), DatabaseError> {
        let before = |kept: Duration| self.now() - i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        let (ended, made) = (before(TERMINATED_KEPT), before(TOKENS_KEPT));
        self.database
            .write(move |transaction| {
                instances::forget(transaction, ended)?;
                requests::forget(transaction, made).map(drop)
            })
            .await
    }

    /// Lets waiting hosts look whether something is new for them.
    pub(crate) fn announce(&self) {
        self.news.notify_waiters();
    }
}

/// A secret that nobody can guess, with words before it that say what it is.
pub(crate) fn secret(words: &str) -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("because the kernel has random numbers");
    format!("{words}{}", URL_SAFE_NO_PAD.encode(bytes))
}
