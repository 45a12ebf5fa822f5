//! The hub's tables and every query of them; one file for each subject.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod contexts;
pub(crate) mod health;
pub(crate) mod invitations;
pub(crate) mod pairings;
pub(crate) mod sessions;
pub(crate) mod tokens;

use varve_chassis::db::{Migration, Schema};

/// The hub's tables.
pub const SCHEMA: Schema = Schema {
    service: "portal",
    migrations: &[
        Migration { name: "accounts", sql: include_str!("db/steps/0001_accounts.sql") },
        Migration { name: "contexts", sql: include_str!("db/steps/0002_contexts.sql") },
        Migration { name: "pairings", sql: include_str!("db/steps/0003_pairings.sql") },
    ],
    tables: &[
        "accounts",
        "sessions",
        "api_tokens",
        "invitations",
        "audit",
        "contexts",
        "context_versions",
        "context_readers",
        "pairings",
    ],
};
