//! What is to be done to a machine, and doing it.

use std::time::Duration;

use varve_hypervisor::{
    BackEnd, Boot, Deletion, HypervisorError, MachineSpec, Megabytes, MetadataSource, Network, PortForward,
    SpecError, Stopping, UserData,
};

use super::images::ImageFetchError;
use super::link::LinkError;
use super::record::Record;
use super::{Agent, machine_name};
use crate::hosts::protocol::{Definition, Order};
use crate::instance::{Power, Wanted};

/// How long the system in a machine may take to shut down before its plug is pulled.
const SHUTTING_DOWN: Duration = Duration::from_secs(90);
/// The port of ssh.
const SSH: u16 = 22;

/// What can be done to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make it and start it.
    Make,
    /// Start it.
    Start,
    /// It runs already: write that down.
    Note,
    /// Ask it to end and start it again.
    Restart,
    /// Ask it to end.
    Stop,
    /// End it.
    Kill,
    /// Remove it.
    Delete,
}

/// What an order asks for, of a machine as it is.
pub(super) fn decide(order: &Order, power: Power, record: &Record) -> Option<Action> {
    let to_start = record.started < order.starts && record.failure_of(order.starts).is_none();
    match (order.wanted, power) {
        (Wanted::Terminated, Power::Absent) => None,
        (Wanted::Terminated, _) => Some(Action::Delete),
        (Wanted::Stopped, Power::On) => Some(Action::Stop),
        (Wanted::StoppedByForce, Power::On) => Some(Action::Kill),
        (Wanted::Stopped | Wanted::StoppedByForce, _) => None,
        (Wanted::Running, Power::Absent) => (to_start && record.started == 0).then_some(Action::Make),
        (Wanted::Running, Power::Off) => to_start.then_some(Action::Start),
        (Wanted::Running, Power::On) if record.started < order.starts => Some(Action::Note),
        (Wanted::Running, Power::On) => (record.restarted < order.restarts).then_some(Action::Restart),
    }
}

/// Why something was not done. It is tried again, but for what is wrong with the machine itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    /// The service.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageFetchError),
    /// A machine that can't be.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The hypervisor.
    #[error(transparent)]
    Hypervisor(#[from] HypervisorError),
    /// The record, or the socket of the metadata.
    #[error("cannot write down what was done")]
    Record(#[from] std::io::Error),
    /// What did it broke down.
    #[error("the work broke down")]
    Broken(#[from] tokio::task::JoinError),
}

impl WorkError {
    /// Whether it would fail again.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Image(error) => error.is_lasting(),
            Self::Spec(_) => true,
            Self::Hypervisor(HypervisorError::Busy { .. }) => false,
            Self::Hypervisor(_) => true,
            Self::Link(_) | Self::Record(_) | Self::Broken(_) => false,
        }
    }

    /// All of it in one line.
    fn line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text.replace('\0', " ").chars().take(1000).collect()
    }
}

