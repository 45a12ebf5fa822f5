//! All machines of a user, each run by its back end: what programs call.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::directory::{Definition, Directory, Home, MachineLock};
use crate::error::HypervisorError;
use crate::hypervisor::{AcceleratorChoice, BackEnd, Hypervisor, Inspection, PowerState, Snapshot};
use crate::spec::{MachineName, MachineSpec, SnapshotName};

/// How often a machine that is to end is looked at.
const POLL: Duration = Duration::from_millis(50);

/// All machines of a user.
pub struct Machines {
    directory: Directory,
    back_ends: Vec<Box<dyn Hypervisor>>,
}

/// What is written down of a machine, and how it is.
#[derive(Debug)]
pub struct MachineStatus {
    /// The directory and definition.
    pub home: Home,
    /// How it is.
    pub inspection: Inspection,
}

/// A machine, and its status or why nobody knows it.
pub type Listed = (MachineName, Result<MachineStatus, HypervisorError>);

/// A line to a machine's serial console, which nobody else has meanwhile.
#[derive(Debug)]
pub struct Console {
    /// What the machine writes is read from it, and what it is to read is written to it.
    pub line: File,
    _lock: MachineLock,
}

/// How a machine is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// By its power button; the system in it has so long to shut down.
    Asked(Duration),
    /// At once, as in a power cut.
    Forced,
}

/// Whether a machine that is not off is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Only one that is off.
    Stopped,
    /// Any; it is ended first.
    Forced,
}

impl Machines {
    /// The machines in a directory, which may not be there yet, and what can run them.
    pub fn new(directory: PathBuf, back_ends: Vec<Box<dyn Hypervisor>>) -> Self {
        Self { directory: Directory::new(directory), back_ends }
    }

    /// Makes a machine, off; `now` in seconds since 1970.
    ///
    /// # Errors
    /// If the name is taken, or something it needs can't be used.
    pub fn create(
        &self,
        spec: MachineSpec,
        back_end: BackEnd,
        accelerator: AcceleratorChoice,
        now: u64,
    ) -> Result<Home, HypervisorError> {
        spec.check()?;
        let hypervisor = self.hypervisor(back_end)?;
        let _lock = self.directory.lock(&spec.name)?;
        let definition = Definition::new(spec, back_end, accelerator, now)?;
        self.directory.create(definition, |home| hypervisor.create(home))
    }

    /// Lets a machine run that is stopped, saved or paused.
    ///
    /// # Errors
    /// If it runs already, or can't.
    pub fn start(&self, name: &MachineName) -> Result<MachineStatus, HypervisorError> {
        let _lock = self.directory.lock(name)?;
        let home = self.directory.home(name)?;
        let hypervisor = self.hypervisor(home.definition().back_end)?;
        match hypervisor.inspect(&home)?.state {
            PowerState::Running => return Err(refused(name, PowerState::Running, "")),
            PowerState::Paused => hypervisor.resume(&home)?,
            PowerState::Stopped | PowerState::Saved => {
                hypervisor.start(&home, home.definition().accelerator)?;
            }
        }
        let inspection = hypervisor.inspect(&home)?;
        Ok(MachineStatus { home, inspection })
    }

