//! Making accounts.

use super::{Account, AccountName, Password, Role, SignUpPolicy};
use crate::audit::Action;
use crate::caller::Caller;
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::{AccountId, SecretText};

/// How long an invitation counts.
const INVITATION: i64 = 7 * 86_400_000;

impl Hub {
    /// Makes an account and begins its first session. A code decides over its role; without one it is a user's, where that is
    /// open to everybody.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn sign_up(
        &self,
        caller: &Caller,
        name: &str,
        password: &str,
        code: &str,
    ) -> Result<SecretText, HubError> {
        self.budgets().sign_in.spend(caller.address, std::time::Instant::now())?;
        let name: AccountName = name.parse().map_err(|error| HubError::invalid("name", error))?;
        let password = Password::choose(password, name.as_str())
            .map_err(|error| HubError::invalid("password", error))?;
        let _permit = self.hashing().acquire().await.map_err(|_| HubError::SignInFailed)?;
        let hash = tokio::task::spawn_blocking(move || password.hash()).await;
        let hash = hash.map_err(|_| HubError::SignInFailed)?;
        let open = self.config().sign_up == SignUpPolicy::Open;
        let code = code.trim();
        let code = (!code.is_empty()).then(|| SecretText::shown(code));
        let (who, id) = (caller.clone(), AccountId::generate());
        let account = self
            .database()
            .write(move |transaction| {
                let role = match &code {
                    Some(code) => db::invitations::take(transaction, code, who.time)?.ok_or_else(|| {
                        HubError::invalid("code", "that code is not known, was used, or is too old")
                    })?,
                    None if open && db::accounts::count(transaction)? > 0 => Role::User,
                    None => {
                        return Err(HubError::invalid("code", "an account is made with a code: ask for one"));
                    }
                };
                let account =
                    Account { id: id.clone(), name: name.clone(), role, disabled: false, created: who.time };
                if !db::accounts::insert(transaction, &account, &hash)? {
                    return Err(HubError::invalid("name", "somebody else has that name"));
                }
                let actor = Caller { account: Some(account.clone()), ..who.clone() };
                actor.actor().did(transaction, Action::SignedUp, role.as_str())?;
                Ok(account)
            })
            .await?;
        self.budgets().sign_in.give_back(caller.address);
        self.begin_session(caller, &account).await
    }

    /// Makes a code that somebody can make an account with.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn invite(&self, caller: &Caller, role: Role) -> Result<SecretText, HubError> {
        let secret = SecretText::generate();
        let (caller, kept) = (caller.clone(), secret.clone());
        self.database()
            .write(move |transaction| {
                let expires = caller.time + INVITATION;
                db::invitations::insert(transaction, &kept, role, caller.time, expires)?;
                Ok::<_, HubError>(caller.actor().did(transaction, Action::Invited, role.as_str())?)
            })
            .await?;
        Ok(secret)
    }
}
