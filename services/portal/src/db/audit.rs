//! The audit log.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use crate::audit::{Action, Actor, Entry};
use crate::ids::EntryId;

pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    id: &EntryId,
    actor: &Actor,
    action: Action,
    object: &str,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO audit (time, id, actor, address, action, object) VALUES ($1, $2, $3, $4, $5, $6)";
    let address = actor.address.to_string();
    transaction
        .execute(sql, values![actor.time, id, &actor.name, address, action.as_str(), object])
        .map(|_| ())
}

/// The latest entries before a time, of one actor or of all.
pub(crate) fn list(
    transaction: &mut Transaction<'_>,
    actor: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<Entry>, DatabaseError> {
    let sql = "SELECT time, id, actor, address, action, object FROM audit \
               WHERE time < $1 AND ($2 = '' OR actor = $2) ORDER BY time DESC, id DESC LIMIT $3";
    let rows = transaction.query(sql, values![before, actor, limit])?;
    let entry = |mut row: varve_chassis::db::Row| {
        Ok(Entry {
            time: row.take(0)?,
            id: row.take(1)?,
            actor: row.take(2)?,
            address: row.take(3)?,
            action: row.take(4)?,
            object: row.take(5)?,
        })
    };
    rows.into_iter().map(entry).collect()
}
