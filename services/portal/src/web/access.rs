//! What it takes to use a route.

use crate::accounts::Role;
use crate::caller::{Caller, Proof};
use crate::error::HubError;

/// Who may use a route. Whose the things are that it is about is checked where it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever has at least this role, by a session or a token.
    Role(Role),
    /// The same, by a session only: what a stolen token must not do.
    Session(Role),
}

/// What a route answers, and what that means for failures and forged requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A page: a failure is one too, and who has to sign in is led there.
    Page,
    /// A form of a page, which carries its session's mark.
    Form,
    /// JSON for programs and for the pages' scripts.
    Api,
    /// A file, or something for machines that need no account.
    Plain,
}

impl Access {
    /// Whether a caller may.
    pub(crate) fn check(self, caller: &Caller) -> Result<(), HubError> {
        let (Self::Role(role) | Self::Session(role)) = self else { return Ok(()) };
        if caller.account()?.role < role {
            return Err(HubError::Forbidden(match role {
                Role::Reader | Role::User => {
                    "your account may only look: ask an administrator for the role of a user"
                }
                Role::Operator => "only operators do that",
                Role::Administrator => "only administrators do that",
            }));
        }
        if matches!(self, Self::Session(_)) && !matches!(caller.proof, Proof::Session(_)) {
            return Err(HubError::Forbidden("that is done in a browser, not with an API token"));
        }
        Ok(())
    }
}
