//! QEMU, one process for each machine, which nobody has to look after: it is asked through its monitor, and found by the lock
//! that it holds on its file of its number.
//!
//! Besides what every machine has in its directory:
//!
//! ```text
//! qemu.json              what was made: the lasting name of the kind of machine, the images behind its own ones
//! kernel, initramfs      copies
//! system.qcow2           the differences to the image it starts from
//! scratchN.qcow2         empty disks
//! memory.qcow2           the memory of snapshots
//! variables.qcow2, .raw  UEFI's variables
//! meta-data, seed.img    who it is, in cloud-init's form
//! monitor.socket, console.socket, qemu.pid, qemu.log
//! saved-memory           the memory of a machine that is saved
//! ```

mod accelerator;
mod arguments;
mod disk;
mod firmware;
mod monitor;
mod ports;
mod process;
mod socket;
mod state;

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::arguments::Starting;
use self::disk::{BackingImage, Workbench};
use self::monitor::Monitor;
use crate::directory::{Home, Run};
use crate::error::HypervisorError;
use crate::hypervisor::{
    Accelerator, AcceleratorChoice, BackEnd, Hypervisor, Inspection, PowerState, Snapshot,
};
use crate::image_format::{ImageError, ImageFormat};
use crate::seed::{self, Metadata};
use crate::spec::{Boot, Firmware, SnapshotName};

/// The program: machines are of this one architecture.
const PROGRAM: &str = "qemu-system-x86_64";
/// What brings it on Debian.
const PACKAGE: &str = "qemu-system-x86";
/// The socket of its monitor.
const MONITOR: &str = "monitor.socket";
/// The kind of machine that is made.
const MACHINE: &str = "q35";
/// The size of the image that holds the memory of snapshots: it has no contents of its own.
const MEMORY_IMAGE: u64 = 1 << 20;
/// How long a monitor may take to answer the first time.
const GREETING: Duration = Duration::from_secs(10);
/// The same where nothing depends on the answer.
const GLANCE: Duration = Duration::from_secs(2);
/// How long QEMU may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(5);

/// QEMU as a back end.
#[derive(Debug)]
pub struct Qemu {
    cache: PathBuf,
}

/// What was made for a machine, and never changes.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    machine_type: String,
    base: Option<BackingImage>,
    variables: Option<BackingImage>,
    scratch: usize,
    disks: Vec<BackingImage>,
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
        let mut ports = ports::Ports::new(home.spec().network.forwards(), last.as_ref());
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
                accelerator = accelerator::disappointed(&self.cache, said)?;
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
        let spec = home.spec();
        let definition = home.definition();
        let metadata = Metadata {
            instance_id: &definition.id,
            local_hostname: spec.name.as_str(),
            public_keys: &spec.ssh_keys,
        };
        let failed = || HypervisorError::io("make", &home.path("seed.img"));
        let metadata = metadata.bytes().map_err(failed())?;
        let seed = seed::image(&metadata, spec.user_data.bytes().unwrap_or_default()).map_err(failed())?;
        home.write_bytes("meta-data", &metadata)?;
        home.write_bytes("seed.img", &seed)?;
        let base = match &spec.boot {
            Boot::Image(path) => {
                let format = ImageFormat::of(path)?;
                format.check_bootable(path)?;
                Some(BackingImage::look(path, format)?)
            }
            Boot::Kernel(boot) => {
                copy(&boot.kernel, &home.path("kernel"))?;
                if let Some(initramfs) = &boot.initramfs {
                    copy(initramfs, &home.path("initramfs"))?;
                }
                None
            }
        };
        let look = |path: &PathBuf| BackingImage::look(path, ImageFormat::of(path)?);
        let disks = spec.disks.iter().map(|disk| look(&disk.path)).collect::<Result<_, _>>()?;
        let variables = match spec.firmware {
            Firmware::Bios => None,
            Firmware::Uefi => {
                let path = home.path("variables.raw");
                copy(&firmware::uefi()?.variables, &path)?;
                Some(path)
            }
        };
        let mut workbench = Workbench::start(spec.name.as_str())?;
        let machine_type = workbench.machine_type(MACHINE)?;
        workbench.create(&home.path(&disk_file("memory")), MEMORY_IMAGE)?;
        for (number, size) in spec.scratch.iter().enumerate() {
            workbench.create(&home.path(&disk_file(&format!("scratch{number}"))), size.bytes())?;
        }
        if let Some(base) = base.as_ref().filter(|base| base.format != ImageFormat::Iso) {
            workbench.create_over(&home.path(&disk_file("system")), base)?;
        }
        let variables = match variables {
            None => None,
            Some(path) => {
                let image = BackingImage::look(&path, ImageFormat::Raw)?;
                workbench.create_over(&home.path(&disk_file("variables")), &image)?;
                Some(image)
            }
        };
        home.write("qemu.json", &Made { machine_type, base, variables, scratch: spec.scratch.len(), disks })
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
        let monitor = Monitor::connect(home.name().as_str(), &home.path(MONITOR), GLANCE);
        let status = monitor.and_then(|mut monitor| monitor.execute("query-status", &json!({})));
        // Somebody else may be talking to it: then it is there all the same.
        let running = status.map_or(true, |status| status["running"] == true);
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

    fn console(&self, home: &Home) -> Result<UnixStream, HypervisorError> {
        if process::find(home.directory())?.is_none() {
            let state = self.inspect(home)?.state;
            let hint = "start it with `varve vm start`; `varve vm console --log` shows what it wrote before";
            return Err(HypervisorError::State { name: home.name().clone(), state, hint });
        }
        let path = home.path("console.socket");
        socket::connect(&path).map_err(HypervisorError::io("connect to", &path))
    }

    fn delete(&self, _home: &Home) -> Result<(), HypervisorError> {
        Ok(())
    }
}

