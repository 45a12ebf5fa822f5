//! The pages, rendered here; one file for each subject. They work without scripts, but for what only a browser can do:
//! the form of a document, and secrets.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod contexts;
pub(crate) mod dashboard;
mod layout;
pub(crate) mod machines;
pub(crate) mod pairing;
mod parts;
pub(crate) mod problem;
pub(crate) mod sign_in;
pub(crate) mod sign_up;
