//! What machines write to their consoles, on its way to the service: the end of it, whenever there is more.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use varve_hypervisor::Machines;

use super::link::Link;
use super::machine_name;
use crate::hosts::protocol::MOST_CONSOLE;
use crate::id::InstanceId;

/// How much of each has been sent.
#[derive(Debug, Default)]
pub(super) struct Consoles {
    sent: BTreeMap<InstanceId, u64>,
}

impl Consoles {
    /// Sends what is new of these machines.
    pub(super) async fn send(
        &mut self,
        link: &Link,
        machines: &Arc<Machines>,
        instances: impl Iterator<Item = &InstanceId>,
    ) {
        let mut sent = BTreeMap::new();
        for instance in instances {
            let before = self.sent.get(instance).copied().unwrap_or_default();
            let (machines, name) = (Arc::clone(machines), machine_name(instance));
            let read = tokio::task::spawn_blocking(move || end(&machines, &name, before)).await;
            let mut length = before;
            if let Ok(Some((now, content))) = read {
                match link.console(instance, content).await {
                    Ok(()) => length = now,
                    // The next look tries again.
                    Err(error) => tracing::debug!(%instance, %error, "a console's end was not taken"),
                }
            }
            sent.insert(instance.clone(), length);
        }
        self.sent = sent;
    }
}

/// The length of a console's log and its end, if it isn't as long as it was.
fn end(machines: &Machines, name: &varve_hypervisor::MachineName, before: u64) -> Option<(u64, Vec<u8>)> {
    let mut log = machines.console_log(name).ok()?;
    let length = log.metadata().ok()?.len();
    if length == before {
        return None;
    }
    log.seek(SeekFrom::Start(length.saturating_sub(MOST_CONSOLE as u64))).ok()?;
    let mut content = Vec::new();
    log.take(MOST_CONSOLE as u64).read_to_end(&mut content).ok()?;
    Some((length, content))
}
