//! Whether the database answers.

use varve_chassis::db::{DatabaseError, Transaction};

pub(crate) fn check(transaction: &mut Transaction<'_>) -> Result<(), DatabaseError> {
    transaction.query_first("SELECT 1", &[]).map(|_| ())
}
