//! The document as TOML: reading, with the place and the reason of what is wrong, and writing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::de::DeTable;
use varve_content::HashError;
use varve_repository::{HistoryError, KeyFingerprintError, NameError, RepositoryName};

use crate::environment::{Entry, Environment, EnvironmentError, EnvironmentParts, Hints, Image, Source};
use crate::id::{EnvironmentId, IdError};
use crate::known_keys;
use crate::sha256::Sha256Error;

/// The version of the documents that are read and written.
pub(crate) const VERSION: u64 = 1;

/// Larger texts are not read.
pub const LARGEST_DOCUMENT: usize = 8 << 20;

const HEAD: &str = "# A frozen environment, see `varve env`. Its id is the digest of all but the hints.\n";

/// A text that is no document of an environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// More bytes than any document has.
    #[error("{size} bytes, but no document of an environment is larger than {LARGEST_DOCUMENT}")]
    TooLarge {
        /// How many.
        size: usize,
    },
    /// Not TOML, or not with the right values.
    #[error("not the document of an environment")]
    Syntax(#[source] Box<toml::de::Error>),
    /// Written for another program.
    #[error("a document of version {found}, but this program reads version {VERSION}")]
    Version {
        /// What it says.
        found: u64,
    },
    /// A key that nobody knows.
    #[error("unknown key '{key}' in line {line}{}", did_you_mean(*meant))]
    UnknownKey {
        /// With the tables that it is in.
        key: String,
        /// Counted from 1.
        line: usize,
        /// What could have been meant.
        meant: Option<&'static str>,
    },
    /// Not the name of a repository.
    #[error("a repository's name can't be used")]
    Repository(#[from] NameError),
    /// Not the hash of a root catalog.
    #[error("the root of {repository} is no hash")]
    Root {
        /// Whose.
        repository: RepositoryName,
        /// What is wrong with it.
        #[source]
        source: HashError,
    },
    /// Not a tag.
    #[error("the tag of {repository} can't be used")]
    Tag {
        /// Whose.
        repository: RepositoryName,
        /// What is wrong with it.
        #[source]
        source: HistoryError,
    },
    /// Not the fingerprint of a key.
    #[error("the key of {repository} is no fingerprint")]
    Key {
        /// Whose.
        repository: RepositoryName,
        /// What is wrong with it.
        #[source]
        source: KeyFingerprintError,
    },
    /// Not the digest of an image.
    #[error("the digest of the image can't be used")]
    Image(#[source] Sha256Error),
    /// Not an id.
    #[error("the id that the document names is none")]
    Id(#[source] IdError),
    /// The id is that of another environment.
    #[error("the document says that it is {said}, but what it describes is {found}")]
    OtherId {
        /// What stands in it.
        said: EnvironmentId,
        /// What it is.
        found: EnvironmentId,
    },
    /// A part that can't be.
    #[error(transparent)]
    Part(#[from] EnvironmentError),
}

impl TextError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OtherId { .. } => Some(
                "the document was changed after it was frozen; if that was meant, take the line with the id out of it",
            ),
            _ => None,
        }
    }
}

/// The document's form. Values before tables: so they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<SourceText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    software: Vec<SourceText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<ImageText>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    variables: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<EntryText>,
    #[serde(default, skip_serializing_if = "HintsText::is_empty")]
    hints: HintsText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceText {
    repository: String,
    root: String,
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageText {
    sha256: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryText {
    #[serde(default)]
    command: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HintsText {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    servers: BTreeMap<String, Vec<String>>,
}

impl HintsText {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Environment {
    /// Reads a document. Where it names an id, that has to be the right one.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.len() > LARGEST_DOCUMENT {
            return Err(TextError::TooLarge { size: text.len() });
        }
        let syntax = |error| TextError::Syntax(Box::new(error));
        check_version(text)?;
        let table = DeTable::parse(text).map_err(syntax)?;
        if let Some(unknown) = known_keys::find_unknown(table.get_ref()) {
            let before = &text.as_bytes()[..unknown.offset.min(text.len())];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            return Err(TextError::UnknownKey { key: unknown.key, line, meant: unknown.meant });
        }
        let document: Document = toml::from_str(text).map_err(syntax)?;
        let said = document.id.as_deref().map(str::parse).transpose().map_err(TextError::Id)?;
        let environment = document.resolve()?;
        match said {
            Some(said) if said != environment.id() => {
                Err(TextError::OtherId { said, found: environment.id() })
            }
            _ => Ok(environment),
        }
    }

    /// The document, with its id: always the same bytes for the same environment with the same hints.
    #[must_use]
    pub fn to_text(&self) -> String {
        let document = Document::of(self);
        let text = toml::to_string_pretty(&document)
            .expect("because every value of the document has a form in TOML");
        format!("{HEAD}{text}")
    }
}

/// The version before anything else: a later one may have other keys.
fn check_version(text: &str) -> Result<(), TextError> {
    #[derive(Deserialize)]
    struct Head {
        version: u64,
    }
    let head: Head = toml::from_str(text).map_err(|error| TextError::Syntax(Box::new(error)))?;
    if head.version == VERSION { Ok(()) } else { Err(TextError::Version { found: head.version }) }
}

impl Document {
    fn resolve(self) -> Result<Environment, TextError> {
        let mut parts = EnvironmentParts::new(self.architecture.parse()?);
        parts.system = self.system.map(SourceText::resolve).transpose()?;
        parts.software = self.software.into_iter().map(SourceText::resolve).collect::<Result<_, _>>()?;
        if let Some(image) = self.image {
            let sha256 = image.sha256.parse().map_err(TextError::Image)?;
            parts.image = Some(Image { sha256, size: image.size });
        }
        parts.context = self.context;
        parts.variables = self.variables;
        parts.entry = self.entry.map(|entry| Entry { command: entry.command, directory: entry.directory });
        let mut servers = BTreeMap::new();
        for (repository, addresses) in self.hints.servers {
            servers.insert(repository.parse()?, addresses);
        }
        let name = self.hints.name.as_deref().map(str::parse).transpose()?;
        parts.hints = Hints { name, description: self.hints.description, servers };
        Ok(Environment::new(parts)?)
    }

    fn of(environment: &Environment) -> Self {
        let hints = &environment.hints;
        Self {
            version: VERSION,
            id: Some(environment.id().to_string()),
            architecture: environment.architecture.to_string(),
            context: environment.context.clone(),
            system: environment.system.as_ref().map(SourceText::of),
            software: environment.software.iter().map(SourceText::of).collect(),
            image: environment
                .image
                .map(|image| ImageText { sha256: image.sha256.to_string(), size: image.size }),
            variables: environment.variables.clone(),
            entry: environment.entry.as_ref().map(|entry| EntryText {
                command: entry.command.clone(),
                directory: entry.directory.clone(),
            }),
            hints: HintsText {
                name: hints.name.as_ref().map(ToString::to_string),
                description: hints.description.clone(),
                servers: hints
                    .servers
                    .iter()
                    .map(|(repository, servers)| (repository.to_string(), servers.clone()))
                    .collect(),
            },
        }
    }
}

impl SourceText {
    fn resolve(self) -> Result<Source, TextError> {
        let repository: RepositoryName = self.repository.parse()?;
        let of = || repository.clone();
        let root = self.root.parse().map_err(|source| TextError::Root { repository: of(), source })?;
        let tag = self.tag.as_deref().map(str::parse).transpose();
        let tag = tag.map_err(|source| TextError::Tag { repository: of(), source })?;
        let key = self.key.parse().map_err(|source| TextError::Key { repository: of(), source })?;
        Ok(Source { repository, root, revision: self.revision, tag, key })
    }

    fn of(source: &Source) -> Self {
        Self {
            repository: source.repository.to_string(),
            root: source.root.to_string(),
            revision: source.revision,
            tag: source.tag.as_ref().map(ToString::to_string),
            key: source.key.to_string(),
        }
    }
}

fn did_you_mean(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean '{meant}'?"))
}

#[cfg(test)]
mod tests;
