//! What owners have in use. Kept beside the instances, in the same transactions, so that nobody has to count.

use varve_chassis::db::{DatabaseError, Transaction};
use varve_chassis::values;

use super::unsigned;
use crate::account::AccountId;

/// What an owner has in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Instances that are not terminated.
    pub(crate) instances: u32,
    /// Cores of those that hold some.
    pub(crate) cores: u32,
    /// Their memory, in megabytes.
    pub(crate) memory: u64,
}

/// An owner's.
pub(crate) fn of(transaction: &mut Transaction<'_>, owner: &AccountId) -> Result<Usage, DatabaseError> {
    let sql = "SELECT instances, cores, memory FROM cloud_usage WHERE owner = $1";
    match transaction.query_first(sql, values![owner])? {
        None => Ok(Usage::default()),
        Some(mut row) => Ok(Usage {
            instances: unsigned(row.take(0)?)?,
            cores: unsigned(row.take(1)?)?,
            memory: unsigned(row.take(2)?)?,
        }),
    }
}

/// Adds to, or takes from, an owner's.
pub(crate) fn add(
    transaction: &mut Transaction<'_>,
    owner: &AccountId,
    instances: i64,
    cores: i64,
    memory: i64,
) -> Result<(), DatabaseError> {
    transaction.execute(
        "INSERT INTO cloud_usage (owner, instances, cores, memory) VALUES ($1, $2, $3, $4) ON CONFLICT (owner) DO UPDATE SET \
         instances = cloud_usage.instances + excluded.instances, cores = cloud_usage.cores + excluded.cores, \
         memory = cloud_usage.memory + excluded.memory",
        values![owner, instances, cores, memory],
    )?;
    Ok(())
}
