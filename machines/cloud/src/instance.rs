//! An instance: what is recorded of it, and how its state follows what is wanted and what its host sees.
//!
//! ```text
//!             ┌──────────── start ────────────┐
//!             ▼                               │
//! (run) ─▶ pending ─▶ running ─▶ stopping ─▶ stopped
//!             │          │           │          │
//!             └──────────┴───────────┴──────────┴─▶ shutting-down ─▶ terminated
//! ```
//!
//! Requests change what is wanted; [`settle`] alone changes the state, from what the host reports. So it doesn't matter which
//! process of the service hears a report, nor how often.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::id::{HostId, ImageId, InstanceId, ReservationId};

/// What is recorded of an instance. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub owner: AccountId,
    /// The request that made it.
    pub reservation: ReservationId,
    /// Its number among those of the request.
    pub launch_index: u32,
    /// The image that it started from.
    pub image: ImageId,
    /// The name of its size.
    pub kind: String,
    /// Its cores.
    pub cores: u32,
    /// Its memory, in megabytes.
    pub memory: u64,
    /// The key that lets in.
    pub key_name: Option<String>,
    /// How it is.
    pub state: InstanceState,
    /// How it is to be.
    pub wanted: Wanted,
    /// Why it is so, if there is something to say.
    pub reason: Option<StateReason>,
    /// When it was made.
    pub created: i64,
    /// When it was last started.
    pub launched: i64,
    /// When it was terminated.
    pub ended: Option<i64>,
    /// The host that it is on, for good.
    pub host: HostId,
    /// The part of the cloud that this is in.
    pub zone: String,
    /// How often it was to be started.
    pub starts: u32,
    /// How often it was to be restarted.
    pub restarts: u32,
    /// Whether it takes up its host's cores and memory.
    pub holds: bool,
    /// What becomes of it when the system in it shuts down.
    pub shutdown_behavior: ShutdownBehavior,
    /// Whether its metadata need a session token (IMDSv2).
    pub tokens_required: bool,
    /// Whether requests to terminate it are refused.
    pub protected: bool,
    /// The token of the request that made it.
    pub client_token: Option<String>,
    /// Ports of its host that lead into it: `22=192.0.2.1:40022`, separated by blanks.
    pub ports: String,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstanceState {
    /// It is being made or started.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone; the record stays for a while.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It is off, and can be started.
    Stopped,
}

impl InstanceState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::ShuttingDown, Self::Terminated, Self::Stopping, Self::Stopped];

    /// As EC2 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// EC2's number for it.
    pub fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }
}

impl FromStr for InstanceState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownWord)
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that a record or a report can't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an unknown word")]
pub struct UnknownWord;

/// How an instance is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// On.
    Running,
    /// Off.
    Stopped,
    /// Off, at once and not by asking the system in it.
    StoppedByForce,
    /// Gone.
    Terminated,
}

impl Wanted {
    /// As it is recorded.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::StoppedByForce => "stopped-by-force",
            Self::Terminated => "terminated",
        }
    }
}

impl FromStr for Wanted {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Running, Self::Stopped, Self::StoppedByForce, Self::Terminated]
            .into_iter()
            .find(|wanted| wanted.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// Why an instance is as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateReason {
    /// EC2's word for it.
    pub code: String,
    /// For people.
    pub message: String,
}

impl StateReason {
    /// A reason.
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_owned() }
    }

    /// Somebody asked for it.
    pub fn asked() -> Self {
        Self::new("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
    }
}

/// What becomes of an instance when the system in it shuts down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShutdownBehavior {
    /// It is off.
    #[default]
    Stop,
    /// It is gone.
    Terminate,
}

impl ShutdownBehavior {
    /// As EC2 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        }
    }
}

impl FromStr for ShutdownBehavior {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "stop" => Ok(Self::Stop),
            "terminate" => Ok(Self::Terminate),
            _ => Err(UnknownWord),
        }
    }
}

/// What a host sees of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which instance's.
    pub instance: InstanceId,
    /// How it is.
    pub power: Power,
    /// The number of the last start that was carried out.
    pub started: u32,
    /// Why it could not be made or started, if it couldn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the host itself was restarted since it was started.
    #[serde(default)]
    pub host_restarted: bool,
    /// Ports of the host that lead into it.
    #[serde(default)]
    pub ports: String,
}

/// Whether a machine is there, and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// There is none.
    Absent,
    /// It is off.
    Off,
    /// It is on.
    On,
}

/// What a report makes of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// How it is now.
    pub state: InstanceState,
    /// How it is to be now.
    pub wanted: Wanted,
    /// Why.
    pub reason: Option<StateReason>,
}

/// What a host's report says about the state of an instance.
pub fn settle(instance: &Instance, seen: &Seen) -> Settled {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    let keep = |state| Settled { state, wanted: instance.wanted, reason: instance.reason.clone() };
    if instance.state == Terminated {
        return keep(Terminated);
    }
    match (instance.wanted, seen.power) {
        (Wanted::Terminated, Power::Absent) => keep(Terminated),
        (Wanted::Terminated, _) => keep(ShuttingDown),
        (Wanted::Stopped | Wanted::StoppedByForce, Power::On) => keep(Stopping),
        (Wanted::Stopped | Wanted::StoppedByForce, _) => keep(Stopped),
        (Wanted::Running, Power::On) if seen.started >= instance.starts => {
            Settled { state: Running, wanted: Wanted::Running, reason: None }
        }
        // It runs from before: the start that is wanted is still to come.
        (Wanted::Running, Power::On) => keep(instance.state),
        (Wanted::Running, _) => not_running(instance, seen).unwrap_or_else(|| keep(Pending)),
    }
}

