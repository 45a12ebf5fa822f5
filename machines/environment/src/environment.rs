//! What an environment consists of, and what can be one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use varve_content::ContentHash;
use varve_repository::{KeyFingerprint, RepositoryName, TagName};

use crate::canonical;
use crate::id::EnvironmentId;
use crate::limits::{
    LARGEST_CONTEXT, LONGEST_ADDRESS, LONGEST_DESCRIPTION, LONGEST_NAME, LONGEST_PATH, LONGEST_WORD,
    MOST_SERVERS, MOST_SOFTWARE, MOST_VARIABLES, MOST_WORDS,
};
use crate::sha256::Sha256;

/// A whole environment, checked. Its fields are those of [`EnvironmentParts`], read through [`Deref`]: nobody can change
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment(EnvironmentParts);

/// The parts of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentParts {
    /// The processors that its programs are for.
    pub architecture: Architecture,
    /// The operating system, its root directory; `None` for the one of the machine that it is run on.
    pub system: Option<Source>,
    /// The software at `/cvmfs`, sorted by the repositories' names.
    pub software: Vec<Source>,
    /// The image that is booted where it is run with a kernel of its own.
    pub image: Option<Image>,
    /// User data: what becomes of the system before anything is run in it.
    pub context: Option<String>,
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// What is run unless something else is asked for.
    pub entry: Option<Entry>,
    /// What helps and is not part of what the environment is.
    pub hints: Hints,
}

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

/// One revision of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The repository.
    pub repository: RepositoryName,
    /// The hash of its root catalog, as the manifest writes it: this alone decides what every file contains.
    pub root: ContentHash,
    /// The revision's number.
    pub revision: u64,
    /// The tag that it was chosen by.
    pub tag: Option<TagName>,
    /// The master key that signed the whitelist behind it.
    pub key: KeyFingerprint,
}

/// A boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Of the image's file.
    pub sha256: Sha256,
    /// Its bytes.
    pub size: u64,
}

/// What is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The program and its arguments; empty for a shell.
    pub command: Vec<String>,
    /// The working directory, an absolute path; `None` leaves that to whoever runs it.
    pub directory: Option<String>,
}

/// What helps and is not part of what an environment is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// What it was called when it was frozen.
    pub name: Option<EnvironmentName>,
    /// What it is for.
    pub description: Option<String>,
    /// Where repositories were served, best first.
    pub servers: BTreeMap<RepositoryName, Vec<String>>,
}

/// The name that somebody gave to an environment: letters, digits, `.`, `-` and `_`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentName(String);

impl Environment {
    /// Checks the parts. The order of software does not matter.
    ///
    /// # Errors
    /// [`EnvironmentError`] names the first part that can't be.
    pub fn new(mut parts: EnvironmentParts) -> Result<Self, EnvironmentError> {
        parts.software.sort_by(|one, other| one.repository.cmp(&other.repository));
        check_sources(&parts)?;
        if let Some(context) = &parts.context {
            check_text("context", context, LARGEST_CONTEXT)?;
        }
        check_variables(&parts.variables)?;
        if let Some(entry) = &parts.entry {
            check_entry(entry)?;
        }
        check_hints(&parts.hints)?;
        Ok(Self(parts))
    }

    /// The digest of the canonical form.
    #[must_use]
    pub fn id(&self) -> EnvironmentId {
        EnvironmentId::of_canonical(&self.canonical())
    }

    /// Everything but the hints as JSON: keys sorted by their bytes, no blanks, texts in UTF-8 with as few escapes as can be,
    /// numbers as integers, absent parts left out.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical::text(self)
    }

    /// The parts, to make another environment of.
    #[must_use]
    pub fn into_parts(self) -> EnvironmentParts {
        self.0
    }

    /// The system, if there is one, and the software; each repository once.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let system = self.system.iter();
        let is_system = |source: &&Source| {
            self.system.as_ref().is_some_and(|system| system.repository == source.repository)
        };
        system.chain(self.software.iter().filter(move |source| !is_system(source)))
    }
}

impl Deref for Environment {
    type Target = EnvironmentParts;

    fn deref(&self) -> &EnvironmentParts {
        &self.0
    }
}

