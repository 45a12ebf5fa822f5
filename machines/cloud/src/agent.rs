//! What runs on a host: asks the service what is wanted, lets the hypervisor do it, and says what is there.
//!
//! Nothing is believed but what is seen: after a crash at any instant the next round looks at the machines themselves. The one
//! thing that can't be seen, how often a machine was started for the service, is in its record, written after the start: so a
//! machine that should run does, and at worst is started once more.
//!
//! ```text
//! DIRECTORY/
//!   host.json        where the service is, and by which token this host is known
//!   machines/ID/     the machines, see varve-hypervisor
//!   records/ID.json  what was done for each
//!   images/DIGEST    images, each fetched once
//! ```

mod consoles;
mod images;
mod joined;
mod link;
mod metadata;
mod record;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use varve_hypervisor::{AcceleratorChoice, Inspection, MachineName, Machines, PowerState};

pub use self::joined::{HostState, HostStateError};
pub use self::link::{Link, LinkConfig, LinkError};
use self::metadata::MetadataServers;
use self::record::{Record, Records};
use self::work::{Action, decide};
use crate::hosts::protocol::{Order, Report};
use crate::id::InstanceId;
use crate::instance::{Power, Seen};

/// How long the service is asked to wait for news.
const WAIT: Duration = Duration::from_secs(15);
/// How often machines are looked at by themselves.
const LOOK: Duration = Duration::from_secs(2);
/// The pauses after the service could not be reached.
const PAUSES: [u64; 4] = [1, 2, 5, 10];
/// Machines that are worked on at a time.
const AT_A_TIME: usize = 16;

/// How a host is run.
#[derive(Clone)]
pub struct AgentConfig {
    /// What is kept here.
    pub directory: PathBuf,
    /// The machines of the service on this host: nobody else's.
    pub machines: Arc<Machines>,
    /// What executes their instructions.
    pub accelerator: AcceleratorChoice,
    /// The cores that are given to machines.
    pub cores: u32,
    /// The memory that is given to machines, in megabytes.
    pub memory: u64,
    /// The address of this host that machines' ports are reached at.
    pub address: std::net::Ipv4Addr,
    /// The program that leads a machine to its metadata, see [`varve_hypervisor::MetadataSource`].
    pub relay: PathBuf,
    /// The version of the program.
    pub version: String,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

/// A host's part of the cloud.
pub struct Agent {
    config: AgentConfig,
    link: Link,
    records: Records,
    images: images::Images,
    servers: MetadataServers,
    /// What is done to machines now, and how often something was.
    at_work: Mutex<BTreeMap<InstanceId, Work>>,
    /// What was wanted last, once it is known.
    orders: Mutex<Option<Vec<Order>>>,
    /// Something is there to be reported or done.
    changed: Notify,
    permits: Semaphore,
    /// Which start of the host's own system this is.
    boot: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Work {
    busy: bool,
    done: u64,
}

impl Agent {
    /// An agent that has joined.
    ///
    /// # Errors
    /// If its directory can't be used.
    pub fn new(config: AgentConfig, link: Link) -> std::io::Result<Arc<Self>> {
        let records = Records::open(config.directory.join("records"))?;
        let images = images::Images::open(config.directory.join("images"))?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(Arc::new(Self {
            servers: MetadataServers::new(config.clock),
            config,
            link,
            records,
            images,
            at_work: Mutex::default(),
            orders: Mutex::default(),
            changed: Notify::new(),
            permits: Semaphore::new(AT_A_TIME),
            boot,
        }))
    }

    /// Does what is wanted until `stop`. Machines go on after it.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let looking = tokio::spawn(Arc::clone(&self).look());
        let (mut revision, mut failures) = (0, 0);
        loop {
            let machines = Arc::clone(&self).round().await;
            let report = Report {
                revision,
                wait: WAIT.as_secs(),
                cores: self.config.cores,
                memory: self.config.memory,
                version: self.config.version.clone(),
                machines,
            };
            let answered = tokio::select! {
                answered = self.link.sync(&report, WAIT) => answered,
                () = self.changed.notified() => continue,
                () = &mut stop => break,
            };
            match answered {
                Ok(orders) => {
                    failures = 0;
                    revision = orders.revision;
                    for stranger in orders.strangers {
                        tracing::warn!(machine = %stranger, "the service doesn't know this machine: it is left as it is");
                    }
                    *self.orders.lock() = Some(orders.instances);
                }
                Err(error) => {
                    let pause = PAUSES[failures.min(PAUSES.len() - 1)];
                    failures += 1;
                    tracing::warn!(%error, "the service can't be asked; the next time is in {pause} s");
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                        () = &mut stop => break,
                    }
                }
            }
        }
        looking.abort();
    }

    /// Looks at all machines, begins what is to be done, and says what was seen.
    async fn round(self: Arc<Self>) -> Vec<Seen> {
        let agent = Arc::clone(&self);
        let looked = tokio::task::spawn_blocking(move || agent.look_at_all()).await;
        let (seen, actions) = looked.unwrap_or_default();
        for (order, action) in actions {
            self.begin(order, action);
        }
        seen
    }

