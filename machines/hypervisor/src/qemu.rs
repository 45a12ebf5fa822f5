//! QEMU, one process for each machine, which nobody has to look after: it is asked through its monitor, and found by the lock
//! that it holds on its file of its number.
//!
//! Besides what every machine has in its directory:
//!
//! ```text
//! what was made for it, see made.rs
//! monitor.socket, console.socket, qemu.alive, qemu.pid, qemu.log
//! saved-memory           the memory of a machine that is saved
//! ```

pub(crate) mod accelerator;
mod arguments;
mod disk;
pub(crate) mod firmware;
pub(crate) mod made;
mod monitor;
mod process;
mod socket;
mod state;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::arguments::Starting;
use self::disk::Workbench;
use self::made::{Made, disk_file};
use self::monitor::Monitor;
use crate::directory::{Home, Run};
use crate::error::HypervisorError;
use crate::hypervisor::{
    Accelerator, AcceleratorChoice, BackEnd, Hypervisor, Inspection, PowerState, Snapshot,
};
use crate::ports::Ports;
use crate::spec::{Firmware, SnapshotName};

/// The program: machines are of this one architecture.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";
/// What brings it on Debian.
const PACKAGE: &str = "qemu-system-x86";
/// The socket of its monitor.
const MONITOR: &str = "monitor.socket";
/// How long a monitor may take to answer the first time.
const GREETING: Duration = Duration::from_secs(10);
/// The same where nothing depends on the answer.
const GLANCE: Duration = Duration::from_secs(5);
/// How long QEMU may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(5);

/// QEMU as a back end.
#[derive(Debug)]
pub struct Qemu {
    cache: PathBuf,
}

impl Qemu {
    /// Keeps what is found out about the host in the directory `cache`.
    pub fn new(cache: PathBuf) -> Self {
        Self { cache }
    }

    /// Whether it is installed.
    pub fn is_installed() -> bool {
        version().is_ok()
    }

    fn monitor(&self, home: &Home) -> Result<Monitor<UnixStream>, HypervisorError> {
        Monitor::connect(home.name().as_str(), &home.path(MONITOR), GREETING)
    }