    /// How a machine is.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn status(&self, name: &MachineName) -> Result<MachineStatus, HypervisorError> {
        let home = self.directory.home(name)?;
        let inspection = self.hypervisor(home.definition().back_end)?.inspect(&home)?;
        Ok(MachineStatus { home, inspection })
    }

    /// All machines by name; beside each either its status or why nobody knows it.
    ///
    /// # Errors
    /// If the directory can't be read.
    pub fn list(&self) -> Result<Vec<Listed>, HypervisorError> {
        let names = self.directory.names()?;
        let looked = names.into_iter().map(|name| {
            let status = self.status(&name);
            (name, status)
        });
        // One that is deleted meanwhile is none.
        Ok(looked.filter(|(_, status)| !matches!(status, Err(HypervisorError::Unknown { .. }))).collect())
    }

    /// Stops a machine and waits until it is off. A saved one loses its memory only by force.
    ///
    /// # Errors
    /// [`HypervisorError::Late`] if the system in it did not shut down; the machine runs on then.
    pub fn stop(&self, name: &MachineName, how: Stopping) -> Result<(), HypervisorError> {
        let lock = self.directory.lock(name)?;
        let home = self.directory.home(name)?;
        let hypervisor = self.hypervisor(home.definition().back_end)?;
        let limit = match (hypervisor.inspect(&home)?.state, how) {
            (PowerState::Stopped, _) => return Ok(()),
            (_, Stopping::Forced) => return hypervisor.kill(&home),
            (PowerState::Running, Stopping::Asked(limit)) => limit,
            (state, Stopping::Asked(_)) => {
                let hint = "let it go on with `varve vm start` so that it can shut down, or give its memory up with --force";
                return Err(refused(name, state, hint));
            }
        };
        hypervisor.press_power_button(&home)?;
        // Others may look after it meanwhile, or force it.
        drop(lock);
        let end = Instant::now() + limit;
        while hypervisor.inspect(&home)?.state != PowerState::Stopped {
            if Instant::now() > end {
                return Err(HypervisorError::Late {
                    name: name.to_string(),
                    what: "did not shut down",
                    limit,
                    hint: "its system may not listen to the power button; look at `varve vm console`, or end it as a power cut would with --force",
                });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Removes a machine and everything that was made for it.
    ///
    /// # Errors
    /// If it is not off and that was asked for.
    pub fn delete(&self, name: &MachineName, how: Deletion) -> Result<(), HypervisorError> {
        let _lock = self.directory.lock(name)?;
        let home = self.directory.home(name)?;
        let hypervisor = self.hypervisor(home.definition().back_end)?;
        let state = hypervisor.inspect(&home)?.state;
        match (state, how) {
            (PowerState::Stopped, _) => {}
            (_, Deletion::Forced) => hypervisor.kill(&home)?,
            (state, Deletion::Stopped) => {
                return Err(refused(name, state, "stop it first, or delete it with --force"));
            }
        }
        hypervisor.delete(&home)?;
        self.directory.remove(&home)
    }

    /// Keeps the memory of a running machine and ends it; the next start goes on from there.
    ///
    /// # Errors
    /// If it can't be kept.
    pub fn save(&self, name: &MachineName) -> Result<(), HypervisorError> {
        self.change_running(name, |hypervisor, home| hypervisor.save(home))
    }

    /// Keeps memory and disks of a running machine under a name.
    ///
    /// # Errors
    /// If there is a snapshot of that name, or none can be made.
    pub fn snapshot(&self, name: &MachineName, snapshot: &SnapshotName) -> Result<(), HypervisorError> {
        self.change_running(name, |hypervisor, home| {
            expect_snapshot(hypervisor, home, snapshot, false)?;
            hypervisor.snapshot(home, snapshot)
        })
    }

    /// Puts a running machine back to a snapshot.
    ///
    /// # Errors
    /// If there is none, or it can't be.
    pub fn restore(&self, name: &MachineName, snapshot: &SnapshotName) -> Result<(), HypervisorError> {
        self.change_running(name, |hypervisor, home| {
            expect_snapshot(hypervisor, home, snapshot, true)?;
            hypervisor.restore(home, snapshot)
        })
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// If there is none.
    pub fn delete_snapshot(
        &self,
        name: &MachineName,
        snapshot: &SnapshotName,
    ) -> Result<(), HypervisorError> {
        self.change_running(name, |hypervisor, home| {
            expect_snapshot(hypervisor, home, snapshot, true)?;
            hypervisor.delete_snapshot(home, snapshot)
        })
    }

    /// The snapshots of a machine.
    ///
    /// # Errors
    /// If they can't be listed.
    pub fn snapshots(&self, name: &MachineName) -> Result<Vec<Snapshot>, HypervisorError> {
        let home = self.directory.home(name)?;
        self.hypervisor(home.definition().back_end)?.snapshots(&home)
    }

    /// A line to a machine's serial console, for one at a time.
    ///
    /// # Errors
    /// If it doesn't run, or somebody else has the console.
    pub fn console(&self, name: &MachineName) -> Result<Console, HypervisorError> {
        let home = self.directory.home(name)?;
        let hypervisor = self.hypervisor(home.definition().back_end)?;
        let lock = self.directory.lock_console(name)?;
        Ok(Console { line: hypervisor.console(&home)?, _lock: lock })
    }

    /// What a machine wrote to its serial console, of all its starts.
    ///
    /// # Errors
    /// If nothing can be read there.
    pub fn console_log(&self, name: &MachineName) -> Result<File, HypervisorError> {
        let path: &Path = &self.directory.home(name)?.console_log();
        File::open(path).map_err(HypervisorError::io("read", path))
    }

    fn change_running(
        &self,
        name: &MachineName,
        change: impl FnOnce(&dyn Hypervisor, &Home) -> Result<(), HypervisorError>,
    ) -> Result<(), HypervisorError> {
        let _lock = self.directory.lock(name)?;
        let home = self.directory.home(name)?;
        let hypervisor = self.hypervisor(home.definition().back_end)?;
        match hypervisor.inspect(&home)?.state {
            PowerState::Running => change(hypervisor, &home),
            state => Err(refused(name, state, "let it run with `varve vm start` first")),
        }
    }

    fn hypervisor(&self, back_end: BackEnd) -> Result<&dyn Hypervisor, HypervisorError> {
        let found = self.back_ends.iter().find(|hypervisor| hypervisor.back_end() == back_end);
        found.map(AsRef::as_ref).ok_or(HypervisorError::Unsupported {
            back_end: back_end.as_str(),
            what: "is not at hand".to_owned(),
        })
    }
}

fn refused(name: &MachineName, state: PowerState, hint: &'static str) -> HypervisorError {
    HypervisorError::State { name: name.clone(), state, hint }
}

fn expect_snapshot(
    hypervisor: &dyn Hypervisor,
    home: &Home,
    snapshot: &SnapshotName,
    expected: bool,
) -> Result<(), HypervisorError> {
    let there = hypervisor.snapshots(home)?.iter().any(|kept| kept.name == snapshot.as_str());
    if there == expected {
        return Ok(());
    }
    Err(HypervisorError::Snapshot { name: home.name().clone(), snapshot: snapshot.clone(), there })
}
