//! The document that names a whole software environment: operating system, software, image, context, variables and what
//! is started. Whoever has the document can have the environment again, bit by bit.
//!
//! ```text
//! TOML ──parse──▶ Environment ──to_text──▶ TOML
//!                     │
//!                     ├── canonical form (JSON) ──SHA-256──▶ EnvironmentId
//!                     └── compare ──▶ which parts differ
//! ```
//!
//! Entry type: [`Environment`]. Pure: no I/O, no clock.
//!
//! Invariants:
//! - An [`Environment`] was checked: every name, hash, path and length in it can be.
//! - The id says what the environment is and nothing else: [`Hints`] (where it can be had, what people call it) don't change it.
//! - Writing and reading a document changes neither the environment nor its hints.

mod canonical;
mod compare;
mod environment;
mod id;
mod known_keys;
mod limits;
mod sha256;
mod text;

pub use compare::{Difference, SourceChange, compare};
pub use environment::{
    Architecture, Entry, Environment, EnvironmentError, EnvironmentName, EnvironmentParts, Hints, Image,
    Source,
};
pub use id::{EnvironmentId, IdError, IdPrefix};
pub use sha256::{Sha256, Sha256Error};
pub use text::{LARGEST_DOCUMENT, TextError};
