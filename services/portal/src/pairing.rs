//! Pairing: a machine that has nothing shows a PIN, its owner types it here and picks a context, and the machine goes on with it.
//!
//! ```text
//!            approve                 the machine has it
//!  waiting ──────────▶ approved ──────────────────────▶ taken
//!     │ deny
//!     └──────────────▶ denied            all of them end when they expire
//! ```
//!
//! After RFC 8628; docs/formats/pairing.md. The machine proves itself by a secret that only it knows, and what it gets is sealed
//! to a key that it made. A PIN is decided about once. Whoever guesses PINs is slowed down, alone and together with others.

mod deciding;
mod pin;
mod waiting;

pub use deciding::{Approval, Decision};
pub use pin::{Pin, PinError};
pub(crate) use waiting::Waiters;
pub use waiting::{PairingRequest, Poll, Started};

use crate::ids::{ContextId, PairingId};

/// How long a PIN counts, milliseconds.
pub const VALID: i64 = 15 * 60_000;
/// The most that wait at one address, and in all.
const MOST_AT_ADDRESS: i64 = 2_000;
const MOST: i64 = 20_000;

/// A machine that wants a context, or got one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Pairing {
    /// Which one.
    pub id: PairingId,
    /// What it shows.
    #[serde(skip)]
    pub pin: Pin,
    /// Its public key.
    pub machine_key: String,
    /// What it says of itself.
    pub facts: MachineFacts,
    /// From where it asks.
    pub address: String,
    /// Since when, milliseconds of Unix.
    pub created: i64,
    /// Until when.
    pub expires: i64,
    /// How far it is.
    pub state: State,
    /// What it was given.
    pub context: Option<ContextId>,
    /// Which version.
    pub version: Option<i64>,
    /// The same, sealed to the machine's key, until it has it.
    #[serde(skip)]
    pub sealed: Option<String>,
    /// When somebody decided, milliseconds of Unix.
    pub decided: Option<i64>,
}

impl Pairing {
    /// What the machine's screen and the page show alike.
    pub fn fingerprint(&self) -> String {
        let key = self.machine_key.parse::<varve_context::MachineKey>();
        key.map_or(String::new(), |key| key.fingerprint())
    }
}

/// What a machine says of itself: shown, and not believed.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(default)]
pub struct MachineFacts {
    /// What it is called.
    pub name: String,
    /// What it is made by, or runs in.
    pub model: String,
    /// `x86_64`, as a rule.
    pub architecture: String,
    /// Its address in its own network.
    pub network: String,
    /// What it would boot.
    pub system: String,
}

impl MachineFacts {
    /// Without what can't be shown.
    pub(crate) fn checked(&self) -> Self {
        let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(100).collect();
        Self {
            name: short(&self.name),
            model: short(&self.model),
            architecture: short(&self.architecture),
            network: short(&self.network),
            system: short(&self.system),
        }
    }
}

/// How far a pairing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody has decided.
    Waiting,
    /// There is a context for it.
    Approved,
    /// It was refused.
    Denied,
    /// It has its context.
    Taken,
}

impl State {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Taken => "taken",
        }
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Waiting, Self::Approved, Self::Denied, Self::Taken];
        all.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("{text:?} is no state"))
    }
}
