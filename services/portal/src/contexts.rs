//! Contexts: what machines can be told to become, in versions, each of them whole.
//!
//! A context belongs to an account. It is private, shared with some accounts, or public; a template is one that others are made
//! from. Its content is user data of any form that a machine reads, or, where its owner protects it, the same encrypted by a
//! secret that the hub never sees: then the hub can neither check nor preview it.

mod checked;
mod editing;
mod import;
mod reading;

pub use checked::{Checked, check, is_protected};
pub use editing::{ContextDraft, Description};
pub use import::import;
pub use reading::Difference;

use crate::ids::{AccountId, ContextId};

/// The most bytes of a context.
pub const MOST_BYTES: usize = 1 << 20;
/// The most contexts of an account.
pub const MOST_CONTEXTS: i64 = 1000;

/// A context, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Context {
    /// Which one.
    pub id: ContextId,
    /// Whose.
    #[serde(skip)]
    pub owner: AccountId,
    /// What they are called.
    #[serde(rename = "owner")]
    pub owner_name: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// Whether others are to be made from it.
    pub template: bool,
    /// Whether it is encrypted by a secret of its owner's.
    pub protected: bool,
    /// Its newest version.
    pub version: i64,
    /// Since when it is, milliseconds of Unix.
    pub created: i64,
    /// When it was changed, milliseconds of Unix.
    pub changed: i64,
}

/// One state of a context.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Version {
    /// Counted from 1.
    pub number: i64,
    /// The user data; empty in lists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// What was changed, as its author says it.
    pub note: String,
    /// Who made it.
    pub author: String,
    /// When, milliseconds of Unix.
    pub created: i64,
}

/// Who may read a context.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Its owner.
    #[default]
    Private,
    /// Those whom its owner names.
    Shared,
    /// Everybody.
    Public,
}

impl Visibility {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Private, Self::Shared, Self::Public];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::Public => "public",
        }
    }
}

impl std::str::FromStr for Visibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|visibility| visibility.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is none of private, shared, public"))
    }
}
