//! Pairings.

use varve_chassis::db::{DatabaseError, Row, Transaction};
use varve_chassis::values;

use crate::ids::{AccountId, ContextId, PairingId, SecretText};
use crate::pairing::{Pairing, Pin, State};

fn pairing(mut row: Row) -> Result<Pairing, DatabaseError> {
    let unreadable = |reason: String| DatabaseError::Refused { reason };
    let (pin, state): (String, String) = (row.take(1)?, row.take(7)?);
    let facts: String = row.take(3)?;
    Ok(Pairing {
        id: row.take(0)?,
        pin: pin.parse().map_err(|_| unreadable("no PIN".to_owned()))?,
        machine_key: row.take(2)?,
        facts: serde_json::from_str(&facts).map_err(|error| unreadable(error.to_string()))?,
        address: row.take(4)?,
        created: row.take(5)?,
        expires: row.take(6)?,
        state: state.parse().map_err(unreadable)?,
        context: row.take(8)?,
        version: row.take(9)?,
        sealed: row.take(10)?,
        decided: row.take(11)?,
    })
}

/// Makes one, unless its PIN is in use.
pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    device: &SecretText,
    pairing: &Pairing,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO pairings (id, device, pin, machine_key, facts, address, created, expires, state) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    let facts = serde_json::to_string(&pairing.facts).unwrap_or_default();
    let values = values![
        &pairing.id,
        device.hash(),
        pairing.pin.as_str(),
        &pairing.machine_key,
        facts,
        &pairing.address,
        pairing.created,
        pairing.expires,
        pairing.state.as_str()
    ];
    Ok(transaction.execute(sql, values)? == 1)
}

pub(crate) fn by_device(
    transaction: &mut Transaction<'_>,
    device: &SecretText,
) -> Result<Option<Pairing>, DatabaseError> {
    let sql = "SELECT id, pin, machine_key, facts, address, created, expires, state, context, version, sealed, \
               decided FROM pairings WHERE device = $1";
    transaction.query_first(sql, values![device.hash()])?.map(pairing).transpose()
}

/// The one that waits under a PIN.
pub(crate) fn waiting(
    transaction: &mut Transaction<'_>,
    pin: &Pin,
    now: i64,
) -> Result<Option<Pairing>, DatabaseError> {
    let sql = "SELECT id, pin, machine_key, facts, address, created, expires, state, context, version, sealed, \
               decided FROM pairings WHERE pin = $1 AND expires > $2 AND state = 'waiting'";
    transaction.query_first(sql, values![pin.as_str(), now])?.map(pairing).transpose()
}

/// Decides about one that waits; `false` if somebody did already.
pub(crate) fn decide(
    transaction: &mut Transaction<'_>,
    id: &PairingId,
    state: State,
    account: &AccountId,
    context: Option<(&ContextId, i64, &str)>,
    now: i64,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE pairings SET state = $2, account = $3, context = $4, version = $5, sealed = $6, decided = $7 \
               WHERE id = $1 AND state = 'waiting'";
    let values = values![
        id,
        state.as_str(),
        account,
        context.map(|(id, _, _)| id.as_str()),
        context.map(|(_, version, _)| version),
        context.map(|(_, _, sealed)| sealed),
        now
    ];
    Ok(transaction.execute(sql, values)? == 1)
}

/// The machine has it: what was for it is forgotten. `false` if it had it before.
pub(crate) fn taken(transaction: &mut Transaction<'_>, id: &PairingId) -> Result<bool, DatabaseError> {
    let sql = "UPDATE pairings SET state = 'taken', sealed = NULL WHERE id = $1 AND state = 'approved'";
    Ok(transaction.execute(sql, values![id])? == 1)
}

/// What was decided since a time: who waits for one of them is told.
pub(crate) fn decided_since(
    transaction: &mut Transaction<'_>,
    since: i64,
) -> Result<Vec<PairingId>, DatabaseError> {
    let sql = "SELECT id FROM pairings WHERE decided >= $1 ORDER BY decided LIMIT 10000";
    transaction.query(sql, values![since])?.into_iter().map(|mut row| row.take(0)).collect()
}

/// The machines that an account has paired.
pub(crate) fn of_account(
    transaction: &mut Transaction<'_>,
    account: &AccountId,
    limit: u32,
) -> Result<Vec<Pairing>, DatabaseError> {
    let sql = "SELECT id, pin, machine_key, facts, address, created, expires, state, context, version, NULL, \
               decided FROM pairings WHERE account = $1 ORDER BY decided DESC LIMIT $2";
    transaction.query(sql, values![account, limit])?.into_iter().map(pairing).collect()
}

pub(crate) fn of_id(
    transaction: &mut Transaction<'_>,
    account: &AccountId,
    id: &PairingId,
) -> Result<Option<Pairing>, DatabaseError> {
    let sql = "SELECT id, pin, machine_key, facts, address, created, expires, state, context, version, NULL, \
               decided FROM pairings WHERE id = $1 AND account = $2";
    transaction.query_first(sql, values![id, account])?.map(pairing).transpose()
}

/// How many wait, from one address and in all.
pub(crate) fn count_waiting(
    transaction: &mut Transaction<'_>,
    address: &str,
    now: i64,
) -> Result<(i64, i64), DatabaseError> {
    let sql = "SELECT (SELECT count(*) FROM pairings WHERE state = 'waiting' AND expires > $2 AND address = $1), \
               (SELECT count(*) FROM pairings WHERE state = 'waiting' AND expires > $2)";
    let row = transaction.query_first(sql, values![address, now])?;
    row.map_or(Ok((0, 0)), |mut row| Ok((row.take(0)?, row.take(1)?)))
}

/// Forgets those that nobody decided about, and what was not fetched.
pub(crate) fn delete_old(transaction: &mut Transaction<'_>, before: i64) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM pairings WHERE expires < $1 AND state = 'waiting'";
    transaction.execute(sql, values![before])?;
    let sql = "UPDATE pairings SET sealed = NULL WHERE expires < $1 AND sealed IS NOT NULL";
    transaction.execute(sql, values![before]).map(|_| ())
}