    /// What QEMU says of its state, if it says so soon; it may just have been started.
    fn glance(&self, home: &Home) -> Option<Value> {
        let end = Instant::now() + GLANCE;
        loop {
            let monitor = Monitor::connect(home.name().as_str(), &home.path(MONITOR), GLANCE);
            let status = monitor.and_then(|mut monitor| monitor.execute("query-status", &json!({})));
            if status.is_ok() || Instant::now() > end {
                return status.ok();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends a machine's process, by asking if it listens.
    fn quit(&self, home: &Home, monitor: Option<Monitor<UnixStream>>) -> Result<(), HypervisorError> {
        let monitor =
            monitor.map_or_else(|| Monitor::connect(home.name().as_str(), &home.path(MONITOR), GLANCE), Ok);
        // It may hang up before it answers.
        let asked = monitor.and_then(|mut monitor| monitor.execute("quit", &json!({})));
        if asked.is_ok() || process::find(home.directory())?.is_none() {
            process::wait(home.directory(), ENDING)?;
        }
        process::kill(home.directory())
    }

    /// Starts the process; falls back to translation when KVM was only tried.
    fn launch(
        &self,
        home: &Home,
        made: &Made,
        choice: AcceleratorChoice,
        incoming: Option<Accelerator>,
    ) -> Result<(), HypervisorError> {
        let uefi = match home.spec().firmware {
            Firmware::Uefi => Some(firmware::uefi()?),
            Firmware::Bios => None,
        };
        let saved = incoming.is_some();
        let mut accelerator = incoming.map_or_else(|| accelerator::choose(choice, &self.cache), Ok)?;
        let last: Option<Run> = home.read("run.json")?;
        let mut ports = Ports::new(home.spec().network.forwards(), last.as_ref());
        loop {
            let run = Run { accelerator: accelerator.clone(), ports: ports.find(home.name().as_str())? };
            home.write("run.json", &run)?;
            let starting = Starting {
                home,
                made,
                accelerator: &accelerator,
                ports: &run.ports,
                uefi: uefi.as_ref(),
                incoming: saved,
            };
            let error = match process::spawn(home.name().as_str(), home.directory(), &starting.arguments()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let HypervisorError::Program { said, .. } = &error else { return Err(error) };
            if said.contains("host forwarding rule") {
                ports.taken(home.name().as_str())?;
            } else if accelerator.kvm && choice == AcceleratorChoice::Auto && !saved {
                accelerator = accelerator::disappointed(said);
            } else {
                return Err(error);
            }
        }
    }
}

impl Hypervisor for Qemu {
    fn back_end(&self) -> BackEnd {
        BackEnd::Qemu
    }

    fn create(&self, home: &Home) -> Result<(), HypervisorError> {
        version()?;
        Made::make(home).map(drop)
    }

    fn start(&self, home: &Home, choice: AcceleratorChoice) -> Result<(), HypervisorError> {
        let made = Made::read(home)?;
        if let Some(base) = &made.base {
            base.check()?;
        }
        state::tidy(home)?;
        if !state::is_saved(home) {
            return self.launch(home, &made, choice, None);
        }
        let last: Option<Run> = home.read("run.json")?;
        let accelerator = match last {
            Some(last) => last.accelerator,
            None => accelerator::choose(choice, &self.cache)?,
        };
        self.launch(home, &made, choice, Some(accelerator))?;
        self.read_memory(home).inspect_err(|_| {
            // Its memory is still kept, and the next start tries again.
            let _ = process::kill(home.directory());
        })
    }

    fn inspect(&self, home: &Home) -> Result<Inspection, HypervisorError> {
        let Some(process) = process::find(home.directory())? else {
            let saved = state::is_saved(home);
            return Ok(Inspection {
                state: if saved { PowerState::Saved } else { PowerState::Stopped },
                process: None,
                uptime: None,
                accelerator: None,
                ports: vec![],
            });
        };
        let run: Option<Run> = home.read("run.json")?;
        // Somebody else may be talking to it for long: then it is there all the same.
        let running = self.glance(home).is_none_or(|status| status["running"] == true);
        Ok(Inspection {
            state: if running { PowerState::Running } else { PowerState::Paused },
            process: u32::try_from(process.as_raw_nonzero().get()).ok(),
            uptime: process::uptime(process),
            accelerator: run.as_ref().map(|run| run.accelerator.clone()),
            ports: run.map(|run| run.ports).unwrap_or_default(),
        })
    }

    fn press_power_button(&self, home: &Home) -> Result<(), HypervisorError> {
        self.monitor(home)?.execute("system_powerdown", &json!({})).map(drop)
    }

    fn kill(&self, home: &Home) -> Result<(), HypervisorError> {
        if process::find(home.directory())?.is_some() {
            self.quit(home, None)?;
        }
        home.remove(state::SAVED)
    }

    fn resume(&self, home: &Home) -> Result<(), HypervisorError> {
        if self.waits_for_memory(home)? {
            process::kill(home.directory())?;
            return self.start(home, home.definition().accelerator);
        }
        let mut monitor = self.monitor(home)?;
        self.go_on(home, &mut monitor)
    }

    fn save(&self, home: &Home) -> Result<(), HypervisorError> {
        self.save_memory(home)
    }

    fn snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.keep_snapshot(home, name)
    }

    fn restore(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.load_snapshot(home, name)
    }

    fn delete_snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.forget_snapshot(home, name)
    }

    fn snapshots(&self, home: &Home) -> Result<Vec<Snapshot>, HypervisorError> {
        if process::find(home.directory())?.is_none() {
            return Workbench::start(home.name().as_str())?.snapshots(&home.path(&disk_file("memory")));
        }
        let nodes = self.monitor(home)?.execute("query-named-block-nodes", &json!({ "flat": true }))?;
        Ok(disk::snapshots_of(&nodes, "memory"))
    }

    fn console(&self, home: &Home) -> Result<File, HypervisorError> {
        if process::find(home.directory())?.is_none() {
            let state = self.inspect(home)?.state;
            let hint = "start it with `varve vm start`; `varve vm console --log` shows what it wrote before";
            return Err(HypervisorError::State { name: home.name().clone(), state, hint });
        }
        let path = home.path("console.socket");
        let stream = socket::connect(&path).map_err(HypervisorError::io("connect to", &path))?;
        Ok(File::from(OwnedFd::from(stream)))
    }

    fn delete(&self, _home: &Home) -> Result<(), HypervisorError> {
        Ok(())
    }
}

/// What QEMU calls itself.
pub(crate) fn version() -> Result<String, HypervisorError> {
    let output = Command::new(PROGRAM)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(missing(PROGRAM, PACKAGE))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// For `map_err` where a program is started.
pub(crate) fn missing(
    program: &'static str,
    package: &'static str,
) -> impl FnOnce(io::Error) -> HypervisorError {
    move |source| {
        if source.kind() == io::ErrorKind::NotFound {
            return HypervisorError::Missing { program: program.to_owned(), package };
        }
        HypervisorError::io("start", Path::new(program))(source)
    }
}
