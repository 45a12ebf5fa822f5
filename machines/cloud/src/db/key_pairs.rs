//! Records of key pairs. Private keys are never recorded.

use varve_chassis::db::{DatabaseError, Row, Transaction};
use varve_chassis::values;

use super::damaged;
use crate::account::AccountId;
use crate::key_pair::KeyPair;

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, owner, name, kind, fingerprint, public_key, created FROM cloud_key_pairs ", $rest)
    };
}

/// Writes a new one.
pub(crate) fn insert(transaction: &mut Transaction<'_>, pair: &KeyPair) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_key_pairs (id, owner, name, kind, fingerprint, public_key, created) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        values![&pair.id, &pair.owner, &pair.name, pair.kind.as_str(), &pair.fingerprint, &pair.public_key, pair.created],
    )?;
    Ok(())
}

/// Those of an owner, by name.
pub(crate) fn of_owner(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
) -> Result<Vec<KeyPair>, DatabaseError> {
    transaction
        .query(select!("WHERE owner = $1 ORDER BY name"), values![owner])?
        .into_iter()
        .map(read)
        .collect()
}

/// The one of a name.
pub(crate) fn named(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
    name: &str,
) -> Result<Option<KeyPair>, DatabaseError> {
    transaction
        .query_first(select!("WHERE owner = $1 AND name = $2"), values![owner, name])?
        .map(read)
        .transpose()
}

/// Removes one.
pub(crate) fn delete(transaction: &mut Transaction<'_>, pair: &KeyPair) -> Result<(), DatabaseError> {
    transaction.execute("DELETE FROM cloud_key_pairs WHERE id = $1", values![&pair.id])?;
    Ok(())
}

fn read(mut row: Row) -> Result<KeyPair, DatabaseError> {
    Ok(KeyPair {
        id: row.take::<String>(0)?.parse().map_err(|_| damaged("a key pair's id"))?,
        owner: AccountId::new(&row.take::<String>(1)?).map_err(|_| damaged("an owner"))?,
        name: row.take(2)?,
        kind: row.take::<String>(3)?.parse().map_err(|_| damaged("a kind of key"))?,
        fingerprint: row.take(4)?,
        public_key: row.take(5)?,
        created: row.take(6)?,
    })
}
