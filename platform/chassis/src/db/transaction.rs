//! What a closure does in a transaction.

use super::engine::Connection;
use super::error::{DatabaseError, EngineError, Fault};
use super::value::{Row, Value};

/// A transaction that is under way.
///
/// After a statement has failed, every further one fails as well, and nothing of the transaction stays: that is how
/// PostgreSQL does it, and how it is with both. What may be there already is inserted by `ON CONFLICT`.
pub struct Transaction<'a> {
    connection: &'a mut dyn Connection,
    failed: Option<EngineError>,
}

impl<'a> Transaction<'a> {
    pub(super) fn of(connection: &'a mut dyn Connection) -> Self {
        Self { connection, failed: None }
    }

    /// Runs a statement; the answer is how many rows it changed.
    ///
    /// # Errors
    /// [`DatabaseError`]; then nothing of the transaction stays.
    pub fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.check()?;
        let result = self.connection.execute(sql, values);
        self.note(result)
    }

    /// Runs a query and gives all its rows; bounded by the query's `LIMIT`.
    ///
    /// # Errors
    /// [`DatabaseError`]; then nothing of the transaction stays.
    pub fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.check()?;
        let mut rows = Vec::new();
        let result = self.connection.query(sql, values, &mut |row| rows.push(row));
        self.note(result)?;
        Ok(rows)
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// [`DatabaseError`]; then nothing of the transaction stays.
    pub fn query_first(&mut self, sql: &'static str, values: &[Value]) -> Result<Option<Row>, DatabaseError> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    /// What went wrong in it.
    pub(super) fn failed(self) -> Option<EngineError> {
        self.failed
    }

    fn check(&self) -> Result<(), DatabaseError> {
        self.failed.as_ref().map_or(Ok(()), |failed| Err(failed.error.clone()))
    }

    fn note<T>(&mut self, result: Result<T, EngineError>) -> Result<T, DatabaseError> {
        result.map_err(|failed| {
            let error = failed.error.clone();
            self.failed = Some(failed);
            error
        })
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl EngineError {
    /// Whether the transaction may be tried again.
    pub(super) fn passes(&self) -> bool {
        self.fault != Fault::Lasting
    }
}
