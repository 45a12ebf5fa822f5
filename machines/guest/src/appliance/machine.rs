//! `/api/machine`: what the machine is and how it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;

use super::Shared;
use super::problem::Problem;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Machine {
    hostname: String,
    operating_system: String,
    kernel: String,
    uptime_seconds: u64,
    load: f64,
    processors: usize,
    memory: Space,
    /// Where changes are kept.
    disk: Space,
    /// What the guest says of the boot.
    boot: Value,
}

#[derive(Debug, Serialize)]
struct Space {
    total: u64,
    available: u64,
}

pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Json<Machine>, Problem> {
    let system = &shared.system;
    let memory = system.read("proc/meminfo")?;
    let kilobytes = |name: &str| {
        let value = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default()
            << 10
    };
    let first = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    let release = system.read("etc/os-release")?;
    let disk = rustix::fs::statvfs(&shared.root).map_err(std::io::Error::from)?;
    Ok(Json(Machine {
        hostname: system.read("etc/hostname")?.trim().to_owned(),
        operating_system: release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))
            .unwrap_or_default()
            .trim_matches('"')
            .to_owned(),
        kernel: system.read("proc/sys/kernel/osrelease")?.trim().to_owned(),
        uptime_seconds: first(&system.read("proc/uptime")?)
            .split('.')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or_default(),
        load: first(&system.read("proc/loadavg")?).parse().unwrap_or_default(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory: Space { total: kilobytes("MemTotal"), available: kilobytes("MemAvailable") },
        disk: Space { total: disk.f_blocks * disk.f_frsize, available: disk.f_bavail * disk.f_frsize },
        boot: serde_json::from_str(&system.read("run/varve/boot.json")?).unwrap_or(Value::Null),
    }))
}

/// Starts the machine anew.
pub(super) async fn restart(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    shared.system.systemctl(&["--no-block", "reboot"])?;
    Ok(Json(Value::Object(serde_json::Map::new())))
}
