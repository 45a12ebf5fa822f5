//! Why the hub doesn't do what it is asked to. What becomes of that in HTTP is in `web/problem.rs`.

use varve_chassis::TooMany;
use varve_chassis::db::DatabaseError;

/// A refusal or a failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HubError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It isn't there, or not for whoever asks.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Only who has signed in may do that.
    #[error("sign in first")]
    SignInNeeded,
    /// Name and password don't go together, or the account is disabled.
    #[error("that name and that password don't go together")]
    SignInFailed,
    /// Their role doesn't do.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The request comes from a page of somebody else, or one that is too old.
    #[error(
        "this request does not come from a page of this hub, or from one that is too old: load the page again"
    )]
    CrossSite,
    /// A value can't be meant.
    #[error("{reason}")]
    Invalid {
        /// Which field of a form or document.
        field: &'static str,
        /// What is the matter.
        reason: String,
    },
    /// It is there already, or was changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// It was tried too often.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// It is longer than anything that is expected.
    #[error("that is too long: at most {0} bytes are taken")]
    TooLong(usize),
}

impl HubError {
    /// A value that can't be meant.
    #[expect(clippy::needless_pass_by_value, reason = "errors and texts are handed over")]
    pub(crate) fn invalid(field: &'static str, reason: impl ToString) -> Self {
        Self::Invalid { field, reason: reason.to_string() }
    }
}