impl Made {
    fn read(home: &Home) -> Result<Self, HypervisorError> {
        let path = home.path("qemu.json");
        let gone = || HypervisorError::io("read", &path)(io::ErrorKind::NotFound.into());
        home.read("qemu.json")?.ok_or_else(gone)
    }

    /// The images that the machine writes to, by the names of their nodes, each with what is behind it.
    fn own_images(&self) -> impl Iterator<Item = (String, Option<&BackingImage>)> {
        let base = self.base.as_ref().filter(|base| base.format != ImageFormat::Iso);
        let system = base.map(|base| ("system".to_owned(), Some(base)));
        let scratch = (0..self.scratch).map(|number| (format!("scratch{number}"), None));
        let variables = self.variables.as_ref().map(|image| ("variables".to_owned(), Some(image)));
        system.into_iter().chain(scratch).chain(variables).chain([("memory".to_owned(), None)])
    }
}

/// The file of an image that the machine writes to.
fn disk_file(node: &str) -> String {
    format!("{node}.qcow2")
}

/// Copies a file that the machine is made from.
fn copy(from: &Path, to: &Path) -> Result<(), HypervisorError> {
    let unreadable = |source| ImageError::Read { path: from.to_owned(), source };
    if fs::metadata(from).map_err(unreadable)?.is_dir() {
        return Err(ImageError::Directory { path: from.to_owned() }.into());
    }
    let mut source = fs::File::open(from).map_err(unreadable)?;
    let failed = || HypervisorError::io("write", to);
    let mut file = fs::File::create(to).map_err(failed())?;
    io::copy(&mut source, &mut file).and_then(|_| file.sync_all()).map_err(failed())
}

/// What QEMU calls itself.
fn version() -> Result<String, HypervisorError> {
    let output = Command::new(PROGRAM)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(missing(PROGRAM, PACKAGE))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// For `map_err` where a program is started.
fn missing(program: &'static str, package: &'static str) -> impl FnOnce(io::Error) -> HypervisorError {
    move |source| {
        if source.kind() == io::ErrorKind::NotFound {
            return HypervisorError::Missing { program: program.to_owned(), package };
        }
        HypervisorError::io("start", Path::new(program))(source)
    }
}
