//! Contextualization: a machine becomes what its user data says.
//!
//! ```text
//! bytes ──read──▶ Document (typed sections) ──plan──▶ Plan (ordered actions) ──apply──▶ a root directory, a Report
//!        └ notices: what is wrong or unknown, with its place
//! ```
//!
//! - [`read`] accepts every form of user data: Varve's own in TOML or YAML, cloud-config, the blocks of µCernVM, amiconfig's
//!   INI, scripts, multipart mixes, compressed or in base64. It is pure, and bounded in everything.
//! - [`Document`] is one typed section for each subject; each section is a file in `sections` that knows its keys, how two of
//!   it are merged, and what it does to a root directory.
//! - [`Plan`] is a list of typed actions. No text of a document reaches a shell or a configuration file but through a checked
//!   type ([`text`]) or the quoting of the kind of file that it goes to.
//! - [`Plan::apply`] does it beneath a root directory, runs no program, follows no link out of it, and doing it twice is as
//!   doing it once.

mod apply;
mod delivery;
mod document;
mod explain;
mod place;
mod plan;
mod protection;
mod quote;
mod read;
mod schema;
mod seal;
mod secret;
pub mod sections;
pub mod text;
mod value;

pub use apply::{ApplyError, Outcome, Report};
pub use delivery::{DeliveryError, MachineKey, MachinePair};
pub use document::Document;
pub use explain::explain;
pub use place::{Notice, Place, Severity};
pub use plan::{Action, Content, Group, Placement, Plan, PlannedFile, Stage, Step, UnitState, User};
pub use protection::{ProtectionError, protect, unprotect};
pub use read::{Context, Mapping, Reference, read, read_hepix, read_network};
pub use schema::schema;
pub use seal::{Identity, Recipient, SealError};
pub use secret::Secret;
