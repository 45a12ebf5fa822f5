//! The database of Varve's services: SQLite in a file, or PostgreSQL. One set of queries for both.
//!
//! ```text
//!  write ──▶ queue ──▶ SQLite: one thread, several transactions in one commit
//!  read  ──▶ queue ──▶ SQLite: a few threads that only read
//!  both  ──▶ queue ──▶ PostgreSQL: a few threads with a connection each, serializable
//! ```
//!
//! [`Database::read`] and [`Database::write`] run a closure in a transaction, on a thread that may wait. The closure may be
//! run again: when another transaction was in its way, and when PostgreSQL went away and came back. So it changes nothing
//! but the database. If a statement fails, or the closure says so, nothing of the transaction stays.
//!
//! A query is a constant with `$1`, `$2` …: no text from outside can become part of one. Columns are TEXT, BIGINT, BOOLEAN,
//! DOUBLE PRECISION or BYTEA, which both engines have; a time is a BIGINT.
//!
//! An answer that came is there to stay: commits are on the disk before the caller hears of them.

mod dump;
mod engine;
mod error;
mod lanes;
mod location;
mod postgres;
mod schema;
mod sqlite;
mod transaction;
mod value;

use std::sync::Arc;
use std::time::Duration;

pub use dump::{DumpError, dump, restore};
pub use error::DatabaseError;
pub use location::{Location, LocationError};
pub use schema::{Migration, Schema};
pub use transaction::Transaction;
pub use value::{FromValue, Row, Value};

use self::engine::Connector as _;
use self::lanes::Lane;

/// How a database is to be used.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Where it is.
    pub location: Location,
    /// Threads that read; for PostgreSQL threads that read and write.
    pub threads: usize,
    /// How long a request waits for an engine that is away.
    pub patience: Duration,
}

/// An open database. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Database {
    lanes: Arc<Lanes>,
}

#[derive(Debug)]
struct Lanes {
    read: Lane,
    /// Where writing has a thread of its own.
    write: Option<Lane>,
}

impl Database {
    /// Opens a database, makes it if it isn't there, and brings its tables up to what the services want. Waits: not to be
    /// called in an asynchronous runtime.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`], and [`DatabaseError::Schema`] for one that a newer version made.
    pub fn open(config: &DatabaseConfig, schemas: &[Schema]) -> Result<Self, DatabaseError> {
        let threads = config.threads.max(1);
        let lanes = match &config.location {
            Location::Sqlite(path) => {
                let writer = sqlite::Connector::writer(path);
                schema::apply(writer.connect()?.as_mut(), schemas)?;
                Lanes {
                    write: Some(Lane::start("db-write", 1, config.patience, writer)?),
                    read: Lane::start("db-read", threads, config.patience, sqlite::Connector::reader(path))?,
                }
            }
            Location::Postgres(address) => {
                let connector = postgres::Connector::new(address)?;
                schema::apply(connector.connect()?.as_mut(), schemas)?;
                Lanes { write: None, read: Lane::start("db", threads, config.patience, connector)? }
            }
        };
        Ok(Self { lanes: Arc::new(lanes) })
    }

    /// Runs a closure that only reads; everything that it sees is of one moment.
    ///
    /// # Errors
    /// What the closure says, or [`DatabaseError`] as its error.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        F: Fn(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        self.lanes.read.run(false, work).await
    }

    /// Runs a closure that may write; as if no other wrote meanwhile.
    ///
    /// # Errors
    /// What the closure says, and then nothing was written; or [`DatabaseError`] as its error.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        F: Fn(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        self.lanes.write.as_ref().unwrap_or(&self.lanes.read).run(true, work).await
    }
}

#[cfg(test)]
mod tests;
