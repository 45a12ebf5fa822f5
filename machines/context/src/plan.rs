//! What is to be done to a machine's root directory: typed actions in the order in which they are to be done.
//!
//! A plan is made of a [`Document`](crate::Document) by the sections, each of which adds its steps. Nothing in it runs a
//! program: what must run becomes a unit that runs at boot. [`Plan::apply`](crate::Plan::apply) does it.

mod display;
mod planner;
mod script;

pub(crate) use planner::Planner;
pub(crate) use script::STATE;

use serde::Serialize;

use crate::place::Notice;
use crate::secret::Secret;
use crate::text::{AccountName, Line, Mode, Name, Owner, TargetPath, UnitName};

/// What is to be done, in order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What could not be planned, or only in part.
    pub notices: Vec<Notice>,
}

/// One thing to do and who asked for it.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The section of the document.
    pub section: &'static str,
    /// What is to be done.
    pub action: Action,
}

/// Something that can be done to a root directory. Doing it twice is as doing it once.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// A group exists and has these members.
    Group(Group),
    /// A user exists, with a home directory.
    User(User),
    /// A user may log in with this password.
    Password {
        /// Who.
        user: AccountName,
        /// A hash as shadow(5) has it, or the password itself, which is hashed when it is applied.
        password: Secret,
        /// Whether a new one must be chosen at the first log-in.
        expire: bool,
        /// Whether it is set and can't be used until somebody unlocks it.
        locked: bool,
    },
    /// A user may log in with these ssh keys, besides those that are there.
    AuthorizedKeys {
        /// Who.
        user: AccountName,
        /// Lines of `authorized_keys`.
        keys: Vec<Line>,
    },
    /// A directory exists.
    Directory {
        /// Where.
        path: TargetPath,
        /// Its permissions.
        mode: Mode,
        /// Its owner.
        owner: Owner,
    },
    /// A file has this content.
    File(PlannedFile),
    /// A file has these lines somewhere, each once; those that begin with a prefix that is given are replaced.
    Lines {
        /// Where; made with mode 0644 if it isn't there.
        path: TargetPath,
        /// Existing lines that start so are taken out, unless they are among the new ones.
        replace: Option<Line>,
        /// The lines.
        lines: Vec<Line>,
    },
    /// A symbolic link stands here.
    Link {
        /// Where.
        path: TargetPath,
        /// What it says; not followed.
        target: Line,
    },
    /// A file is gone.
    Remove {
        /// Where.
        path: TargetPath,
    },
    /// A unit of systemd is started at boot, or never.
    Unit {
        /// Its name, with suffix.
        name: UnitName,
        /// What becomes of it.
        state: UnitState,
        /// Whether it is no fault when the unit isn't there.
        optional: bool,
    },
}

/// A group that is to exist.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub name: AccountName,
    /// Its number; the next free one without.
    pub gid: Option<u32>,
    /// Whether that is taken from the system's range.
    pub system: bool,
    /// Users who are in it, besides those who are there.
    pub members: Vec<AccountName>,
}

/// A user who is to exist. Of one who is there already, only what is given is changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// Their name.
    pub name: AccountName,
    /// Their number; the next free one without.
    pub uid: Option<u32>,
    /// Their own group; one of their own name without.
    pub group: Option<AccountName>,
    /// Further groups, made if they are not there.
    pub groups: Vec<AccountName>,
    /// Their full name.
    pub comment: Option<Line>,
    /// Their home; `/home/NAME` without.
    pub home: Option<TargetPath>,
    /// Whether the home directory is made, from `/etc/skel`.
    pub create_home: bool,
    /// Their shell; the system's usual one without.
    pub shell: Option<TargetPath>,
    /// Whether they are a system account.
    pub system: bool,
    /// Whether log-in with a password is impossible; `None` leaves it.
    pub locked: Option<bool>,
    /// The day on which the account ends, in days since 1970.
    pub expires: Option<u32>,
}

/// A file and how it gets its content.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedFile {
    /// Where.
    pub path: TargetPath,
    /// What is in it.
    pub content: Content,
    /// Its permissions.
    pub mode: Mode,
    /// Its owner.
    pub owner: Owner,
    /// What becomes of a file that is there.
    pub placement: Placement,
}

/// The bytes of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Text that anyone may see.
    Text(String),
    /// Bytes that are no text, shown in base64.
    Bytes(#[serde(serialize_with = "as_base64")] Vec<u8>),
    /// What only its owner should see.
    Secret(Secret),
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// It is replaced.
    Replace,
    /// The content is added at its end, unless it ends so already.
    Append,
    /// It stays as it is.
    Keep,
}

/// What becomes of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// It starts at boot.
    Enabled,
    /// It doesn't.
    Disabled,
    /// It can't be started at all.
    Masked,
}

/// When a script runs.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before the network is up.
    BeforeNetwork,
    /// When the network is up.
    Network,
    /// When everything else is done.
    #[default]
    Final,
}

impl Plan {
    /// The files that are written, in order; for those who want to look.
    pub fn files(&self) -> impl Iterator<Item = &PlannedFile> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::File(file) => Some(file),
            _ => None,
        })
    }
}

impl Content {
    /// The bytes; none while they are sealed or elsewhere.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Secret(secret) => secret.plain().map(str::as_bytes),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) => {
                Self::Text(text)
            }
            Ok(text) => Self::Bytes(text.into_bytes()),
            Err(error) => Self::Bytes(error.into_bytes()),
        }
    }
}

fn as_base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use base64::Engine as _;
    serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// A name that the code itself makes, of a stem that is checked.
pub(crate) fn unit_name(text: String) -> UnitName {
    UnitName::parse(text).unwrap_or_else(|_| unreachable_unit())
}

fn unreachable_unit() -> UnitName {
    UnitName::parse("varve-unnamed.service").expect("because the name is a constant")
}

/// As [`unit_name`], for a file's own name.
pub(crate) fn file_name(text: &str) -> Name {
    Name::parse(text).expect("because the code names it")
}
