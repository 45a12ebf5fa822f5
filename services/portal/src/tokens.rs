//! API tokens: what programs show instead of a password. They can do what their account can, until they expire or are revoked;
//! they can't make tokens or change the account.

use crate::accounts::Account;
use crate::audit::Action;
use crate::caller::Caller;
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::{SecretText, TokenId};

/// How a token begins, so that it is known when it is found where it shouldn't be.
pub const PREFIX: &str = "varve_";
/// The most that a list shows, and that an account has.
const LIST: u32 = 200;
const DAY: i64 = 86_400_000;
/// How exactly its use is noted.
const NOTED: i64 = 5 * 60_000;

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct ApiToken {
    /// Which one.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// Since when, milliseconds of Unix.
    pub created: i64,
    /// Until when.
    pub expires: Option<i64>,
    /// When it was used last.
    pub used: Option<i64>,
}

impl Hub {
    /// Makes a token; its text is shown once.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn create_token(
        &self,
        caller: &Caller,
        name: &str,
        days: Option<u16>,
    ) -> Result<String, HubError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(HubError::invalid("name", "say in 1 to 100 characters what the token is for"));
        }
        let account = caller.account()?.id.clone();
        let secret = SecretText::generate();
        let token = ApiToken {
            id: TokenId::generate(),
            name: name.to_owned(),
            created: caller.time,
            expires: days.filter(|days| *days > 0).map(|days| caller.time + i64::from(days) * DAY),
            used: None,
        };
        let (caller, kept) = (caller.clone(), secret.clone());
        self.database()
            .write(move |transaction| {
                if db::tokens::list(transaction, &account, LIST)?.len() as u32 >= LIST {
                    return Err(HubError::Conflict(format!("you have {LIST} tokens: revoke some first")));
                }
                db::tokens::insert(transaction, &token, &account, &kept)?;
                Ok(caller.actor().did(transaction, Action::TokenCreated, &token.name)?)
            })
            .await?;
        Ok(format!("{PREFIX}{}", secret.as_str()))
    }

    /// The caller's tokens.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<ApiToken>, HubError> {
        let account = caller.account()?.id.clone();
        self.database().read(move |transaction| Ok(db::tokens::list(transaction, &account, LIST)?)).await
    }

    /// Revokes one of the caller's tokens.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn revoke_token(&self, caller: &Caller, id: &TokenId) -> Result<(), HubError> {
        let account = caller.account()?.id.clone();
        let (caller, id) = (caller.clone(), id.clone());
        self.database()
            .write(move |transaction| {
                if !db::tokens::delete(transaction, &account, &id)? {
                    return Err(HubError::NotFound("token"));
                }
                Ok(caller.actor().did(transaction, Action::TokenRevoked, id.as_str())?)
            })
            .await
    }

    /// Whose token it is, if it still is one.
    pub(crate) async fn token(&self, text: &str, now: i64) -> Result<Option<Account>, HubError> {
        let Some(secret) = text.strip_prefix(PREFIX).map(SecretText::shown) else { return Ok(None) };
        let found = self
            .database()
            .read(move |transaction| Ok::<_, HubError>(db::tokens::find(transaction, &secret, now)?))
            .await?;
        let Some((account, id, used)) = found else { return Ok(None) };
        if used.is_none_or(|used| now - used > NOTED) {
            self.database()
                .write(move |transaction| Ok::<_, HubError>(db::tokens::touch(transaction, &id, now)?))
                .await?;
        }
        Ok(Some(account))
    }
}
