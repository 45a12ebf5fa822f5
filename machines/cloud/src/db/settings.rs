//! What the cloud remembers of itself.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

/// A setting.
pub(crate) fn find(
    transaction: &mut Transaction<'_>,
    name: &'static str,
) -> Result<Option<String>, DatabaseError> {
    let row = transaction.query_first("SELECT value FROM cloud_settings WHERE name = $1", values![name])?;
    row.map(|mut row| row.take(0)).transpose()
}

/// Writes a setting.
pub(crate) fn put(
    transaction: &mut Transaction<'_>,
    name: &'static str,
    value: &str,
) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        values![name, value],
    )?;
    Ok(())
}
