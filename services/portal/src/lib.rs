//! The hub: accounts, contexts, pairing of machines, and the pages of all services.
//!
//! ```text
//!  request ──▶ web: who asks, may they ──▶ api (JSON) or pages (HTML) ──▶ Hub: what is done ──▶ db: queries
//! ```
//!
//! - [`Hub`] does everything; its methods are in the module of their subject ([`accounts`], [`sessions`], [`tokens`],
//!   [`contexts`], [`pairing`], [`audit`]). Each of them checks whose a thing is.
//! - [`web::router`] puts HTTP in front of it. Every route stands in one table with what it takes to use it; nothing is
//!   answered that isn't in the table.
//!
//! Invariants: what is answered with success is on the disk; secrets are kept as hashes; no text of users reaches a page but
//! through the escaping of the templates; pages run no script but the hub's own files.

pub mod accounts;
mod api;
pub mod audit;
mod caller;
pub mod contexts;
mod db;
mod error;
mod hub;
mod ids;
mod pages;
pub mod pairing;
pub mod sessions;
pub mod tokens;
pub mod web;

pub use caller::Caller;
pub use db::SCHEMA;
pub use error::HubError;
pub use hub::{Hub, HubConfig};
pub use ids::{AccountId, ContextId, EntryId, IdError, PairingId, SecretText, TokenId};
