//! libvirt: the same machines as QEMU's, from the same files, looked after by its daemon. It is told what a machine is at each
//! start; what it knows is its own affair, and forgotten when the machine is deleted.
//!
//! Besides what [`crate::qemu::made`] lists, a machine's directory has `domain.xml` and, when it is saved, `saved-memory`,
//! which libvirt itself marks as whole when it is, and which is removed before the machine goes on from it.

mod domain;
mod virsh;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use self::domain::Domain;
use self::virsh::Virsh;
use crate::directory::{Home, Run, sync};
use crate::error::HypervisorError;
use crate::hypervisor::{
    Accelerator, AcceleratorChoice, BackEnd, Hypervisor, Inspection, PowerState, Snapshot,
};
use crate::ports::Ports;
use crate::qemu::made::Made;
use crate::qemu::{self, accelerator, firmware};
use crate::spec::{Firmware, MetadataSource, SnapshotName};

/// The memory of a machine that is saved.
const SAVED: &str = "saved-memory";
/// How that begins once it is whole.
const WHOLE: &[u8] = b"LibvirtQemudSave";
/// What libvirt was told.
const DOMAIN: &str = "domain.xml";

/// libvirt as a back end.
#[derive(Debug)]
pub struct Libvirt {
    virsh: Virsh,
    cache: PathBuf,
}

impl Libvirt {
    /// The libvirt at `uri`; without one, that which virsh chooses for this user. What is found out about the host is kept in the
    /// directory `cache`.
    pub fn new(uri: Option<String>, cache: PathBuf) -> Self {
        Self { virsh: Virsh { uri }, cache }
    }

    fn call(
        &self,
        action: &'static str,
        home: &Home,
        command: &str,
        more: &[&str],
    ) -> Result<String, HypervisorError> {
        let words: Vec<&str> =
            [command, &home.definition().id].into_iter().chain(more.iter().copied()).collect();
        self.virsh.call(action, home.name().as_str(), &words)
    }

    /// What libvirt says of the machine's state; `None` if it doesn't know the machine.
    fn state(&self, home: &Home) -> Result<Option<PowerState>, HypervisorError> {
        match self.call("look at", home, "domstate", &[]) {
            Ok(state) => Ok(Some(match state.trim() {
                "running" | "idle" | "in shutdown" => PowerState::Running,
                "paused" | "pmsuspended" => PowerState::Paused,
                _ => PowerState::Stopped,
            })),
            Err(HypervisorError::Program { said, .. }) if said.contains("failed to get domain") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells libvirt what the machine is; it may be new to it, or not.
    fn define(&self, home: &Home, accelerator: &Accelerator) -> Result<(), HypervisorError> {
        let made = Made::read(home)?;
        if let Some(base) = &made.base {
            base.check()?;
        }
        let uefi = match home.spec().firmware {
            Firmware::Uefi => Some(firmware::uefi()?),
            Firmware::Bios => None,
        };
        let last: Option<Run> = home.read("run.json")?;
        let ports = Ports::new(home.spec().network.forwards(), last.as_ref()).find(home.name().as_str())?;
        let run = Run { accelerator: accelerator.clone(), ports };
        home.write("run.json", &run)?;
        let domain = Domain { home, made: &made, accelerator, ports: &run.ports, uefi: uefi.as_ref() };
        let path = home.path(DOMAIN);
        home.write_bytes(DOMAIN, &domain.xml().map_err(HypervisorError::io("write", &path))?)?;
        self.virsh.call("define", home.name().as_str(), &["define", text(&path)?]).map(drop)
    }

    fn read_memory(&self, home: &Home) -> Result<(), HypervisorError> {
        let path = home.path(SAVED);
        self.virsh.call("restore", home.name().as_str(), &["restore", text(&path)?, "--paused"])?;
        self.go_on(home)
    }

    fn go_on(&self, home: &Home) -> Result<(), HypervisorError> {
        home.remove(SAVED)?;
        self.call("resume", home, "resume", &[]).map(drop)
    }
}

impl Hypervisor for Libvirt {
    fn back_end(&self) -> BackEnd {
        BackEnd::Libvirt
    }

    fn create(&self, home: &Home) -> Result<(), HypervisorError> {
        if matches!(home.spec().metadata, MetadataSource::Server { .. }) {
            let what = "does not lead machines to a metadata server of their own".to_owned();
            return Err(HypervisorError::Unsupported { back_end: "libvirt", what });
        }
        // It answers, or there is no use in going on.
        self.virsh.call("make", home.name().as_str(), &["version"])?;
        qemu::version()?;
        Made::make(home).map(drop)
    }

    fn start(&self, home: &Home, choice: AcceleratorChoice) -> Result<(), HypervisorError> {
        if is_saved(home)? {
            return self.read_memory(home);
        }
        let accelerator = accelerator::choose(choice, &self.cache)?;
        self.define(home, &accelerator)?;
        self.call("start", home, "start", &[]).map(drop)
    }

    fn inspect(&self, home: &Home) -> Result<Inspection, HypervisorError> {
        let state = self.state(home)?.unwrap_or(PowerState::Stopped);
        if state == PowerState::Stopped {
            let state = if is_saved(home)? { PowerState::Saved } else { state };
            return Ok(Inspection { state, process: None, uptime: None, accelerator: None, ports: vec![] });
        }
        let run: Option<Run> = home.read("run.json")?;
        Ok(Inspection {
            state,
            // They are libvirt's affair.
            process: None,
            uptime: None,
            accelerator: run.as_ref().map(|run| run.accelerator.clone()),
            ports: run.map(|run| run.ports).unwrap_or_default(),
        })
    }

    fn press_power_button(&self, home: &Home) -> Result<(), HypervisorError> {
        self.call("press the power button of", home, "shutdown", &["--mode", "acpi"]).map(drop)
    }

    fn kill(&self, home: &Home) -> Result<(), HypervisorError> {
        if self.state(home)?.is_some_and(|state| state != PowerState::Stopped) {
            let ended = self.call("end", home, "destroy", &[]);
            // It may have ended by itself.
            if self.state(home)?.is_some_and(|state| state != PowerState::Stopped) {
                ended?;
            }
        }
        home.remove(SAVED)
    }

    fn resume(&self, home: &Home) -> Result<(), HypervisorError> {
        self.go_on(home)
    }

    fn save(&self, home: &Home) -> Result<(), HypervisorError> {
        let path = home.path(SAVED);
        self.call("save", home, "save", &[text(&path)?])?;
        File::open(&path).and_then(|file| file.sync_all()).map_err(HypervisorError::io("keep", &path))?;
        sync(home.directory())
    }

    fn snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.call("make a snapshot of", home, "snapshot-create-as", &[name.as_str()]).map(drop)
    }

    fn restore(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.call("restore", home, "snapshot-revert", &[name.as_str(), "--running"]).map(drop)
    }

    fn delete_snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.call("delete a snapshot of", home, "snapshot-delete", &[name.as_str()]).map(drop)
    }

