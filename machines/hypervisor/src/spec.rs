//! What a machine is, independent of what runs it. Everything in it has been checked by its only constructor; files that it
//! names are looked at when the machine is created.

mod name;
mod network;
mod size;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use name::{MachineName, SnapshotName};
pub use network::{Network, PortForward, Protocol};
pub use size::Megabytes;

/// The most virtual processors of a machine.
const MOST_CORES: u16 = 255;
/// The most user data, in bytes. Clouds allow 16 to 64 KiB.
const MOST_USER_DATA: usize = 1 << 20;
/// The longest kernel command line that Linux takes on x86, in bytes.
const LONGEST_COMMAND_LINE: usize = 2047;
/// The most disks of one kind.
const MOST_DISKS: usize = 8;
/// The least memory that any kernel starts in.
const LEAST_MEMORY: u64 = 16;

/// What a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// What people call it.
    pub name: MachineName,
    /// Virtual processors.
    pub cores: u16,
    /// Memory.
    pub memory: Megabytes,
    /// What it starts.
    pub boot: Boot,
    /// What initializes its processor and devices.
    pub firmware: Firmware,
    /// Disks that exist, in order, behind the one it starts from.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Sizes of empty disks that are made for it and go away with it.
    #[serde(default)]
    pub scratch: Vec<Megabytes>,
    /// How it reaches others, and they it.
    pub network: Network,
    /// What it is to become. It is kept apart from the rest, since it may hold secrets.
    #[serde(skip)]
    pub user_data: UserData,
    /// The private keys that open what is sealed in the user data. They are kept apart likewise.
    #[serde(skip)]
    pub identity: UserData,
    /// Public keys that may log in, in OpenSSH's form; they are part of its metadata.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// Where it learns what it is to become.
    #[serde(default)]
    pub metadata: MetadataSource,
}

/// Where a machine learns what it is to become.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataSource {
    /// On a disk, and in the firmware's configuration.
    #[default]
    Attached,
    /// From an HTTP server of its own at 169.254.169.254, as in Amazon's cloud. User data and keys are the server's matter.
    Server {
        /// A program that connects its standard input and output with the socket that its argument names. The socket is
        /// [`MetadataSource::SOCKET`] in the machine's directory; whoever serves there listens before the machine starts.
        relay: PathBuf,
    },
}

impl MetadataSource {
    /// The socket of the server, in the machine's directory.
    pub const SOCKET: &str = "metadata.socket";
    /// What the relay is called there. It may see by this name what it is called for.
    pub const RELAY: &str = "metadata-relay";
}

/// What a machine starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boot {
    /// A disk or CD image. A disk's image stays as it is: the machine's changes go to a file of its own.
    Image(PathBuf),
    /// A Linux kernel, started directly. It is copied: a newer file of the same name doesn't change the machine.
    Kernel(KernelBoot),
}

/// A Linux kernel to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelBoot {
    /// The kernel's image.
    pub kernel: PathBuf,
    /// Its first file system.
    pub initramfs: Option<PathBuf>,
    /// Its command line.
    #[serde(default)]
    pub command_line: String,
}

/// What initializes the processor and devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// The one of old PCs.
    #[default]
    Bios,
    /// UEFI, with variables of its own for each machine.
    Uefi,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bios => "BIOS",
            Self::Uefi => "UEFI",
        })
    }
}

/// A disk that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its image.
    pub path: PathBuf,
    /// Whether the machine can't write to it. What it writes otherwise goes into the image itself.
    pub read_only: bool,
}

/// What a machine is told about itself. `Debug` doesn't show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserData(Option<Vec<u8>>);

impl UserData {
    /// Takes any bytes.
    ///
    /// # Errors
    /// [`SpecError::UserData`] if there are too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SpecError> {
        if bytes.len() > MOST_USER_DATA {
            return Err(SpecError::UserData { size: bytes.len(), most: MOST_USER_DATA });
        }
        Ok(Self(Some(bytes)))
    }

    /// Whether there is nothing to be told.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(Vec::is_empty)
    }

    /// The bytes, if there are any user data.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(bytes) => write!(f, "{} bytes", bytes.len()),
            None => f.write_str("none"),
        }
    }
}

