//! Whose a request is, and how much they may have. Who that is is known elsewhere: the program implements [`Accounts`].

use futures_util::future::BoxFuture;

/// An account of the service that people sign in at, as it is written in records and answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(String);

/// Text that is no account's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account's id has 1 to 64 letters, digits, dashes and underscores")]
pub struct AccountIdError;

impl AccountId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`AccountIdError`].
    pub fn new(text: &str) -> Result<Self, AccountIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(AccountIdError);
        }
        Ok(Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&AccountId> for varve_chassis::db::Value {
    fn from(id: &AccountId) -> Self {
        Self::from(id.as_str())
    }
}

/// What an account may have at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Instances that are not terminated.
    pub instances: u32,
    /// Cores of those that are not stopped either.
    pub cores: u32,
    /// Memory of the same, in megabytes.
    pub memory: u64,
}

/// An account that signs requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which one.
    pub id: AccountId,
    /// Whether it looks after the cloud: its images are everybody's.
    pub operator: bool,
    /// What it may have.
    pub quota: Quota,
}

/// An access key. `Debug` doesn't show the secret.
#[derive(Clone)]
pub struct AccessKey {
    /// What requests are signed with.
    pub secret: String,
    /// What must come with it, if it lasts only for a while.
    pub session_token: Option<String>,
    /// Whose it is.
    pub account: Account,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("account", &self.account).finish_non_exhaustive()
    }
}

/// That nobody can be asked about keys now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access keys can't be looked up: {0}")]
pub struct AccountsUnavailable(pub String);

/// Who knows access keys.
pub trait Accounts: Send + Sync + 'static {
    /// The key with this id, if there is one that is good now.
    fn access_key<'a>(
        &'a self,
        key_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<AccessKey>, AccountsUnavailable>>;
}