    fn snapshots(&self, home: &Home) -> Result<Vec<Snapshot>, HypervisorError> {
        if self.state(home)?.is_none() {
            return Ok(vec![]);
        }
        let listed = self.call("list the snapshots of", home, "snapshot-list", &["--name"])?;
        let names = listed.lines().map(str::trim).filter(|name| !name.is_empty());
        let mut snapshots = Vec::new();
        for name in names {
            let xml = self.call("look at a snapshot of", home, "snapshot-dumpxml", &[name])?;
            let time = xml.split_once("<creationTime>").and_then(|(_, rest)| rest.split_once('<'));
            let created = time.and_then(|(time, _)| time.parse().ok()).unwrap_or(0);
            snapshots.push(Snapshot { name: name.to_owned(), created, memory: None });
        }
        snapshots.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(snapshots)
    }

    fn console(&self, home: &Home) -> Result<File, HypervisorError> {
        match self.state(home)? {
            Some(PowerState::Running | PowerState::Paused) => {}
            _ => {
                let state = self.inspect(home)?.state;
                let hint =
                    "start it with `varve vm start`; `varve vm console --log` shows what it wrote before";
                return Err(HypervisorError::State { name: home.name().clone(), state, hint });
            }
        }
        let terminal = self.call("find the console of", home, "ttyconsole", &[])?;
        let path = Path::new(terminal.trim());
        // It is not to become this process's own terminal.
        let apart = OFlags::NOCTTY.bits() as i32;
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(apart)
            .open(path)
            .map_err(HypervisorError::io("open", path))
    }

    fn delete(&self, home: &Home) -> Result<(), HypervisorError> {
        if self.state(home)?.is_none() {
            return Ok(());
        }
        let mut more = vec!["--snapshots-metadata"];
        if home.spec().firmware == Firmware::Uefi {
            more.push("--keep-nvram");
        }
        self.call("forget", home, "undefine", &more).map(drop)
    }
}

/// Whether the whole memory of a machine is kept.
fn is_saved(home: &Home) -> Result<bool, HypervisorError> {
    let path = home.path(SAVED);
    let mut begin = [0; WHOLE.len()];
    match File::open(&path).and_then(|mut file| file.read_exact(&mut begin)) {
        Ok(()) => Ok(begin == *WHOLE),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
            Ok(false)
        }
        Err(error) => Err(HypervisorError::io("read", &path)(error)),
    }
}

/// How libvirt calls it, beside others' machines.
fn domain_name(home: &Home) -> String {
    format!("varve-{}", home.name())
}

/// A path that can be an argument.
fn text(path: &Path) -> Result<&str, HypervisorError> {
    let error = || io::Error::new(io::ErrorKind::InvalidInput, "its path is not text");
    path.to_str().ok_or_else(|| HypervisorError::io("use", path)(error()))
}