impl MachineSpec {
    /// Looks at what the types alone can't promise.
    ///
    /// # Errors
    /// [`SpecError`] that names the first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.cores == 0 || self.cores > MOST_CORES {
            return Err(SpecError::Cores { cores: self.cores, most: MOST_CORES });
        }
        if self.memory.number() < LEAST_MEMORY {
            return Err(SpecError::Memory { memory: self.memory, least: Megabytes::new(LEAST_MEMORY)? });
        }
        if self.disks.len() > MOST_DISKS || self.scratch.len() > MOST_DISKS {
            return Err(SpecError::Disks { most: MOST_DISKS });
        }
        if let Boot::Kernel(boot) = &self.boot {
            check_command_line(&boot.command_line)?;
        }
        let broken =
            |key: &&String| key.is_empty() || key.len() > 16 * 1024 || key.chars().any(char::is_control);
        if let Some(key) = self.ssh_keys.iter().find(broken) {
            return Err(SpecError::Key { begin: key.chars().take(20).collect() });
        }
        self.network.check()
    }
}

fn check_command_line(text: &str) -> Result<(), SpecError> {
    if text.len() > LONGEST_COMMAND_LINE {
        return Err(SpecError::CommandLine { why: "is longer than Linux takes" });
    }
    if text.chars().any(char::is_control) {
        return Err(SpecError::CommandLine { why: "has a line end or another control character" });
    }
    Ok(())
}

/// Why something can't be a machine.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A name that isn't one.
    #[error("'{name}' is not a name for a {what}: {rule}")]
    Name {
        /// What was given.
        name: String,
        /// What was to be named.
        what: &'static str,
        /// What names are.
        rule: &'static str,
    },
    /// A size that isn't one.
    #[error("'{text}' is not a size: write a number and M, G or T, such as 512M or 10G")]
    Size {
        /// What was given.
        text: String,
    },
    /// A forwarded port that isn't one.
    #[error("'{text}' is not a forwarded port: {why}")]
    Port {
        /// What was given.
        text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Two forwards from one port.
    #[error("port {port} of this host is forwarded twice")]
    PortTwice {
        /// The port.
        port: u16,
    },
    /// No or too many processors.
    #[error("a machine has 1 to {most} cores, not {cores}")]
    Cores {
        /// What was asked for.
        cores: u16,
        /// The limit.
        most: u16,
    },
    /// Too little memory.
    #[error("{memory} of memory are too little: the least is {least}")]
    Memory {
        /// What was asked for.
        memory: Megabytes,
        /// The limit.
        least: Megabytes,
    },
    /// Too many disks.
    #[error("a machine has at most {most} disks, and as many scratch disks")]
    Disks {
        /// The limit.
        most: usize,
    },
    /// Too many user data.
    #[error("user data of {size} bytes are too long: the most is {most}")]
    UserData {
        /// What was given.
        size: usize,
        /// The limit.
        most: usize,
    },
    /// A command line that Linux would not get as it is.
    #[error("the kernel's command line {why}")]
    CommandLine {
        /// What is wrong.
        why: &'static str,
    },
    /// A public key that isn't one line.
    #[error("'{begin}…' is not a public key: one line each, as in a file id_ed25519.pub")]
    Key {
        /// How it begins.
        begin: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> MachineSpec {
        MachineSpec {
            name: "m".parse().expect("because it is a name"),
            cores: 1,
            memory: "64M".parse().expect("because it is a size"),
            boot: Boot::Image("/image".into()),
            firmware: Firmware::Bios,
            disks: vec![],
            scratch: vec![],
            network: Network::Off,
            user_data: UserData::default(),
            identity: UserData::default(),
            ssh_keys: vec![],
            metadata: MetadataSource::Attached,
        }
    }

    #[test]
    fn what_no_machine_can_be_is_refused() {
        assert!(spec().check().is_ok());
        assert!(matches!(MachineSpec { cores: 0, ..spec() }.check(), Err(SpecError::Cores { .. })));
        let little = "1M".parse().expect("because it is a size");
        assert!(matches!(MachineSpec { memory: little, ..spec() }.check(), Err(SpecError::Memory { .. })));
        let key = "ssh-ed25519 AAAA\n[injected]".to_owned();
        assert!(matches!(MachineSpec { ssh_keys: vec![key], ..spec() }.check(), Err(SpecError::Key { .. })));
        for line in ["a\nb".to_owned(), "x".repeat(5000)] {
            let boot = KernelBoot { kernel: "/k".into(), initramfs: None, command_line: line };
            let spec = MachineSpec { boot: Boot::Kernel(boot), ..spec() };
            assert!(matches!(spec.check(), Err(SpecError::CommandLine { .. })));
        }
        assert!(matches!(UserData::new(vec![0; 2 << 20]), Err(SpecError::UserData { .. })));
    }

    #[test]
    fn user_data_stay_out_of_the_definition_and_of_messages() {
        let secret = UserData::new(b"password".to_vec()).expect("because it is short");
        let spec = MachineSpec { user_data: secret, ..spec() };
        let text = serde_json::to_string(&spec).expect("because it is data") + &format!("{spec:?}");
        assert!(!text.contains("password"), "{text}");
    }
}
