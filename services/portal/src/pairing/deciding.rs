//! The owner's side: looking at what shows a PIN, and deciding about it.

use std::time::Instant;

use varve_context::MachineKey;

use super::{Pairing, Pin, State};
use crate::audit::Action;
use crate::caller::Caller;
use crate::contexts::is_protected;
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::{ContextId, PairingId};

/// The most that a list shows, and the longest that a browser seals.
const LIST: u32 = 200;
const MOST_SEALED: usize = 2 << 20;

/// What somebody says of a machine that waits.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What the machine shows.
    pub pin: String,
    /// The context that it is given; it is refused without one.
    pub approve: Option<Approval>,
}

/// What a machine is given.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Which context.
    pub context: ContextId,
    /// Which version; the newest if none is said.
    #[serde(default)]
    pub version: Option<i64>,
    /// The user data, opened by their owner's secret and sealed to the machine's key, where the hub can't do that.
    #[serde(default)]
    pub sealed: Option<String>,
}

impl Hub {
    /// The machine that shows a PIN.
    ///
    /// # Errors
    /// [`HubError::NotFound`], [`HubError::TooMany`] for who guesses.
    pub async fn waiting_machine(&self, caller: &Caller, pin: &str) -> Result<Pairing, HubError> {
        self.budgets().pin.spend(caller.address, Instant::now())?;
        let pin: Pin = pin.parse().map_err(|error| HubError::invalid("pin", error))?;
        let now = caller.time;
        let found = self
            .database()
            .read(move |transaction| Ok::<_, HubError>(db::pairings::waiting(transaction, &pin, now)?))
            .await?;
        match found {
            Some(pairing) => {
                self.budgets().pin.give_back(caller.address);
                Ok(pairing)
            }
            None => {
                let caller = caller.clone();
                self.database()
                    .write(move |transaction| {
                        Ok::<_, HubError>(caller.actor().did(transaction, Action::PairingGuessed, "")?)
                    })
                    .await?;
                Err(HubError::invalid("pin", "no machine shows that PIN now"))
            }
        }
    }

    /// Decides about the machine that shows a PIN.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn decide_pairing(&self, caller: &Caller, decision: &Decision) -> Result<Pairing, HubError> {
        let pairing = self.waiting_machine(caller, &decision.pin).await?;
        let account = caller.account()?.id.clone();
        let given = match &decision.approve {
            Some(approval) => Some(self.sealed_for(caller, &pairing, approval).await?),
            None => None,
        };
        let (caller, waiting) = (caller.clone(), pairing.clone());
        let decided = self
            .database()
            .write(move |transaction| {
                let state = if given.is_some() { State::Approved } else { State::Denied };
                let context = given.as_ref().map(|(id, version, sealed, _)| (id, *version, sealed.as_str()));
                if !db::pairings::decide(transaction, &waiting.id, state, &account, context, caller.time)? {
                    return Err(HubError::Conflict("somebody has decided about this machine".to_owned()));
                }
                let machine = format!("{} {}", waiting.facts.name, waiting.fingerprint());
                match &given {
                    Some((_, version, _, name)) => {
                        let object = format!("{machine}: {name} version {version}");
                        caller.actor().did(transaction, Action::PairingApproved, &object)?;
                    }
                    None => caller.actor().did(transaction, Action::PairingDenied, &machine)?,
                }
                let decided = db::pairings::of_id(transaction, &account, &waiting.id)?;
                decided.ok_or(HubError::NotFound("pairing"))
            })
            .await?;
        self.waiters().tell(&pairing.id);
        Ok(decided)
    }

    async fn sealed_for(
        &self,
        caller: &Caller,
        pairing: &Pairing,
        approval: &Approval,
    ) -> Result<(ContextId, i64, String, String), HubError> {
        let (context, version) = self.context_version(caller, &approval.context, approval.version).await?;
        let sealed = match &approval.sealed {
            // Whoever reads the page would think that the machine has what is shown.
            Some(_) if !is_protected(&version.content) => {
                return Err(HubError::invalid("sealed", "that context is not protected: the hub seals it"));
            }
            Some(sealed) if sealed.len() > MOST_SEALED => return Err(HubError::TooLong(MOST_SEALED)),
            Some(sealed) => {
                let value = serde_json::from_str::<serde_json::Value>(sealed);
                let whole =
                    value.is_ok_and(|value| value["ephemeral"].is_string() && value["data"].is_string());
                if !whole {
                    return Err(HubError::invalid("sealed", "that is nothing that a machine could open"));
                }
                sealed.clone()
            }
            None if is_protected(&version.content) => {
                let reason = "that context is protected: its secret opens it in your browser";
                return Err(HubError::invalid("sealed", reason));
            }
            None => {
                let key: MachineKey =
                    pairing.machine_key.parse().map_err(|error| HubError::invalid("pin", error))?;
                key.seal(version.content.as_bytes()).map_err(|error| HubError::invalid("pin", error))?
            }
        };
        Ok((context.id, version.number, sealed, context.name))
    }

    /// The machines that the caller decided about.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn pairings(&self, caller: &Caller) -> Result<Vec<Pairing>, HubError> {
        let account = caller.account()?.id.clone();
        self.database()
            .read(move |transaction| Ok(db::pairings::of_account(transaction, &account, LIST)?))
            .await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn pairing(&self, caller: &Caller, id: &PairingId) -> Result<Pairing, HubError> {
        let (account, id) = (caller.account()?.id.clone(), id.clone());
        self.database()
            .read(move |transaction| {
                db::pairings::of_id(transaction, &account, &id)?.ok_or(HubError::NotFound("pairing"))
            })
            .await
    }
}
