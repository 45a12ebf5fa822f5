//! What machines wrote to their consoles last.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use crate::id::InstanceId;

/// Replaces what is known of one.
pub(crate) fn put(
    transaction: &mut Transaction<'_>,
    instance: &InstanceId,
    content: &[u8],
    now: i64,
) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_consoles (instance, at, content) VALUES ($1, $2, $3) ON CONFLICT (instance) DO UPDATE SET \
         at = excluded.at, content = excluded.content",
        values![instance, now, content],
    )?;
    Ok(())
}

/// What one wrote, and when that was known.
pub(crate) fn find(
    transaction: &mut Transaction<'_>,
    instance: &InstanceId,
) -> Result<Option<(i64, Vec<u8>)>, DatabaseError> {
    let row = transaction
        .query_first("SELECT at, content FROM cloud_consoles WHERE instance = $1", values![instance])?;
    row.map(|mut row| Ok((row.take(0)?, row.take(1)?))).transpose()
}