/// An instance that should run and doesn't: it failed, it ended, or its time has not come.
fn not_running(instance: &Instance, seen: &Seen) -> Option<Settled> {
    let terminated = |reason| Settled {
        state: InstanceState::ShuttingDown,
        wanted: Wanted::Terminated,
        reason: Some(reason),
    };
    let stopped =
        |reason| Settled { state: InstanceState::Stopped, wanted: Wanted::Stopped, reason: Some(reason) };
    if let Some(failure) = &seen.failure {
        let reason = StateReason::new("Server.InternalError", &format!("Server.InternalError: {failure}"));
        // One that never ran has nothing to keep.
        return Some(if instance.starts <= 1 { terminated(reason) } else { stopped(reason) });
    }
    if seen.started < instance.starts {
        return None;
    }
    if seen.power == Power::Absent {
        let reason = StateReason::new(
            "Server.InternalError",
            "Server.InternalError: its host does not have it any more",
        );
        return Some(terminated(reason));
    }
    if seen.host_restarted {
        let reason = StateReason::new("Server.HostRestarted", "Server.HostRestarted: its host was restarted");
        return Some(stopped(reason));
    }
    let reason = StateReason::new(
        "Client.InstanceInitiatedShutdown",
        "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    );
    Some(match instance.shutdown_behavior {
        ShutdownBehavior::Stop => stopped(reason),
        ShutdownBehavior::Terminate => terminated(reason),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn instance() -> Instance {
        Instance {
            id: InstanceId::new(),
            owner: AccountId::new("anna").unwrap(),
            reservation: ReservationId::new(),
            launch_index: 0,
            image: ImageId::new(),
            kind: "t2.nano".into(),
            cores: 1,
            memory: 512,
            key_name: None,
            state: InstanceState::Pending,
            wanted: Wanted::Running,
            reason: None,
            created: 0,
            launched: 0,
            ended: None,
            host: HostId::new(),
            zone: "local-a".into(),
            starts: 1,
            restarts: 0,
            holds: true,
            shutdown_behavior: ShutdownBehavior::Stop,
            tokens_required: false,
            protected: false,
            client_token: None,
            ports: String::new(),
        }
    }

    fn seen(instance: &Instance, power: Power, started: u32) -> Seen {
        Seen {
            instance: instance.id.clone(),
            power,
            started,
            failure: None,
            host_restarted: false,
            ports: String::new(),
        }
    }

    #[test]
    fn states_follow_what_is_wanted_and_seen() {
        use InstanceState as State;
        let rows = [
            (State::Pending, Wanted::Running, Power::Absent, 0, State::Pending),
            (State::Pending, Wanted::Running, Power::Off, 0, State::Pending),
            (State::Pending, Wanted::Running, Power::On, 1, State::Running),
            (State::Running, Wanted::Running, Power::On, 1, State::Running),
            (State::Running, Wanted::Running, Power::Off, 1, State::Stopped),
            (State::Running, Wanted::Running, Power::Absent, 1, State::ShuttingDown),
            (State::Stopping, Wanted::Stopped, Power::On, 1, State::Stopping),
            (State::Stopping, Wanted::Stopped, Power::Off, 1, State::Stopped),
            (State::Pending, Wanted::Stopped, Power::Absent, 0, State::Stopped),
            (State::Running, Wanted::Terminated, Power::On, 1, State::ShuttingDown),
            (State::Stopped, Wanted::Terminated, Power::Off, 1, State::ShuttingDown),
            (State::ShuttingDown, Wanted::Terminated, Power::Absent, 1, State::Terminated),
            (State::Terminated, Wanted::Terminated, Power::On, 1, State::Terminated),
        ];
        for (state, wanted, power, started, expected) in rows {
            let instance = Instance { state, wanted, ..instance() };
            let settled = settle(&instance, &seen(&instance, power, started));
            assert_eq!(settled.state, expected, "{state} {wanted:?} {power:?}");
        }
    }

    #[test]
    fn a_second_start_is_waited_for() {
        let stopping = Instance { starts: 2, ..instance() };
        // Still on from the first start, then off, then on again.
        assert_eq!(settle(&stopping, &seen(&stopping, Power::On, 1)).state, InstanceState::Pending);
        assert_eq!(settle(&stopping, &seen(&stopping, Power::Off, 1)).state, InstanceState::Pending);
        assert_eq!(settle(&stopping, &seen(&stopping, Power::On, 2)).state, InstanceState::Running);
    }

    #[test]
    fn who_ends_says_why() {
        let failed = |starts| {
            let instance = Instance { starts, ..instance() };
            let seen = Seen { failure: Some("no disk".into()), ..seen(&instance, Power::Absent, 0) };
            settle(&instance, &seen)
        };
        assert_eq!(failed(1).wanted, Wanted::Terminated);
        assert_eq!(failed(2).state, InstanceState::Stopped);
        assert!(failed(1).reason.unwrap().message.contains("no disk"));

        let volatile = Instance { shutdown_behavior: ShutdownBehavior::Terminate, ..instance() };
        let off = seen(&volatile, Power::Off, 1);
        assert_eq!(settle(&volatile, &off).wanted, Wanted::Terminated);
        let restarted = Seen { host_restarted: true, ..off };
        let settled = settle(&volatile, &restarted);
        assert_eq!(
            (settled.state, settled.reason.unwrap().code.as_str()),
            (InstanceState::Stopped, "Server.HostRestarted")
        );
    }
}
