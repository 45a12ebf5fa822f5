//! Why the machine could not be booted, and what somebody can do about it.

use std::io;
use std::path::{Path, PathBuf};

use varve_mount::MountError;
use varve_repository::{PublicKeysError, RepositoryError};
use varve_store::{HttpConfigError, StoreError};

/// Why a step of the boot failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// A call to the operating system failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Something that the boot needs is said nowhere.
    #[error("no {what} is configured for the operating system")]
    Missing {
        /// What it is.
        what: &'static str,
    },
    /// A setting can't be read.
    #[error("{place}: {reason}")]
    Setting {
        /// Where it is said.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no network interface, or none got an address.
    #[error("no network: {reason}")]
    NoNetwork {
        /// What was found.
        reason: String,
    },
    /// The scratch disk can't be used.
    #[error("cannot use the scratch disk {device}: {reason}")]
    Scratch {
        /// The disk.
        device: PathBuf,
        /// Why.
        reason: String,
    },
    /// Servers or proxies can't be read.
    #[error("cannot use the servers of the operating system")]
    Servers(#[from] HttpConfigError),
    /// Keys can't be read.
    #[error("cannot use the keys of the operating system's repository")]
    Keys(#[from] PublicKeysError),
    /// The repository can't be read.
    #[error("cannot read the operating system's repository")]
    Repository(#[from] RepositoryError),
    /// The cache can't be used.
    #[error("cannot use the cache")]
    Cache(#[from] StoreError),
    /// It can't be mounted.
    #[error("cannot mount the operating system")]
    Mount(#[from] MountError),
    /// The version that this machine stays at can't be found out.
    #[error("cannot find out which version of its operating system this machine runs")]
    Version(#[source] Box<crate::update::UpdateError>),
    /// The host doesn't show what it should.
    #[error("the host has no open channel {name}")]
    NoChannel {
        /// What the channel is called.
        name: String,
    },
    /// What was mounted is no operating system.
    #[error("{path} is not in the operating system's tree")]
    NoInit {
        /// What was looked for.
        path: PathBuf,
    },
}

impl GuestError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether it can go away by itself: servers come back, cables are plugged in.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoNetwork { .. } | Self::Mount(MountError::Worker { .. }) => true,
            Self::Repository(error) => !error.is_integrity(),
            _ => false,
        }
    }

    /// What somebody can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => {
                "say it on the kernel's command line (varve.repository=, varve.server=), in the user data, or in \
                 /etc/varve/boot.toml of the image"
            }
            Self::NoNetwork { .. } => {
                "give the machine a network card with DHCP, or an address with ip= on the kernel's command line; drivers \
                 that are missing must be added to the image"
            }
            Self::Repository(error) if error.is_integrity() => {
                "the server's files are not signed by a key of this image: check the key and the server's address"
            }
            Self::Repository(RepositoryError::NoSuchRevision { .. }) => {
                "list the tags with 'varve repo tag NAME' where it is published, and set varve.tag= to one of them"
            }
            Self::Repository(_) | Self::Mount(_) => {
                "check that the server runs and that varve.server= and varve.proxy= are right"
            }
            Self::Servers(_) => {
                "varve.server= takes addresses such as http://host/cvmfs/NAME, separated by commas"
            }
            Self::Keys(_) => {
                "the key must be a public key in PEM, as in NAME.pub where the repository is published"
            }
            Self::Scratch { .. } => {
                "mend it from another machine with e2fsck, name another one with varve.scratch=/dev/NAME, or boot without \
                 what it holds: varve.scratch=memory"
            }
            Self::Version(_) => {
                "mend or remove aux/version.json on the scratch disk; without it, the version is chosen anew"
            }
            Self::NoChannel { .. } => {
                "the guest in the initramfs is not of the version of the program that started it"
            }
            Self::NoInit { .. } => "publish a tree with an init, or name another program with init=",
            _ => return None,
        })
    }
}
