//! Sessions.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use super::accounts::account;
use crate::accounts::Account;
use crate::ids::{AccountId, SecretText};

pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    token: &SecretText,
    account: &AccountId,
    address: &str,
    now: i64,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO sessions (token, account, created, seen, address) VALUES ($1, $2, $3, $3, $4)";
    transaction.execute(sql, values![token.hash(), account, now, address]).map(|_| ())
}

/// Whose session it is, and when it was seen last, if it began and was seen late enough.
pub(crate) fn find(
    transaction: &mut Transaction<'_>,
    token: &SecretText,
    begun_after: i64,
    seen_after: i64,
) -> Result<Option<(Account, i64)>, DatabaseError> {
    let sql = "SELECT a.id, a.name, a.role, a.disabled, a.created, s.seen \
               FROM sessions s JOIN accounts a ON a.id = s.account \
               WHERE s.token = $1 AND s.created > $2 AND s.seen > $3 AND NOT a.disabled";
    let row = transaction.query_first(sql, values![token.hash(), begun_after, seen_after])?;
    row.map(|mut row| Ok((account(&mut row, 0)?, row.take(5)?))).transpose()
}

pub(crate) fn touch(
    transaction: &mut Transaction<'_>,
    token: &SecretText,
    now: i64,
) -> Result<(), DatabaseError> {
    transaction
        .execute("UPDATE sessions SET seen = $2 WHERE token = $1", values![token.hash(), now])
        .map(|_| ())
}

pub(crate) fn delete(transaction: &mut Transaction<'_>, token: &SecretText) -> Result<(), DatabaseError> {
    transaction.execute("DELETE FROM sessions WHERE token = $1", values![token.hash()]).map(|_| ())
}

/// All of an account but one.
pub(crate) fn delete_others(
    transaction: &mut Transaction<'_>,
    account: &AccountId,
    kept: Option<&SecretText>,
) -> Result<(), DatabaseError> {
    let kept = kept.map_or(String::new(), SecretText::hash);
    let sql = "DELETE FROM sessions WHERE account = $1 AND token <> $2";
    transaction.execute(sql, values![account, kept]).map(|_| ())
}

pub(crate) fn delete_old(
    transaction: &mut Transaction<'_>,
    begun_before: i64,
    seen_before: i64,
) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM sessions WHERE created < $1 OR seen < $2";
    transaction.execute(sql, values![begun_before, seen_before]).map(|_| ())
}
