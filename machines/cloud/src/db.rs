//! The tables of the cloud, and every statement on them. One file for each thing that is recorded.

pub(crate) mod consoles;
pub(crate) mod hosts;
pub(crate) mod images;
pub(crate) mod instances;
pub(crate) mod key_pairs;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod tags;
pub(crate) mod usage;

use varve_chassis::db::{DatabaseError, Migration, Schema};

/// The tables, for [`varve_chassis::db::Database::open`].
pub const SCHEMA: Schema = Schema {
    service: "cloud",
    migrations: &[Migration { name: "first", sql: include_str!("db/first.sql") }],
    tables: &[
        "cloud_settings",
        "cloud_hosts",
        "cloud_images",
        "cloud_key_pairs",
        "cloud_instances",
        "cloud_tags",
        "cloud_requests",
        "cloud_consoles",
        "cloud_usage",
    ],
};

/// For words of a record that were checked when they were written.
pub(crate) fn damaged(what: &str) -> DatabaseError {
    DatabaseError::Refused { reason: format!("a record of the cloud is damaged: {what}") }
}

/// A number of a record that is never negative.
pub(crate) fn unsigned<T: TryFrom<i64>>(number: i64) -> Result<T, DatabaseError> {
    T::try_from(number).map_err(|_| damaged("a number"))
}

/// A number for a record.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
