//! What an engine must be able to do: one connection, and the way to a new one.

use super::error::EngineError;
use super::value::{Row, Value};

/// A connection to an engine. Used by one thread.
pub(super) trait Connection: Send {
    /// Begins a transaction.
    fn begin(&mut self, writes: bool) -> Result<(), EngineError>;

    /// Ends it; then it is there to stay.
    fn commit(&mut self) -> Result<(), EngineError>;

    /// Ends it as if it had never been.
    fn rollback(&mut self) -> Result<(), EngineError>;

    /// Runs a statement and says how many rows it changed.
    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, EngineError>;

    /// Runs a query and gives every row to `each`.
    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Row)) -> Result<(), EngineError>;

    /// Runs several statements.
    fn batch(&mut self, sql: &str) -> Result<(), EngineError>;

    /// Takes care that no other process changes the tables until the transaction ends.
    fn lock_schema(&mut self) -> Result<(), EngineError>;

    /// The columns of a table, in order.
    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError>;

    /// As [`Connection::execute`], for a statement that was put together here.
    fn insert(&mut self, sql: &str, values: &[Value]) -> Result<u64, EngineError>;

    /// Whether several transactions may be put into one commit, each as a part that can be taken back by itself.
    fn groups(&self) -> bool;
}

/// Makes connections.
pub(super) trait Connector: Send + Sync + 'static {
    /// A new connection.
    fn connect(&self) -> Result<Box<dyn Connection>, EngineError>;
}
