//! The hub: what all its parts have in common.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;
use varve_chassis::db::{Database, DatabaseError};
use varve_chassis::{Rate, RateLimit};

use crate::accounts::{PasswordHash, Role, SignUpPolicy};
use crate::db;
use crate::ids::SecretText;
use crate::pairing::Waiters;

const MINUTE: Duration = Duration::from_secs(60);
/// How many passwords are hashed at a time: each takes 19 MiB.
const HASHING: usize = 4;
/// How long the code for the first account counts.
const FIRST_CODE_DAYS: i64 = 30;

/// What the hub is told from outside.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Where browsers and machines find it, without a slash at the end: `https://hub.example.org`.
    pub address: String,
    /// Who may make an account.
    pub sign_up: SignUpPolicy,
    /// Whether it stands behind a proxy that says whom it speaks for (`X-Forwarded-For`, the last of them).
    pub behind_proxy: bool,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

/// How often things may be tried.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// Signing in and signing up.
    pub(crate) sign_in: RateLimit,
    /// Typing a PIN that no machine shows.
    pub(crate) pin: RateLimit,
    /// Asking for a PIN.
    pub(crate) pairing: RateLimit,
}

/// A running hub. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    config: HubConfig,
    database: Database,
    budgets: Budgets,
    hashing: Semaphore,
    waiters: Waiters,
    /// What is compared with when there is no such account, so that it takes as long.
    nobody: PasswordHash,
}

impl Hub {
    /// A hub over a database that has the tables of [`crate::SCHEMA`].
    pub fn new(config: HubConfig, database: Database, now: Instant) -> Self {
        let each_and_all = |each: u32, all: u32, within| {
            RateLimit::new(Rate { tries: each, within }, Rate { tries: all, within }, now)
        };
        let budgets = Budgets {
            sign_in: each_and_all(10, 600, 5 * MINUTE),
            pin: each_and_all(10, 200, 10 * MINUTE),
            pairing: each_and_all(2000, 10_000, 10 * MINUTE),
        };
        let nobody = crate::accounts::Password::tried(SecretText::generate().as_str()).hash();
        Self(Arc::new(Parts {
            config,
            database,
            budgets,
            hashing: Semaphore::new(HASHING),
            waiters: Waiters::default(),
            nobody,
        }))
    }

    /// What it was told.
    pub fn config(&self) -> &HubConfig {
        &self.0.config
    }

    /// Its database.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.0.waiters
    }

    pub(crate) fn hashing(&self) -> &Semaphore {
        &self.0.hashing
    }

    pub(crate) fn nobody(&self) -> &PasswordHash {
        &self.0.nobody
    }

    /// Whether browsers reach it through TLS: then cookies are for that only.
    pub(crate) fn encrypted(&self) -> bool {
        self.0.config.address.starts_with("https://")
    }

    /// Milliseconds of Unix.
    pub(crate) fn now(&self) -> i64 {
        let since = (self.0.config.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// A code that makes whoever signs up with it the first administrator, if there is no account yet. Earlier ones are void.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn first_code(&self) -> Result<Option<SecretText>, DatabaseError> {
        let (code, now) = (SecretText::generate(), self.now());
        self.0
            .database
            .write(move |transaction| {
                if db::accounts::count(transaction)? > 0 {
                    return Ok(None);
                }
                db::invitations::forget(transaction, Role::Administrator)?;
                let expires = now + FIRST_CODE_DAYS * 86_400_000;
                db::invitations::insert(transaction, &code, Role::Administrator, now, expires)?;
                Ok(Some(code.clone()))
            })
            .await
    }

    /// Whether the database answers.
    pub(crate) async fn is_healthy(&self) -> Result<(), DatabaseError> {
        self.database().read(db::health::check).await
    }

    /// What is to be done again and again while it runs: old things are forgotten, who waits is told.
    pub async fn look_after(&self) {
        let forgetting = async {
            loop {
                let now = self.now();
                let forgotten: Result<(), DatabaseError> = self
                    .database()
                    .write(move |transaction| {
                        let (begun, seen) = crate::sessions::limits(now);
                        db::sessions::delete_old(transaction, begun, seen)?;
                        db::pairings::delete_old(transaction, now)
                    })
                    .await;
                if let Err(error) = forgotten {
                    tracing::warn!(%error, "old sessions and pairings stay");
                }
                tokio::time::sleep(10 * MINUTE).await;
            }
        };
        let telling = self.tell_waiters();
        tokio::join!(forgetting, telling);
    }
}
