//! The directory of all machines, and that of one.
//!
//! ```text
//! DIRECTORY/
//!   .locks/NAME     held by whoever changes the machine NAME; never removed, so that nobody locks a file that is gone
//!   .locks/NAME.console  held by whoever is at its console
//!   .new-NAME/      a machine that is being made: nobody's, unless the lock is held
//!   .old-NAME/      a machine that is being deleted, likewise
//!   NAME/           a machine
//!     machine.json  its definition
//!     user-data     what it is to become, readable for the owner only
//!     identity      what opens the sealed part of that, likewise
//!     console.log   what it wrote to its serial console
//!     run.json      how it was started last: accelerator, ports
//!     …             what the back end made: disks, sockets, saved memory
//! ```
//!
//! Files that are written more than once are replaced by a rename.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::HypervisorError;
use crate::hypervisor::{Accelerator, AcceleratorChoice, BackEnd, ForwardedPort};
use crate::spec::{MachineName, MachineSpec, MetadataSource, UserData};

/// The version of `machine.json` that is written.
const VERSION: u32 = 1;
/// No file of ours is longer; one that is, is not read.
const LONGEST: u64 = 4 << 20;
/// How long somebody else's change is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The directory of all machines.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// What is written down of a machine when it is made, and never changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// Of the file's form.
    version: u32,
    /// Tells machines of the same name apart: a new one must not take itself for an old one.
    pub id: String,
    /// What runs it.
    pub back_end: BackEnd,
    /// The accelerator that was asked for.
    pub accelerator: AcceleratorChoice,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// What it is.
    pub spec: MachineSpec,
}

/// What is written down at each start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) accelerator: Accelerator,
    pub(crate) ports: Vec<ForwardedPort>,
}

/// One machine's directory and definition.
#[derive(Debug)]
pub struct Home {
    directory: PathBuf,
    definition: Definition,
}

