//! Records of hosts.

use varve_chassis::db::{DatabaseError, Row, Transaction};
use varve_chassis::values;

use super::{damaged, signed, unsigned};
use crate::host::Host;
use crate::id::HostId;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, zone, version, cores, memory, taken_cores, taken_memory, joined, heard, revision FROM cloud_hosts ",
            $rest
        )
    };
}

/// Writes a new one.
pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    host: &Host,
    token_digest: &str,
) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_hosts (id, name, token_digest, zone, version, cores, memory, taken_cores, taken_memory, joined, heard, \
         revision) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9, 1)",
        values![
            &host.id,
            &host.name,
            token_digest,
            &host.zone,
            &host.version,
            host.cores,
            signed(host.memory),
            host.joined,
            host.heard,
        ],
    )?;
    Ok(())
}

/// All that have not been removed, by name.
pub(crate) fn all(transaction: &mut Transaction<'_>) -> Result<Vec<Host>, DatabaseError> {
    transaction
        .query(select!("WHERE removed IS NULL ORDER BY name, id"), &[])?
        .into_iter()
        .map(read)
        .collect()
}

/// Which host a token is of.
pub(crate) fn of_token(
    transaction: &mut Transaction<'_>,
    digest: &str,
) -> Result<Option<Host>, DatabaseError> {
    let sql = select!("WHERE token_digest = $1 AND removed IS NULL");
    transaction.query_first(sql, values![digest])?.map(read).transpose()
}

/// One.
pub(crate) fn find(transaction: &mut Transaction<'_>, id: &HostId) -> Result<Option<Host>, DatabaseError> {
    transaction.query_first(select!("WHERE id = $1 AND removed IS NULL"), values![id])?.map(read).transpose()
}

/// It was heard of, and this is what it has.
pub(crate) fn heard(transaction: &mut Transaction<'_>, host: &Host) -> Result<(), DatabaseError> {
    transaction.execute(
        "UPDATE cloud_hosts SET heard = $2, cores = $3, memory = $4, version = $5 WHERE id = $1",
        values![&host.id, host.heard, host.cores, signed(host.memory), &host.version],
    )?;
    Ok(())
}

/// Takes cores and memory of one, or gives them back, and lets it know that something is new.
pub(crate) fn take(
    transaction: &mut Transaction<'_>,
    id: &HostId,
    cores: i64,
    memory: i64,
) -> Result<(), DatabaseError> {
    transaction.execute(
        "UPDATE cloud_hosts SET taken_cores = taken_cores + $2, taken_memory = taken_memory + $3, revision = revision + 1 \
         WHERE id = $1",
        values![id, cores, memory],
    )?;
    Ok(())
}

/// Lets one know that something is new.
pub(crate) fn touch(transaction: &mut Transaction<'_>, id: &HostId) -> Result<(), DatabaseError> {
    transaction.execute("UPDATE cloud_hosts SET revision = revision + 1 WHERE id = $1", values![id])?;
    Ok(())
}

/// The number that tells whether something is new for one.
pub(crate) fn revision(transaction: &mut Transaction<'_>, id: &HostId) -> Result<i64, DatabaseError> {
    let row = transaction.query_first("SELECT revision FROM cloud_hosts WHERE id = $1", values![id])?;
    row.map_or(Ok(0), |mut row| row.take(0))
}

/// One is gone for good; its token is good for nothing.
pub(crate) fn remove(transaction: &mut Transaction<'_>, id: &HostId, now: i64) -> Result<(), DatabaseError> {
    transaction.execute("UPDATE cloud_hosts SET removed = $2 WHERE id = $1", values![id, now])?;
    Ok(())
}

fn read(mut row: Row) -> Result<Host, DatabaseError> {
    Ok(Host {
        id: row.take::<String>(0)?.parse().map_err(|_| damaged("a host's id"))?,
        name: row.take(1)?,
        zone: row.take(2)?,
        version: row.take(3)?,
        cores: unsigned(row.take(4)?)?,
        memory: unsigned(row.take(5)?)?,
        taken_cores: unsigned(row.take(6)?)?,
        taken_memory: unsigned(row.take(7)?)?,
        joined: row.take(8)?,
        heard: row.take(9)?,
        revision: row.take(10)?,
    })
}
