//! Who asks: somebody who signed in, a program with a token, or nobody who is known.

use std::net::IpAddr;

use crate::accounts::{Account, Role};
use crate::audit::Actor;
use crate::error::HubError;
use crate::ids::{AccountId, SecretText};

/// Who asks for something, from where and when.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom they signed in as.
    pub(crate) account: Option<Account>,
    /// How they proved it.
    pub(crate) proof: Proof,
    /// From where they ask.
    pub address: IpAddr,
    /// When, milliseconds of Unix.
    pub time: i64,
}

/// How somebody proves who they are.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Not at all.
    None,
    /// By a session's cookie.
    Session(SecretText),
    /// By an API token.
    Token,
}

impl Caller {
    /// Nobody who is known.
    pub fn nobody(address: IpAddr, time: i64) -> Self {
        Self { account: None, proof: Proof::None, address, time }
    }

    /// Their account.
    ///
    /// # Errors
    /// [`HubError::SignInNeeded`] if they have none.
    pub fn account(&self) -> Result<&Account, HubError> {
        self.account.as_ref().ok_or(HubError::SignInNeeded)
    }

    pub(crate) fn account_id(&self) -> Option<AccountId> {
        self.account.as_ref().map(|account| account.id.clone())
    }

    /// Whether they may do what a role may.
    pub fn is(&self, role: Role) -> bool {
        self.account.as_ref().is_some_and(|account| account.role >= role)
    }

    /// What they are called; `-` for nobody.
    pub fn name(&self) -> &str {
        self.account.as_ref().map_or("-", |account| account.name.as_str())
    }

    /// What pages must send back to show that they are this session's.
    pub(crate) fn csrf(&self) -> Option<SecretText> {
        match &self.proof {
            Proof::Session(token) => Some(token.derive("csrf")),
            Proof::None | Proof::Token => None,
        }
    }

    pub(crate) fn actor(&self) -> Actor {
        Actor { name: self.name().to_owned(), address: self.address, time: self.time }
    }
}
