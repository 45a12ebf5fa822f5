//! Accounts.

use varve_chassis::db::{DatabaseError, Row, Transaction};
use varve_chassis::values;

use crate::accounts::{Account, AccountName, PasswordHash, Role};
use crate::ids::AccountId;

/// A name or role in a row that this version doesn't know.
#[expect(clippy::needless_pass_by_value, reason = "what a conversion failed with is handed over")]
fn unreadable(what: impl ToString) -> DatabaseError {
    DatabaseError::Refused { reason: what.to_string() }
}

pub(super) fn account(row: &mut Row, first: usize) -> Result<Account, DatabaseError> {
    Ok(Account {
        id: row.take(first)?,
        name: row.take::<String>(first + 1)?.parse().map_err(unreadable)?,
        role: row.take::<String>(first + 2)?.parse().map_err(unreadable)?,
        disabled: row.take(first + 3)?,
        created: row.take(first + 4)?,
    })
}

pub(crate) fn count(transaction: &mut Transaction<'_>) -> Result<i64, DatabaseError> {
    let row = transaction.query_first("SELECT count(*) FROM accounts", &[])?;
    row.map_or(Ok(0), |mut row| row.take(0))
}

/// How many could still administrate.
pub(crate) fn administrators(transaction: &mut Transaction<'_>) -> Result<i64, DatabaseError> {
    let sql = "SELECT count(*) FROM accounts WHERE role = 'administrator' AND NOT disabled";
    transaction.query_first(sql, &[])?.map_or(Ok(0), |mut row| row.take(0))
}

/// Makes an account, unless one of that name is there.
pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    account: &Account,
    password: &PasswordHash,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO accounts (id, name, role, password, disabled, created) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let values = values![
        &account.id,
        account.name.as_str(),
        account.role.as_str(),
        password.as_str(),
        account.disabled,
        account.created
    ];
    Ok(transaction.execute(sql, values)? == 1)
}

pub(crate) fn by_id(
    transaction: &mut Transaction<'_>,
    id: &AccountId,
) -> Result<Option<Account>, DatabaseError> {
    let sql = "SELECT id, name, role, disabled, created FROM accounts WHERE id = $1";
    transaction.query_first(sql, values![id])?.map(|mut row| account(&mut row, 0)).transpose()
}

pub(crate) fn by_name(
    transaction: &mut Transaction<'_>,
    name: &AccountName,
) -> Result<Option<(Account, PasswordHash)>, DatabaseError> {
    let sql = "SELECT id, name, role, disabled, created, password FROM accounts \
               WHERE name = $1";
    let Some(mut row) = transaction.query_first(sql, values![name.as_str()])? else { return Ok(None) };
    let password = PasswordHash::kept(row.take(5)?);
    Ok(Some((account(&mut row, 0)?, password)))
}

/// All, by name.
pub(crate) fn list(transaction: &mut Transaction<'_>, limit: u32) -> Result<Vec<Account>, DatabaseError> {
    let sql = "SELECT id, name, role, disabled, created FROM accounts \
               ORDER BY name LIMIT $1";
    transaction.query(sql, values![limit])?.iter_mut().map(|row| account(row, 0)).collect()
}

pub(crate) fn set_role(
    transaction: &mut Transaction<'_>,
    id: &AccountId,
    role: Role,
) -> Result<(), DatabaseError> {
    transaction.execute("UPDATE accounts SET role = $2 WHERE id = $1", values![id, role.as_str()]).map(|_| ())
}

pub(crate) fn set_disabled(
    transaction: &mut Transaction<'_>,
    id: &AccountId,
    disabled: bool,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE accounts SET disabled = $2 WHERE id = $1";
    transaction.execute(sql, values![id, disabled]).map(|_| ())
}

pub(crate) fn set_password(
    transaction: &mut Transaction<'_>,
    id: &AccountId,
    password: &PasswordHash,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE accounts SET password = $2 WHERE id = $1";
    transaction.execute(sql, values![id, password.as_str()]).map(|_| ())
}