/// The lock of a machine; released when dropped, or when the process ends.
#[derive(Debug)]
pub(crate) struct MachineLock {
    _file: File,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Waits a while for the machine's lock.
    pub(crate) fn lock(&self, name: &MachineName) -> Result<MachineLock, HypervisorError> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(lock);
            }
            if Instant::now() > end {
                return Err(HypervisorError::Busy { name: name.clone() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The lock of whoever is at the machine's console.
    pub(crate) fn lock_console(&self, name: &MachineName) -> Result<MachineLock, HypervisorError> {
        let lock = self.try_lock_file(&format!("{name}.console"))?;
        lock.ok_or_else(|| HypervisorError::ConsoleBusy { name: name.clone() })
    }

    fn try_lock(&self, name: &MachineName) -> Result<Option<MachineLock>, HypervisorError> {
        self.try_lock_file(name.as_str())
    }

    fn try_lock_file(&self, file: &str) -> Result<Option<MachineLock>, HypervisorError> {
        let locks = self.path.join(".locks");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&locks)
            .map_err(HypervisorError::io("create", &locks))?;
        let path = locks.join(file);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(HypervisorError::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(MachineLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(HypervisorError::io("lock", &path)(error.into())),
        }
    }

    /// Makes a machine: `fill` gets its directory before anybody else sees it. The caller holds the lock.
    pub(crate) fn create(
        &self,
        definition: Definition,
        fill: impl FnOnce(&Home) -> Result<(), HypervisorError>,
    ) -> Result<Home, HypervisorError> {
        let name = definition.spec.name.clone();
        let path = self.path.join(name.as_str());
        if path.exists() {
            return Err(HypervisorError::Exists { name });
        }
        let new = self.path.join(format!(".new-{name}"));
        remove(&new)?;
        DirBuilder::new().mode(0o700).create(&new).map_err(HypervisorError::io("create", &new))?;
        let home = Home { directory: new.clone(), definition };
        let made = home.write("machine.json", &home.definition).and_then(|()| {
            for (name, told) in [("user-data", &home.spec().user_data), ("identity", &home.spec().identity)] {
                if let Some(bytes) = told.bytes() {
                    home.write_bytes(name, bytes)?;
                }
            }
            fill(&home)
        });
        if let Err(error) = made {
            // What is left is removed by the next one who makes a machine of this name.
            let _ = remove(&new);
            return Err(error);
        }
        fs::rename(&new, &path).map_err(HypervisorError::io("create", &path))?;
        sync(&self.path)?;
        Ok(Home { directory: path, ..home })
    }

    /// A machine.
    pub(crate) fn home(&self, name: &MachineName) -> Result<Home, HypervisorError> {
        let directory = self.path.join(name.as_str());
        let definition: Option<Definition> = read(&directory.join("machine.json"))?;
        let mut definition = definition.ok_or_else(|| HypervisorError::Unknown { name: name.clone() })?;
        let spec = &mut definition.spec;
        for (name, told) in [("user-data", &mut spec.user_data), ("identity", &mut spec.identity)] {
            if let Some(bytes) = read_bytes(&directory.join(name))? {
                *told = UserData::new(bytes)?;
            }
        }
        Ok(Home { directory, definition })
    }

    /// The names of all machines, sorted. What a killed process left of others is removed.
    pub(crate) fn names(&self) -> Result<Vec<MachineName>, HypervisorError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(HypervisorError::io("list", &self.path)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(HypervisorError::io("list", &self.path))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(left) = name.strip_prefix(".new-").or_else(|| name.strip_prefix(".old-")) {
                if let Ok(left) = left.parse()
                    && let Some(_lock) = self.try_lock(&left)?
                {
                    remove(&entry.path())?;
                }
            } else if let Ok(name) = name.parse() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes a machine. The caller holds the lock, and nothing runs in it.
    pub(crate) fn remove(&self, home: &Home) -> Result<(), HypervisorError> {
        let old = self.path.join(format!(".old-{}", home.name()));
        remove(&old)?;
        fs::rename(&home.directory, &old).map_err(HypervisorError::io("remove", &home.directory))?;
        sync(&self.path)?;
        remove(&old)
    }
}

impl Definition {
    pub(crate) fn new(
        spec: MachineSpec,
        back_end: BackEnd,
        accelerator: AcceleratorChoice,
        created: u64,
    ) -> Result<Self, HypervisorError> {
        let source = Path::new("/proc/sys/kernel/random/uuid");
        let id = fs::read_to_string(source).map_err(HypervisorError::io("read", source))?;
        let id = match spec.metadata {
            MetadataSource::Attached => id.trim().to_owned(),
            // As machines of Amazon's cloud are known by.
            MetadataSource::Server { .. } => format!("ec2{}", id.trim().get(3..).unwrap_or_default()),
        };
        Ok(Self { version: VERSION, id, back_end, accelerator, created, spec })
    }

    /// The address of its network card: a locally administered one that is its own.
    pub(crate) fn mac(&self) -> String {
        let digits: Vec<char> = self.id.chars().filter(char::is_ascii_hexdigit).collect();
        let byte =
            |at: usize| digits.get(at..at + 2).map_or_else(|| "00".to_owned(), |two| two.iter().collect());
        format!("52:54:00:{}:{}:{}", byte(0), byte(2), byte(4))
    }
}

impl Home {
    /// The machine's name.
    pub fn name(&self) -> &MachineName {
        &self.definition.spec.name
    }

    /// What it is.
    pub fn spec(&self) -> &MachineSpec {
        &self.definition.spec
    }

    /// What is written down of it.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file in its directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// What it wrote to its serial console, of all its starts.
    pub fn console_log(&self) -> PathBuf {
        self.path("console.log")
    }

    /// Replaces a file of its directory by `value` as JSON.
    pub(crate) fn write<T: Serialize>(&self, file: &str, value: &T) -> Result<(), HypervisorError> {
        let path = self.path(file);
        let text =
            serde_json::to_vec_pretty(value).map_err(|source| HypervisorError::Damaged { path, source })?;
        self.write_bytes(file, &text)
    }

    /// Replaces a file of its directory; only the owner can read it.
    pub(crate) fn write_bytes(&self, file: &str, bytes: &[u8]) -> Result<(), HypervisorError> {
        let path = self.path(file);
        let mut new = tempfile::Builder::new()
            .prefix(".")
            .tempfile_in(&self.directory)
            .map_err(HypervisorError::io("write", &path))?;
        new.write_all(bytes)
            .and_then(|()| new.as_file().sync_all())
            .map_err(HypervisorError::io("write", &path))?;
        new.persist(&path).map_err(|error| HypervisorError::io("write", &path)(error.error))?;
        sync(&self.directory)
    }

    /// A file of its directory as JSON; `None` if it isn't there.
    pub(crate) fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, HypervisorError> {
        read(&self.path(file))
    }

    /// Removes a file of its directory, for good.
    pub(crate) fn remove(&self, file: &str) -> Result<(), HypervisorError> {
        let path = self.path(file);
        match fs::remove_file(&path) {
            Ok(()) => sync(&self.directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(HypervisorError::io("remove", &path)(error)),
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, HypervisorError> {
    let Some(bytes) = read_bytes(path)? else { return Ok(None) };
    let damaged = |source| HypervisorError::Damaged { path: path.to_owned(), source };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, HypervisorError> {
    use io::Read as _;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HypervisorError::io("read", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(HypervisorError::io("read", path))?;
    Ok(Some(bytes))
}

pub(crate) fn sync(directory: &Path) -> Result<(), HypervisorError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(HypervisorError::io("sync", directory))
}

fn remove(directory: &Path) -> Result<(), HypervisorError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HypervisorError::io("remove", directory)(error))
        }
        _ => Ok(()),
    }
}
