//! The audit log: who did what, when and from where. An entry is written together with what it tells of.

use std::net::IpAddr;

use varve_chassis::db::{DatabaseError, Transaction};

use crate::db;
use crate::ids::EntryId;

macro_rules! actions {
    ($($name:ident = $text:literal: $meaning:literal;)*) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $(#[doc = $meaning] $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in the log.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

actions! {
    SignedUp = "account.sign-up": "an account was made";
    SignedIn = "session.begin": "somebody signed in";
    SignInFailed = "session.refused": "somebody failed to sign in";
    SignedOut = "session.end": "somebody signed out";
    PasswordChanged = "account.password": "a password was changed; all other sessions ended";
    RoleChanged = "account.role": "an account got another role";
    AccountDisabled = "account.disable": "an account was disabled; its sessions ended";
    AccountEnabled = "account.enable": "an account may sign in again";
    Invited = "invitation.create": "an invitation was made";
    TokenCreated = "token.create": "an API token was made";
    TokenRevoked = "token.revoke": "an API token was revoked";
    ContextCreated = "context.create": "a context was made";
    ContextChanged = "context.change": "a context got a new version";
    ContextDescribed = "context.describe": "name, description or visibility of a context changed";
    ContextDeleted = "context.delete": "a context was deleted with all its versions";
    ContextFetched = "context.fetch": "a machine fetched its context";
    PairingGuessed = "pairing.refused": "somebody typed a PIN that no machine shows";
    PairingApproved = "pairing.approve": "a machine was given a context";
    PairingDenied = "pairing.deny": "a machine was refused";
}

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Their name; `-` for nobody who is known.
    pub name: String,
    /// From where.
    pub address: IpAddr,
    /// When, milliseconds of Unix.
    pub time: i64,
}

impl Actor {
    /// Writes into the log that they did it.
    pub(crate) fn did(
        &self,
        transaction: &mut Transaction<'_>,
        action: Action,
        object: &str,
    ) -> Result<(), DatabaseError> {
        let object: String = object.chars().filter(|c| !c.is_control()).take(200).collect();
        db::audit::insert(transaction, &EntryId::generate(), self, action, &object)
    }
}

/// An entry, as it is read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Entry {
    /// When, milliseconds of Unix.
    pub time: i64,
    /// Which one.
    pub id: EntryId,
    /// Who.
    pub actor: String,
    /// From where.
    pub address: String,
    /// What.
    pub action: String,
    /// Of what.
    pub object: String,
}
