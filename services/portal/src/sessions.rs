//! Sessions: from signing in to signing out, kept in a cookie that scripts don't see. Every sign-in begins a new one.

use crate::accounts::{Account, AccountName, Password};
use crate::audit::Action;
use crate::caller::{Caller, Proof};
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::SecretText;

const HOUR: i64 = 3_600_000;
/// How long a session is good for without being used, and at all.
const IDLE: i64 = 24 * HOUR;
const LONGEST: i64 = 14 * 24 * HOUR;
/// How exactly its use is noted.
const NOTED: i64 = 5 * 60_000;

/// Before which times a session has begun, or was used last, that is over.
pub(crate) fn limits(now: i64) -> (i64, i64) {
    (now - LONGEST, now - IDLE)
}

impl Hub {
    /// Begins a session for a name and a password.
    ///
    /// # Errors
    /// [`HubError::SignInFailed`], [`HubError::TooMany`].
    pub async fn sign_in(&self, caller: &Caller, name: &str, password: &str) -> Result<SecretText, HubError> {
        self.budgets().sign_in.spend(caller.address, std::time::Instant::now())?;
        let found = match name.parse::<AccountName>() {
            Ok(name) => {
                self.database()
                    .read(move |transaction| Ok::<_, HubError>(db::accounts::by_name(transaction, &name)?))
                    .await?
            }
            Err(_) => None,
        };
        let (account, hash) = match found {
            Some((account, hash)) => (Some(account), hash),
            None => (None, self.nobody().clone()),
        };
        let password = Password::tried(password);
        let _permit = self.hashing().acquire().await.map_err(|_| HubError::SignInFailed)?;
        let fits = tokio::task::spawn_blocking(move || hash.is_of(&password)).await.unwrap_or(false);
        match account.filter(|account| fits && !account.disabled) {
            Some(account) => {
                self.budgets().sign_in.give_back(caller.address);
                self.begin_session(caller, &account).await
            }
            None => {
                let (caller, tried) = (caller.clone(), name.to_owned());
                self.database()
                    .write(move |transaction| {
                        Ok::<_, HubError>(caller.actor().did(transaction, Action::SignInFailed, &tried)?)
                    })
                    .await?;
                Err(HubError::SignInFailed)
            }
        }
    }

    /// Begins a session for somebody who has proved who they are; the one that they had ends.
    pub(crate) async fn begin_session(
        &self,
        caller: &Caller,
        account: &Account,
    ) -> Result<SecretText, HubError> {
        let token = SecretText::generate();
        let (caller, account, new) = (caller.clone(), account.clone(), token.clone());
        self.database()
            .write(move |transaction| {
                if let Proof::Session(old) = &caller.proof {
                    db::sessions::delete(transaction, old)?;
                }
                let address = caller.address.to_string();
                db::sessions::insert(transaction, &new, &account.id, &address, caller.time)?;
                let caller = Caller { account: Some(account.clone()), ..caller.clone() };
                Ok::<_, HubError>(caller.actor().did(transaction, Action::SignedIn, "")?)
            })
            .await?;
        Ok(token)
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn sign_out(&self, caller: &Caller) -> Result<(), HubError> {
        let Proof::Session(token) = caller.proof.clone() else { return Ok(()) };
        let caller = caller.clone();
        self.database()
            .write(move |transaction| {
                db::sessions::delete(transaction, &token)?;
                Ok(caller.actor().did(transaction, Action::SignedOut, "")?)
            })
            .await
    }

    /// Whose session it is, if it still is one.
    pub(crate) async fn session(&self, token: &SecretText, now: i64) -> Result<Option<Account>, HubError> {
        let shown = token.clone();
        let (begun, seen) = limits(now);
        let found = self
            .database()
            .read(move |transaction| Ok::<_, HubError>(db::sessions::find(transaction, &shown, begun, seen)?))
            .await?;
        let Some((account, seen)) = found else { return Ok(None) };
        if now - seen > NOTED {
            let token = token.clone();
            self.database()
                .write(move |transaction| Ok::<_, HubError>(db::sessions::touch(transaction, &token, now)?))
                .await?;
        }
        Ok(Some(account))
    }
}
