//! Changing accounts: one's own password, and as an administrator everybody's role.

use super::{Account, Password, Role};
use crate::audit::{Action, Entry};
use crate::caller::{Caller, Proof};
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::AccountId;

/// The most that a list shows.
const LIST: u32 = 1000;

/// What an administrator changes of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// What they may do.
    pub role: Role,
    /// Whether they are kept out.
    #[serde(default)]
    pub disabled: bool,
}

impl Hub {
    /// All accounts.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn accounts(&self) -> Result<Vec<Account>, HubError> {
        self.database().read(|transaction| Ok(db::accounts::list(transaction, LIST)?)).await
    }

    /// Changes an account. The last administrator stays one.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn change_account(
        &self,
        caller: &Caller,
        id: &AccountId,
        change: AccountChange,
    ) -> Result<(), HubError> {
        let (caller, id) = (caller.clone(), id.clone());
        self.database()
            .write(move |transaction| {
                let account = db::accounts::by_id(transaction, &id)?.ok_or(HubError::NotFound("account"))?;
                let actor = caller.actor();
                if account.role != change.role {
                    db::accounts::set_role(transaction, &id, change.role)?;
                    let object = format!("{} to {}", account.name, change.role);
                    actor.did(transaction, Action::RoleChanged, &object)?;
                }
                if account.disabled != change.disabled {
                    db::accounts::set_disabled(transaction, &id, change.disabled)?;
                    let action =
                        if change.disabled { Action::AccountDisabled } else { Action::AccountEnabled };
                    actor.did(transaction, action, account.name.as_str())?;
                }
                if change.disabled {
                    db::sessions::delete_others(transaction, &id, None)?;
                }
                if db::accounts::administrators(transaction)? == 0 {
                    return Err(HubError::Conflict("somebody has to be an administrator".to_owned()));
                }
                Ok(())
            })
            .await
    }

    /// Changes the caller's password; all their other sessions end.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn change_password(&self, caller: &Caller, old: &str, new: &str) -> Result<(), HubError> {
        let account = caller.account()?.clone();
        self.budgets().sign_in.spend(caller.address, std::time::Instant::now())?;
        let chosen = Password::choose(new, account.name.as_str());
        let chosen = chosen.map_err(|error| HubError::invalid("new", error))?;
        let name = account.name.clone();
        let found = self
            .database()
            .read(move |transaction| Ok::<_, HubError>(db::accounts::by_name(transaction, &name)?))
            .await?;
        let (_, hash) = found.ok_or(HubError::NotFound("account"))?;
        let tried = Password::tried(old);
        let _permit = self.hashing().acquire().await.map_err(|_| HubError::SignInFailed)?;
        let hashed = tokio::task::spawn_blocking(move || hash.is_of(&tried).then(|| chosen.hash())).await;
        let Ok(Some(hashed)) = hashed else {
            return Err(HubError::invalid("old", "that is not your password"));
        };
        self.budgets().sign_in.give_back(caller.address);
        let caller = caller.clone();
        self.database()
            .write(move |transaction| {
                db::accounts::set_password(transaction, &account.id, &hashed)?;
                let kept = match &caller.proof {
                    Proof::Session(token) => Some(token),
                    Proof::None | Proof::Token => None,
                };
                db::sessions::delete_others(transaction, &account.id, kept)?;
                Ok(caller.actor().did(transaction, Action::PasswordChanged, "")?)
            })
            .await
    }

    /// The audit log before a time: everybody's for administrators, else the caller's own part.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn audit(
        &self,
        caller: &Caller,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Entry>, HubError> {
        let account = caller.account()?;
        let actor = match account.role {
            Role::Administrator => String::new(),
            _ => account.name.to_string(),
        };
        let before = before.unwrap_or(i64::MAX);
        self.database()
            .read(move |transaction| Ok(db::audit::list(transaction, &actor, before, limit.clamp(1, 1000))?))
            .await
    }
}
