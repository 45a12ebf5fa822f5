//! Invitations, the first of them being the code that the program prints.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use crate::accounts::Role;
use crate::ids::SecretText;

pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    secret: &SecretText,
    role: Role,
    now: i64,
    expires: i64,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO invitations (secret, role, created, expires) VALUES ($1, $2, $3, $4)";
    transaction.execute(sql, values![secret.hash(), role.as_str(), now, expires]).map(|_| ())
}

/// Uses one up, and says for which role it was.
pub(crate) fn take(
    transaction: &mut Transaction<'_>,
    secret: &SecretText,
    now: i64,
) -> Result<Option<Role>, DatabaseError> {
    let sql = "DELETE FROM invitations WHERE secret = $1 AND expires > $2 RETURNING role";
    let row = transaction.query_first(sql, values![secret.hash(), now])?;
    Ok(row.map(|mut row| row.take::<String>(0)).transpose()?.and_then(|role| role.parse().ok()))
}

/// Nobody is an administrator yet: earlier codes for that don't count any more.
pub(crate) fn forget(transaction: &mut Transaction<'_>, role: Role) -> Result<(), DatabaseError> {
    transaction.execute("DELETE FROM invitations WHERE role = $1", values![role.as_str()]).map(|_| ())
}
