//! `varve vm list`: which machines there are, and how they are.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use varve_hypervisor::{Boot, ForwardedPort, MachineName, MachineStatus, PowerState, Protocol};

use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// List the machines of this user
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    listing: ListingOptions,
}

/// One machine. Of one that can't be looked at only the name is known.
#[derive(Serialize)]
struct Listed {
    name: String,
    state: Option<PowerState>,
    back_end: Option<&'static str>,
    accelerator: Option<&'static str>,
    accelerator_reason: Option<String>,
    cores: Option<u16>,
    memory_bytes: Option<u64>,
    ports: Vec<ForwardedPort>,
    uptime_seconds: Option<u64>,
    process: Option<u32>,
    boots: Option<String>,
    directory: Option<String>,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] =
        &["NAME", "STATE", "ACCELERATOR", "CORES", "MEMORY", "UPTIME", "PORTS", "BOOTS"];
    const NUMBERS: &'static [usize] = &[3, 4, 5];

    fn cells(&self) -> Vec<String> {
        let ports: Vec<String> = self.ports.iter().map(port).collect();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            self.name.clone(),
            self.state.map_or_else(|| "unknown".to_owned(), |state| state.to_string()),
            or_dash(self.accelerator.map(str::to_owned)),
            or_dash(self.cores.map(|cores| cores.to_string())),
            or_dash(self.memory_bytes.map(|bytes| format!("{}M", bytes >> 20))),
            or_dash(self.uptime_seconds.map(|seconds| duration(Duration::from_secs(seconds)))),
            if ports.is_empty() { "-".to_owned() } else { ports.join(" ") },
            or_dash(self.boots.clone()),
        ]
    }
}

impl List {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let machines = super::machines(invocation)?.list()?;
        let rows: Vec<Listed> = machines
            .into_iter()
            .map(|(name, status)| match status {
                Ok(status) => listed(&status),
                Err(error) => {
                    invocation.output.warn(format!("{name}: {error}"));
                    unknown(&name)
                }
            })
            .collect();
        invocation.output.listing(self.listing, &rows)
    }
}

fn listed(status: &MachineStatus) -> Listed {
    let (home, inspection) = (&status.home, &status.inspection);
    let (spec, accelerator) = (home.spec(), inspection.accelerator.as_ref());
    let source = match &spec.boot {
        Boot::Image(path) => path,
        Boot::Kernel(boot) => &boot.kernel,
    };
    Listed {
        name: home.name().to_string(),
        state: Some(inspection.state),
        back_end: Some(home.definition().back_end.as_str()),
        accelerator: accelerator.map(|accelerator| accelerator.as_str()),
        accelerator_reason: accelerator.map(|accelerator| accelerator.why.clone()),
        cores: Some(spec.cores),
        memory_bytes: Some(spec.memory.bytes()),
        ports: inspection.ports.clone(),
        uptime_seconds: inspection.uptime.map(|uptime| uptime.as_secs()),
        process: inspection.process,
        boots: Some(source.display().to_string()),
        directory: Some(home.directory().display().to_string()),
    }
}

fn unknown(name: &MachineName) -> Listed {
    Listed {
        name: name.to_string(),
        state: None,
        back_end: None,
        accelerator: None,
        accelerator_reason: None,
        cores: None,
        memory_bytes: None,
        ports: vec![],
        uptime_seconds: None,
        process: None,
        boots: None,
        directory: None,
    }
}

/// As it was given, without what is usual.
fn port(port: &ForwardedPort) -> String {
    let address = if port.address.is_loopback() { String::new() } else { format!("{}:", port.address) };
    let protocol = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    format!("{address}{}:{}{protocol}", port.host, port.guest)
}

/// The two largest units: `3d 4h`, `12m 5s`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let shown = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!([shown(5), shown(65), shown(3700), shown(90_000)], ["5s", "1m 5s", "1h 1m", "1d 1h"]);
    }
}