impl Agent {
    /// Does one thing to one machine.
    pub(super) async fn carry_out(
        self: &std::sync::Arc<Self>,
        order: Order,
        action: Action,
    ) -> Result<(), WorkError> {
        match action {
            Action::Make | Action::Start => {
                let started = self.start(&order, action).await;
                if let Err(error) = &started
                    && error.is_lasting()
                {
                    let failure = Some((order.starts, error.line()));
                    let record = self.records.get(&order.instance)?;
                    self.records.put(&order.instance, &Record { failure, ..record })?;
                }
                started
            }
            Action::Note => self.note(&order),
            Action::Restart => {
                self.stop(&order, Stopping::Asked(SHUTTING_DOWN)).await?;
                self.power_on(&order).await?;
                self.note(&order)
            }
            Action::Stop => self.stop(&order, Stopping::Asked(SHUTTING_DOWN)).await,
            Action::Kill => self.stop(&order, Stopping::Forced).await,
            Action::Delete => {
                self.servers.stop(&order.instance);
                let (machines, name) = (self.config.machines.clone(), machine_name(&order.instance));
                let deleted =
                    tokio::task::spawn_blocking(move || machines.delete(&name, Deletion::Forced)).await?;
                match deleted {
                    Err(HypervisorError::Unknown { .. }) | Ok(()) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    async fn start(&self, order: &Order, action: Action) -> Result<(), WorkError> {
        let definition = self.link.definition(&order.instance).await?;
        let record = self.records.get(&order.instance)?;
        self.records.put(&order.instance, &Record { definition: Some(definition.clone()), ..record })?;
        self.servers.replace(&definition, order.tokens_required);
        if action == Action::Make {
            let image = self.images.fetch(&self.link, &definition.image).await?;
            let spec = self.spec(&definition, image)?;
            let (machines, accelerator) = (self.config.machines.clone(), self.config.accelerator);
            let now =
                (self.config.clock)().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
            let create = move || machines.create(spec, BackEnd::Qemu, accelerator, now.as_secs());
            match tokio::task::spawn_blocking(create).await? {
                // It was made before this program was ended.
                Ok(_) | Err(HypervisorError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.power_on(order).await?;
        self.note(order)
    }

    /// Lets a machine run whose metadata can be asked for by then.
    async fn power_on(&self, order: &Order) -> Result<(), WorkError> {
        let record = self.records.get(&order.instance)?;
        let (machines, name) = (self.config.machines.clone(), machine_name(&order.instance));
        let status = tokio::task::spawn_blocking(move || machines.status(&name)).await??;
        self.servers.ensure(&order.instance, &status.home, Some(&record));
        let (machines, name) = (self.config.machines.clone(), machine_name(&order.instance));
        match tokio::task::spawn_blocking(move || machines.start(&name)).await? {
            Ok(_) | Err(HypervisorError::State { state: varve_hypervisor::PowerState::Running, .. }) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn stop(&self, order: &Order, how: Stopping) -> Result<(), WorkError> {
        let (machines, name) = (self.config.machines.clone(), machine_name(&order.instance));
        let stop = move || match machines.stop(&name, how) {
            // Nobody listened to the button.
            Err(HypervisorError::Late { .. }) => machines.stop(&name, Stopping::Forced),
            other => other,
        };
        Ok(tokio::task::spawn_blocking(stop).await??)
    }

    /// Writes down that what was wanted has been done.
    fn note(&self, order: &Order) -> Result<(), WorkError> {
        let record = self.records.get(&order.instance)?;
        let done = Record {
            started: order.starts,
            restarted: order.restarts,
            boot: self.boot.clone(),
            failure: None,
            ..record
        };
        Ok(self.records.put(&order.instance, &done)?)
    }

    fn spec(&self, definition: &Definition, image: std::path::PathBuf) -> Result<MachineSpec, SpecError> {
        let ssh = PortForward { address: self.config.address, ..PortForward::to(SSH) };
        let scratch =
            if definition.disk == 0 { vec![] } else { vec![Megabytes::new(definition.disk << 10)?] };
        Ok(MachineSpec {
            name: machine_name(&definition.instance),
            cores: definition.cores,
            memory: Megabytes::new(definition.memory)?,
            boot: Boot::Image(image),
            firmware: definition.image.firmware,
            disks: vec![],
            scratch,
            network: Network::User { forwards: vec![ssh] },
            user_data: UserData::default(),
            identity: UserData::default(),
            ssh_keys: vec![],
            metadata: MetadataSource::Server { relay: self.config.relay.clone() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::InstanceId;

    fn order(wanted: Wanted, starts: u32, restarts: u32) -> Order {
        Order { instance: InstanceId::new(), wanted, starts, restarts, tokens_required: false }
    }

    #[test]
    fn what_is_wanted_is_done_once() {
        let record = |started, restarted| Record { started, restarted, ..Record::default() };
        let running = |starts, restarts| order(Wanted::Running, starts, restarts);
        for (order, power, record, expected) in [
            (running(1, 0), Power::Absent, record(0, 0), Some(Action::Make)),
            (running(1, 0), Power::Off, record(0, 0), Some(Action::Start)),
            (running(1, 0), Power::On, record(0, 0), Some(Action::Note)),
            (running(1, 0), Power::On, record(1, 0), None),
            // It ended by itself, or was lost: that is told, and the service decides.
            (running(1, 0), Power::Off, record(1, 0), None),
            (running(2, 0), Power::Absent, record(1, 0), None),
            (running(2, 0), Power::Off, record(1, 0), Some(Action::Start)),
            (running(1, 2), Power::On, record(1, 1), Some(Action::Restart)),
            (order(Wanted::Stopped, 1, 0), Power::On, record(1, 0), Some(Action::Stop)),
            (order(Wanted::StoppedByForce, 1, 0), Power::On, record(1, 0), Some(Action::Kill)),
            (order(Wanted::Stopped, 1, 0), Power::Off, record(1, 0), None),
            (order(Wanted::Terminated, 1, 0), Power::Off, record(1, 0), Some(Action::Delete)),
            (order(Wanted::Terminated, 1, 0), Power::Absent, record(1, 0), None),
        ] {
            assert_eq!(decide(&order, power, &record), expected, "{order:?} {power:?}");
        }
        let failed = Record { failure: Some((1, "no".into())), ..Record::default() };
        assert_eq!(decide(&running(1, 0), Power::Absent, &failed), None);
        assert_eq!(decide(&running(2, 0), Power::Off, &failed), Some(Action::Start));
    }
}