    /// What is there, and what is to be done about it.
    fn look_at_all(&self) -> (Vec<Seen>, Vec<(Order, Action)>) {
        let before = self.at_work.lock().clone();
        let (Ok(listed), Ok(mut records)) = (self.config.machines.list(), self.records.all()) else {
            tracing::error!("the machines of this host can't be listed");
            return Default::default();
        };
        let known = self.orders.lock().clone();
        let is_known = known.is_some();
        let orders: BTreeMap<InstanceId, Order> =
            known.into_iter().flatten().map(|order| (order.instance.clone(), order)).collect();
        let mut inspected = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for (name, status) in listed {
            let Ok(instance) = name.as_str().parse::<InstanceId>() else { continue };
            match status {
                Ok(status) => {
                    self.servers.ensure(&instance, &status.home, records.get(&instance));
                    inspected.insert(instance, status.inspection);
                }
                Err(error) => {
                    tracing::warn!(machine = %name, %error, "it can't be seen how this machine is");
                    unknown.insert(instance);
                }
            }
        }
        let after = self.at_work.lock().clone();
        let quiet = |instance: &InstanceId| {
            let (before, after) = (before.get(instance), after.get(instance));
            !unknown.contains(instance) && before == after && !after.is_some_and(|work| work.busy)
        };
        let everything: BTreeSet<InstanceId> =
            inspected.keys().chain(records.keys()).chain(orders.keys()).cloned().collect();
        let (mut seen, mut actions) = (Vec::new(), Vec::new());
        for instance in everything.into_iter().filter(quiet) {
            let inspection = inspected.get(&instance);
            let record = records.remove(&instance).unwrap_or_default();
            let power = power(inspection);
            let order = orders.get(&instance);
            if let Some(order) = order {
                self.servers.require_tokens(&instance, order.tokens_required);
                if let Some(action) = decide(order, power, &record) {
                    actions.push((order.clone(), action));
                }
            } else if power == Power::Absent && is_known {
                // Nobody wants to know of it any more.
                self.records.forget(&instance);
                continue;
            }
            seen.push(self.seen(&instance, inspection, &record, order));
        }
        (seen, actions)
    }

    fn seen(
        &self,
        instance: &InstanceId,
        inspection: Option<&Inspection>,
        record: &Record,
        order: Option<&Order>,
    ) -> Seen {
        let ports = inspection.into_iter().flat_map(|inspection| &inspection.ports);
        let ports: Vec<String> =
            ports.map(|port| format!("{}={}:{}", port.guest, self.config.address, port.host)).collect();
        Seen {
            instance: instance.clone(),
            power: power(inspection),
            started: record.started,
            failure: order.and_then(|order| record.failure_of(order.starts)).map(str::to_owned),
            host_restarted: record.boot != self.boot,
            ports: ports.join(" "),
        }
    }

    /// Lets something be done to a machine that nothing is done to.
    fn begin(self: &Arc<Self>, order: Order, action: Action) {
        self.at_work.lock().entry(order.instance.clone()).or_default().busy = true;
        let agent = Arc::clone(self);
        tokio::spawn(async move {
            let instance = order.instance.clone();
            tracing::info!(%instance, ?action, "begins");
            let permit = agent.permits.acquire().await;
            if let Err(error) = agent.carry_out(order, action).await {
                tracing::warn!(%instance, ?action, error = %error, "did not succeed");
                // What failed for good is in the record; else it is tried again.
                tokio::time::sleep(LOOK).await;
            }
            drop(permit);
            {
                let mut at_work = agent.at_work.lock();
                let work = at_work.entry(instance).or_default();
                *work = Work { busy: false, done: work.done + 1 };
            }
            agent.changed.notify_one();
        });
    }

    /// Looks at machines that change by themselves, and sends what they say.
    async fn look(self: Arc<Self>) {
        let mut consoles = consoles::Consoles::default();
        let mut last = BTreeMap::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let agent = Arc::clone(&self);
            let states = tokio::task::spawn_blocking(move || agent.states()).await.unwrap_or_default();
            if states != last {
                last = states;
                self.changed.notify_one();
            }
            consoles.send(&self.link, &self.config.machines, last.keys()).await;
        }
    }

    fn states(&self) -> BTreeMap<InstanceId, PowerState> {
        let listed = self.config.machines.list().unwrap_or_default();
        let state = |(name, status): varve_hypervisor::Listed| {
            Some((name.as_str().parse().ok()?, status.ok()?.inspection.state))
        };
        listed.into_iter().filter_map(state).collect()
    }
}

/// What a machine of this name is called by the hypervisor.
fn machine_name(instance: &InstanceId) -> MachineName {
    instance.as_str().parse().expect("because digits and a dash are a machine's name")
}

fn power(inspection: Option<&Inspection>) -> Power {
    match inspection.map(|inspection| inspection.state) {
        None => Power::Absent,
        Some(PowerState::Running | PowerState::Paused) => Power::On,
        Some(PowerState::Stopped | PowerState::Saved) => Power::Off,
    }
}
