//! API tokens.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use super::accounts::account;
use crate::accounts::Account;
use crate::ids::{AccountId, SecretText, TokenId};
use crate::tokens::ApiToken;

pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    token: &ApiToken,
    account: &AccountId,
    secret: &SecretText,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO api_tokens (id, account, name, secret, created, expires, used) \
               VALUES ($1, $2, $3, $4, $5, $6, NULL)";
    let values = values![&token.id, account, &token.name, secret.hash(), token.created, token.expires];
    transaction.execute(sql, values).map(|_| ())
}

/// Whose token it is, which one, and when it was used last.
pub(crate) fn find(
    transaction: &mut Transaction<'_>,
    secret: &SecretText,
    now: i64,
) -> Result<Option<(Account, TokenId, Option<i64>)>, DatabaseError> {
    let sql = "SELECT a.id, a.name, a.role, a.disabled, a.created, t.id, t.used \
               FROM api_tokens t JOIN accounts a ON a.id = t.account \
               WHERE t.secret = $1 AND NOT a.disabled AND (t.expires IS NULL OR t.expires > $2)";
    let row = transaction.query_first(sql, values![secret.hash(), now])?;
    row.map(|mut row| Ok((account(&mut row, 0)?, row.take(5)?, row.take(6)?))).transpose()
}

pub(crate) fn touch(transaction: &mut Transaction<'_>, id: &TokenId, now: i64) -> Result<(), DatabaseError> {
    transaction.execute("UPDATE api_tokens SET used = $2 WHERE id = $1", values![id, now]).map(|_| ())
}

pub(crate) fn list(
    transaction: &mut Transaction<'_>,
    account: &AccountId,
    limit: u32,
) -> Result<Vec<ApiToken>, DatabaseError> {
    let sql = "SELECT id, name, created, expires, used FROM api_tokens WHERE account = $1 \
               ORDER BY created DESC LIMIT $2";
    let rows = transaction.query(sql, values![account, limit])?;
    let token = |mut row: varve_chassis::db::Row| {
        Ok(ApiToken {
            id: row.take(0)?,
            name: row.take(1)?,
            created: row.take(2)?,
            expires: row.take(3)?,
            used: row.take(4)?,
        })
    };
    rows.into_iter().map(token).collect()
}

/// Revokes one of an account's tokens; `false` if it has no such token.
pub(crate) fn delete(
    transaction: &mut Transaction<'_>,
    account: &AccountId,
    id: &TokenId,
) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM api_tokens WHERE id = $1 AND account = $2";
    Ok(transaction.execute(sql, values![id, account])? == 1)
}
