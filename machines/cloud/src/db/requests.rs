//! Tokens of requests that make something: the same request again is answered as the first was.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use super::damaged;
use crate::account::AccountId;
use crate::id::ReservationId;

/// What a token was used for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Of all parameters.
    pub(crate) digest: String,
    /// What it made.
    pub(crate) reservation: ReservationId,
}

/// What a token was used for, if it was.
pub(crate) fn find(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
    token: &str,
) -> Result<Option<Request>, DatabaseError> {
    let sql = "SELECT digest, reservation FROM cloud_requests WHERE owner = $1 AND token = $2";
    let Some(mut row) = transaction.query_first(sql, values![owner, token])? else { return Ok(None) };
    let reservation = row.take::<String>(1)?.parse().map_err(|_| damaged("a reservation's id"))?;
    Ok(Some(Request { digest: row.take(0)?, reservation }))
}

/// Remembers what a token was used for.
pub(crate) fn insert(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
    token: &str,
    request: &Request,
    now: i64,
) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_requests (owner, token, digest, reservation, made) VALUES ($1, $2, $3, $4, $5)",
        values![owner, token, &request.digest, &request.reservation, now],
    )?;
    Ok(())
}

/// Forgets the tokens from before a time.
pub(crate) fn forget(transaction: &mut Transaction<'_>, before: i64) -> Result<u64, DatabaseError> {
    transaction.execute("DELETE FROM cloud_requests WHERE made < $1", values![before])
}
