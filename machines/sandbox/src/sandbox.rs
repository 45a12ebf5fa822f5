//! What a command sees and may do. Plain data; nothing is done here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::errand;

/// A place for one command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sandbox {
    /// What is seen at `/`.
    pub root: Root,
    /// What becomes of what is written to the root. Only a [`Root::Tree`] is protected from writes.
    pub writes: Writes,
    /// Directories and files of the host that are shown inside too, later ones over earlier ones.
    pub binds: Vec<Bind>,
    /// Where the command starts; the root directory where it doesn't exist.
    #[serde(with = "errand::path")]
    pub directory: PathBuf,
    /// All of the command's environment variables.
    #[serde(with = "errand::variables")]
    pub variables: BTreeMap<OsString, OsString>,
    /// Who the command is.
    pub identity: Identity,
    /// The user as an operating system in a tree is to know it, if it doesn't know that number.
    pub account: Option<Account>,
    /// What it reaches.
    pub network: Network,
    /// What it may use.
    pub limits: Limits,
    /// The name of the host as the command sees it; the real one without it.
    pub hostname: Option<String>,
}

/// What is seen at `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// The host's own files, as the user may use them.
    Host,
    /// A directory with a whole operating system. It is only read.
    Tree(#[serde(with = "errand::path")] PathBuf),
}

/// What becomes of what is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writes {
    /// It lies in memory and is gone at the end.
    Discard,
    /// It lies in a directory, and is there again when that is used again. One command at a time can use it.
    Keep(#[serde(with = "errand::path")] PathBuf),
}

/// A directory or file that is shown at another place too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is.
    #[serde(with = "errand::path")]
    pub source: PathBuf,
    /// Where it is shown: absolute, seen from inside.
    #[serde(with = "errand::path")]
    pub destination: PathBuf,
    /// Whether it may be written to.
    pub access: Access,
}

/// Whether a bound directory may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Only read.
    ReadOnly,
    /// As its permissions say.
    ReadWrite,
}

/// Who a command is. Outside it is the user who starts it, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// The user's own numbers, without privileges.
    Own,
    /// User 0 and group 0, with the privileges over its own files that installers ask for.
    Root,
}

/// An entry of the table of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user's number.
    pub user: u32,
    /// Its group's number.
    pub group: u32,
    /// Its name.
    pub name: String,
    /// Its home directory, made empty where a tree lacks it.
    #[serde(with = "errand::path")]
    pub home: PathBuf,
}

/// What a command reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// What the host reaches.
    Host,
    /// Only itself.
    None,
}

/// What all processes of a command may use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub millicpus: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
