//! The machine's side: asking for a PIN, and waiting for what comes of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{MOST, MOST_AT_ADDRESS, MachineFacts, Pairing, Pin, State, VALID};
use crate::audit::Action;
use crate::caller::Caller;
use crate::db;
use crate::error::HubError;
use crate::hub::Hub;
use crate::ids::{PairingId, SecretText};

/// The longest that a question is kept.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// How often another process's decisions are looked for.
const LOOK: Duration = Duration::from_millis(250);
/// How far clocks of several processes may differ, milliseconds.
const SKEW: i64 = 30_000;

/// What a machine asks with.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairingRequest {
    /// Its public key.
    pub machine_key: String,
    /// What it says of itself.
    #[serde(default)]
    pub facts: MachineFacts,
}

/// What a machine gets for that; the names are those of RFC 8628.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Started {
    /// What the machine proves itself by.
    pub device_code: String,
    /// The PIN.
    pub user_code: String,
    /// Where it is typed.
    pub verification_uri: String,
    /// The same with the PIN in it, for the QR code.
    pub verification_uri_complete: String,
    /// Seconds that it counts.
    pub expires_in: i64,
    /// Seconds between questions that aren't kept waiting.
    pub interval: i64,
}

/// What has come of a pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Nothing yet.
    Pending,
    /// It is refused.
    Denied,
    /// It is over.
    Expired,
    /// This is for the machine.
    Approved {
        /// Sealed to its key, in JSON.
        sealed: String,
    },
}

/// Who waits for a decision in this process.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    of: Mutex<HashMap<PairingId, Arc<Notify>>>,
    ended: std::sync::atomic::AtomicBool,
}

impl Waiters {
    fn wait_for(&self, id: &PairingId) -> Arc<Notify> {
        Arc::clone(self.of.lock().entry(id.clone()).or_default())
    }

    /// Tells who waits that there is something.
    pub(crate) fn tell(&self, id: &PairingId) {
        if let Some(waiter) = self.of.lock().get(id) {
            waiter.notify_waiters();
        }
    }

    fn forget(&self, id: &PairingId, waiter: &Arc<Notify>) {
        let mut of = self.of.lock();
        // The map and this one.
        if Arc::strong_count(waiter) <= 2 {
            of.remove(id);
        }
    }

    fn end(&self) {
        self.ended.store(true, std::sync::atomic::Ordering::Relaxed);
        self.of.lock().values().for_each(|waiter| waiter.notify_waiters());
    }

    fn has_ended(&self) -> bool {
        self.ended.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Hub {
    /// Gives a machine a PIN.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn start_pairing(
        &self,
        caller: &Caller,
        request: &PairingRequest,
    ) -> Result<Started, HubError> {
        self.budgets().pairing.spend(caller.address, Instant::now())?;
        let key: varve_context::MachineKey =
            request.machine_key.parse().map_err(|error| HubError::invalid("machine_key", error))?;
        let device = SecretText::generate();
        let (address, now, facts) = (caller.address.to_string(), caller.time, request.facts.checked());
        let kept = device.clone();
        let pin = self
            .database()
            .write(move |transaction| {
                let (here, all) = db::pairings::count_waiting(transaction, &address, now)?;
                if here >= MOST_AT_ADDRESS || all >= MOST {
                    return Err(HubError::Conflict("too many machines wait for a context".to_owned()));
                }
                loop {
                    let pairing = Pairing {
                        id: PairingId::generate(),
                        pin: Pin::generate(),
                        machine_key: key.to_text(),
                        facts: facts.clone(),
                        address: address.clone(),
                        created: now,
                        expires: now + VALID,
                        state: State::Waiting,
                        context: None,
                        version: None,
                        sealed: None,
                        decided: None,
                    };
                    if db::pairings::insert(transaction, &kept, &pairing)? {
                        return Ok(pairing.pin);
                    }
                }
            })
            .await?;
        let page = format!("{}/pair", self.config().address);
        Ok(Started {
            device_code: device.as_str().to_owned(),
            user_code: pin.to_string(),
            verification_uri_complete: format!("{page}?pin={pin}"),
            verification_uri: page,
            expires_in: VALID / 1000,
            interval: 1,
        })
    }

    /// Waits for what comes of a pairing, for some time.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn poll_pairing(&self, device: &str, wait: Duration) -> Result<Poll, HubError> {
        let device = SecretText::shown(device);
        let deadline = tokio::time::Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            let Some(pairing) = self.pairing_of(&device).await? else { return Ok(Poll::Expired) };
            if let Some(answer) = answer(&pairing, self.now()) {
                return Ok(answer);
            }
            let waiter = self.waiters().wait_for(&pairing.id);
            let told = waiter.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            // What was decided before it was listened for.
            let again = self.pairing_of(&device).await?;
            if again.as_ref().is_some_and(|again| again.state != State::Waiting) {
                continue;
            }
            let waited = match self.waiters().has_ended() {
                true => Err(()),
                false => tokio::time::timeout_at(deadline, told).await.map_err(|_| ()),
            };
            self.waiters().forget(&pairing.id, &waiter);
            if waited.is_err() || self.waiters().has_ended() {
                return Ok(Poll::Pending);
            }
        }
    }

    /// The machine has what was for it.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub async fn pairing_taken(&self, caller: &Caller, device: &str) -> Result<(), HubError> {
        let (device, actor) = (SecretText::shown(device), caller.actor());
        self.database()
            .write(move |transaction| {
                let pairing = db::pairings::by_device(transaction, &device)?;
                let pairing = pairing.ok_or(HubError::NotFound("pairing"))?;
                if db::pairings::taken(transaction, &pairing.id)? {
                    let context = pairing.context.as_ref().map_or("", |context| context.as_str());
                    let object = format!("{context} version {}", pairing.version.unwrap_or_default());
                    actor.did(transaction, Action::ContextFetched, &object)?;
                }
                Ok(())
            })
            .await
    }

    async fn pairing_of(&self, device: &SecretText) -> Result<Option<Pairing>, HubError> {
        let device = device.clone();
        self.database().read(move |transaction| Ok(db::pairings::by_device(transaction, &device)?)).await
    }

    /// Tells those who wait here what was decided elsewhere, again and again.
    pub(crate) async fn tell_waiters(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.waiters().of.lock().is_empty() {
                continue;
            }
            let since = self.now() - SKEW;
            let decided: Result<_, HubError> = self
                .database()
                .read(move |transaction| Ok(db::pairings::decided_since(transaction, since)?))
                .await;
            match decided {
                Ok(decided) => decided.iter().for_each(|id| self.waiters().tell(id)),
                Err(error) => tracing::warn!(%error, "machines that wait are not told"),
            }
        }
    }

    /// Answers everybody who waits, now and from now on: the hub is about to end.
    pub fn end_waiting(&self) {
        self.waiters().end();
    }
}

/// What can be said of a pairing, if anything can.
fn answer(pairing: &Pairing, now: i64) -> Option<Poll> {
    match (&pairing.state, &pairing.sealed) {
        (State::Denied, _) => Some(Poll::Denied),
        (State::Approved, Some(sealed)) => Some(Poll::Approved { sealed: sealed.clone() }),
        (State::Approved | State::Taken, _) => Some(Poll::Expired),
        (State::Waiting, _) => (pairing.expires <= now).then_some(Poll::Expired),
    }
}