impl EnvironmentParts {
    /// An environment with nothing in it.
    #[must_use]
    pub fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            system: None,
            software: Vec::new(),
            image: None,
            context: None,
            variables: BTreeMap::new(),
            entry: None,
            hints: Hints::default(),
        }
    }
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl FromStr for Architecture {
    type Err = EnvironmentError;

    fn from_str(text: &str) -> Result<Self, EnvironmentError> {
        let known = Self::ALL.into_iter().find(|architecture| architecture.name() == text);
        known.ok_or_else(|| EnvironmentError::Architecture { text: shorten(text) })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl EnvironmentName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvironmentName {
    type Err = EnvironmentError;

    fn from_str(text: &str) -> Result<Self, EnvironmentError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        // Such a name would be a document's file.
        let is_file = text.ends_with(".toml");
        if first && text.len() <= LONGEST_NAME && text.bytes().all(allowed) && !is_file {
            Ok(Self(text.to_owned()))
        } else {
            Err(EnvironmentError::Name { text: shorten(text) })
        }
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can't be in an environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// Not an architecture that is known.
    #[error("'{text}' is no architecture: x86_64 or aarch64")]
    Architecture {
        /// The text, shortened.
        text: String,
    },
    /// Not a name.
    #[error(
        "'{text}' is no name of an environment: letters, digits, '.', '-' and '_', the first a letter or digit, at most \
         {LONGEST_NAME}, not ending in .toml"
    )]
    Name {
        /// The text, shortened.
        text: String,
    },
    /// Software twice, or another revision of the repository that the system is from.
    #[error("{repository} stands in the environment twice")]
    Twice {
        /// The repository.
        repository: RepositoryName,
    },
    /// More than there may be.
    #[error("{what}: {count} of them, at most {most} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A text that is too long.
    #[error("{what} has {length} bytes, at most {most} are allowed")]
    TooLong {
        /// Which text.
        what: String,
        /// Its bytes.
        length: usize,
        /// How many there may be.
        most: usize,
    },
    /// A character that no program could be given.
    #[error("{what} has a zero byte in it")]
    Zero {
        /// Which text.
        what: String,
    },
    /// Not the name of a variable.
    #[error("'{text}' is no name of a variable: letters, digits and '_', the first no digit")]
    Variable {
        /// The text, shortened.
        text: String,
    },
    /// A number that JSON's readers don't all agree on.
    #[error("{what} is {number}, which is too large")]
    Number {
        /// Which number.
        what: &'static str,
        /// The number.
        number: u64,
    },
    /// Not an absolute path.
    #[error("the working directory '{text}' is not an absolute path")]
    Directory {
        /// The path, shortened.
        text: String,
    },
    /// An address with blanks or control characters.
    #[error("'{text}' is no address of a server")]
    Address {
        /// The text, shortened.
        text: String,
    },
}

fn check_sources(parts: &EnvironmentParts) -> Result<(), EnvironmentError> {
    check_count("repositories of software", parts.software.len(), MOST_SOFTWARE)?;
    for pair in parts.software.windows(2) {
        if let [one, other] = pair
            && one.repository == other.repository
        {
            return Err(EnvironmentError::Twice { repository: one.repository.clone() });
        }
    }
    if let Some(system) = &parts.system
        && parts.software.iter().any(|source| source.repository == system.repository && source != system)
    {
        return Err(EnvironmentError::Twice { repository: system.repository.clone() });
    }
    for source in parts.system.iter().chain(&parts.software) {
        check_number("the revision", source.revision)?;
    }
    parts.image.map_or(Ok(()), |image| check_number("the size of the image", image.size))
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), EnvironmentError> {
    check_count("variables", variables.len(), MOST_VARIABLES)?;
    for (name, value) in variables {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !first || !name.bytes().all(allowed) {
            return Err(EnvironmentError::Variable { text: shorten(name) });
        }
        let room = LONGEST_WORD.saturating_sub(name.len() + 1);
        check_text(&format!("variable {}", shorten(name)), value, room)?;
    }
    Ok(())
}

fn check_entry(entry: &Entry) -> Result<(), EnvironmentError> {
    check_count("words of the command", entry.command.len(), MOST_WORDS)?;
    entry.command.iter().try_for_each(|word| check_text("a word of the command", word, LONGEST_WORD))?;
    let Some(directory) = &entry.directory else { return Ok(()) };
    check_text("the working directory", directory, LONGEST_PATH)?;
    if directory.starts_with('/') {
        Ok(())
    } else {
        Err(EnvironmentError::Directory { text: shorten(directory) })
    }
}

fn check_hints(hints: &Hints) -> Result<(), EnvironmentError> {
    if let Some(description) = &hints.description {
        check_text("the description", description, LONGEST_DESCRIPTION)?;
    }
    check_count("repositories with servers", hints.servers.len(), MOST_SOFTWARE + 1)?;
    for servers in hints.servers.values() {
        check_count("servers of a repository", servers.len(), MOST_SERVERS)?;
        for address in servers {
            check_text("the address of a server", address, LONGEST_ADDRESS)?;
            if address.is_empty() || address.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(EnvironmentError::Address { text: shorten(address) });
            }
        }
    }
    Ok(())
}

fn check_count(what: &'static str, count: usize, most: usize) -> Result<(), EnvironmentError> {
    if count <= most { Ok(()) } else { Err(EnvironmentError::TooMany { what, count, most }) }
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), EnvironmentError> {
    if text.len() > most {
        return Err(EnvironmentError::TooLong { what: what.to_owned(), length: text.len(), most });
    }
    if text.contains('\0') {
        return Err(EnvironmentError::Zero { what: what.to_owned() });
    }
    Ok(())
}

/// Beyond this, readers of JSON begin to round, and TOML has no numbers.
fn check_number(what: &'static str, number: u64) -> Result<(), EnvironmentError> {
    if number < 1 << 53 { Ok(()) } else { Err(EnvironmentError::Number { what, number }) }
}

/// At most 60 characters of a foreign text, for messages, without what a terminal would obey.
fn shorten(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}
