//! The tables of services: made and changed by numbered steps, each of them once.

use sha2::{Digest as _, Sha256};

use super::engine::Connection;
use super::error::{DatabaseError, EngineError};
use super::value::Value;

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// What it is for.
    pub name: &'static str,
    /// Its statements, for both engines.
    pub sql: &'static str,
}

/// The tables of one service.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Whose they are.
    pub service: &'static str,
    /// The steps, the oldest first. What has been released is never changed.
    pub migrations: &'static [Migration],
    /// Every table, those that others refer to first. Their first column is in no two rows the same, or the first two are.
    pub tables: &'static [&'static str],
}

const OWN: &str = "CREATE TABLE IF NOT EXISTS schema_steps (service TEXT NOT NULL, number BIGINT NOT NULL, \
                   name TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (service, number))";

/// Does the steps that have not been done.
pub(super) fn apply(connection: &mut dyn Connection, schemas: &[Schema]) -> Result<(), DatabaseError> {
    connection.begin(true)?;
    let result = connection.lock_schema().map_err(DatabaseError::from).and_then(|()| {
        connection.batch(OWN)?;
        schemas.iter().try_for_each(|schema| schema.apply(connection))
    });
    match result {
        Ok(()) => Ok(connection.commit()?),
        Err(error) => {
            connection.rollback()?;
            Err(error)
        }
    }
}

impl Schema {
    fn apply(&self, connection: &mut dyn Connection) -> Result<(), DatabaseError> {
        let unsound = |reason: String| DatabaseError::Schema { service: self.service.to_owned(), reason };
        let done = self.done(connection)?;
        if done.len() > self.migrations.len() {
            return Err(unsound("a newer version of Varve has used this database".to_owned()));
        }
        for (number, migration) in self.migrations.iter().enumerate() {
            let digest = hex(&Sha256::digest(migration.sql));
            match done.get(number) {
                Some(known) if *known == digest => {}
                Some(_) => {
                    return Err(unsound(format!("step {} ({}) was another one", number + 1, migration.name)));
                }
                None => {
                    connection.batch(migration.sql)?;
                    connection.execute(
                        "INSERT INTO schema_steps (service, number, name, digest) VALUES ($1, $2, $3, $4)",
                        crate::values![self.service, number as i64 + 1, migration.name, digest],
                    )?;
                }
            }
        }
        Ok(())
    }

    /// The digests of the steps that have been done.
    fn done(&self, connection: &mut dyn Connection) -> Result<Vec<String>, EngineError> {
        let mut done = Vec::new();
        let sql = "SELECT digest FROM schema_steps WHERE service = $1 ORDER BY number";
        connection.query(sql, &[Value::from(self.service)], &mut |mut row| {
            done.push(row.take::<String>(0).unwrap_or_default());
        })?;
        Ok(done)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
