//! How one repository is published: the file `NAME.toml`, and the settings that result from it.
//!
//! [`SettingsFile`] is what people write, every field optional; [`Settings`] is complete and checked. Where the file lies
//! is not decided here.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use varve_content::{Algorithm, ChunkSizes, ChunkSizesError, Compression, Effort};
use varve_store::{CredentialsError, S3LocationError};

mod storage;

pub use storage::{S3File, S3Storage, Storage, StorageFile};

/// The settings of a repository as they are written. A missing field means the default of [`Settings`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SettingsFile {
    /// `sha1`, `rmd160` or `shake128`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// `zlib` or `none`, for the contents of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// `fast`, or `exact` for the very bytes that CernVM-FS stores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Seconds after which clients look for a new revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<NonZeroU32>,
    /// Whether every revision gets a tag `generic-DATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_tags: Option<bool>,
    /// Whether objects of old revisions may be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage_collectable: Option<bool>,
    /// Whether extended attributes are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xattrs: Option<bool>,
    /// Whether clients drop cached content of this repository first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volatile: Option<bool>,
    /// Where large files are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<ChunkFile>,
    /// Which directories become nested catalogs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesting: Option<NestingFile>,
    /// Where objects are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageFile>,
}

/// Chunk sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChunkFile {
    /// No chunk but a file's last is smaller, and smaller files are not cut.
    pub minimum: usize,
    /// What cut points aim at.
    pub average: usize,
    /// No chunk is larger.
    pub maximum: usize,
}

/// Limits of catalogs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NestingFile {
    /// Whether large catalogs are split without being told by a marker or the dirtab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic: Option<bool>,
    /// A catalog with more entries is split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_entries: Option<u32>,
    /// No catalog with fewer entries is split off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_entries: Option<u32>,
}

/// Complete settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Names objects.
    pub algorithm: Algorithm,
    /// How contents of files are stored. Catalogs and the like always are zlib streams.
    pub compression: Compression,
    /// Which encoder compresses.
    pub effort: Effort,
    /// Where large files are cut.
    pub chunks: ChunkSizes,
    /// Which directories become nested catalogs.
    pub nesting: Nesting,
    /// After which time clients look for a new revision.
    pub ttl: Duration,
    /// Whether every revision gets a tag `generic-DATE`.
    pub auto_tags: bool,
    /// Whether objects of old revisions may be removed.
    pub garbage_collectable: bool,
    /// Whether extended attributes are recorded.
    pub xattrs: bool,
    /// Whether clients drop cached content of this repository first.
    pub volatile: bool,
    /// Where objects are stored.
    pub storage: Storage,
}

/// Limits of catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nesting {
    /// Whether large catalogs are split without being told.
    pub automatic: bool,
    /// A catalog with more entries is split. 20,000 entries are about 1.5 MB to fetch.
    pub maximum_entries: u32,
    /// No catalog with fewer entries is split off, and one that was falls back to its parent below half of this.
    pub minimum_entries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Sha1,
            compression: Compression::Zlib,
            effort: Effort::Fast,
            chunks: ChunkSizes::DEFAULT,
            nesting: Nesting { automatic: true, maximum_entries: 20_000, minimum_entries: 1_000 },
            ttl: Duration::from_secs(240),
            auto_tags: true,
            garbage_collectable: true,
            xattrs: true,
            volatile: false,
            storage: Storage::Local,
        }
    }
}

/// Settings that can't be read or don't fit together.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read or written.
    #[error("cannot {action} the settings {path}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML of this shape.
    #[error("the settings {path} can't be understood")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that isn't known.
    #[error("setting {setting}: '{value}' is none of {allowed}")]
    Value {
        /// The setting's name.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        allowed: &'static str,
    },
    /// Chunk sizes that contradict each other.
    #[error("setting chunks")]
    Chunks(#[from] ChunkSizesError),
    /// A place in a bucket that can't be.
    #[error("setting storage")]
    Storage(#[from] S3LocationError),
    /// Nobody knows who asks for objects.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Limits of catalogs that contradict each other.
    #[error("setting nesting: minimum-entries ({minimum}) must be 1 to half of maximum-entries ({maximum})")]
    Nesting {
        /// The smaller limit.
        minimum: u32,
        /// The larger one.
        maximum: u32,
    },
}

impl SettingsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SettingsError::Io`] and [`SettingsError::Syntax`].
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text)
            .map_err(|source| SettingsError::Syntax { path: path.to_owned(), source: source.into() })
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("because the fields are numbers, truth values and texts")
    }

    /// Checks and completes the settings.
    ///
    /// # Errors
    /// [`SettingsError`] for what is unknown or contradictory.
    pub fn resolve(&self) -> Result<Settings, SettingsError> {
        let default = Settings::default();
        let algorithm = match &self.hash {
            None => default.algorithm,
            Some(name) => name.parse().map_err(|_| unknown("hash", name, "sha1, rmd160, shake128"))?,
        };
        let compression = match self.compression.as_deref() {
            None => default.compression,
            Some("zlib") => Compression::Zlib,
            Some("none") => Compression::None,
            Some(other) => return Err(unknown("compression", other, "zlib, none")),
        };
        let effort = match self.effort.as_deref() {
            None => default.effort,
            Some("fast") => Effort::Fast,
            Some("exact") => Effort::Exact,
            Some(other) => return Err(unknown("effort", other, "fast, exact")),
        };
        let chunks = match self.chunks {
            None => default.chunks,
            Some(file) => ChunkSizes::new(file.minimum, file.average, file.maximum)?,
        };
        Ok(Settings {
            algorithm,
            compression,
            effort,
            chunks,
            nesting: self.nesting.unwrap_or_default().resolve(default.nesting)?,
            ttl: self.ttl.map_or(default.ttl, |seconds| Duration::from_secs(seconds.get().into())),
            auto_tags: self.auto_tags.unwrap_or(default.auto_tags),
            garbage_collectable: self.garbage_collectable.unwrap_or(default.garbage_collectable),
            xattrs: self.xattrs.unwrap_or(default.xattrs),
            volatile: self.volatile.unwrap_or(default.volatile),
            storage: self.storage.as_ref().map_or(Ok(Storage::Local), StorageFile::resolve)?,
        })
    }
}

impl NestingFile {
    fn resolve(self, default: Nesting) -> Result<Nesting, SettingsError> {
        let maximum = self.maximum_entries.unwrap_or(default.maximum_entries);
        let minimum = self.minimum_entries.unwrap_or(default.minimum_entries.min(maximum / 2));
        if minimum == 0 || minimum > maximum / 2 {
            return Err(SettingsError::Nesting { minimum, maximum });
        }
        let automatic = self.automatic.unwrap_or(default.automatic);
        Ok(Nesting { automatic, maximum_entries: maximum, minimum_entries: minimum })
    }
}

fn unknown(setting: &'static str, value: &str, allowed: &'static str) -> SettingsError {
    SettingsError::Value { setting, value: value.chars().take(60).collect(), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Settings, String> {
        toml::from_str::<SettingsFile>(text)
            .map_err(|error| error.to_string())
            .and_then(|file| file.resolve().map_err(|error| error.to_string()))
    }

    #[test]
    fn nothing_means_the_defaults() {
        assert_eq!(resolve(""), Ok(Settings::default()));
    }

    #[test]
    fn everything_is_read_back() {
        let text = "hash = \"shake128\"\ncompression = \"none\"\neffort = \"exact\"\nttl = 60\nauto-tags = false\n\
            garbage-collectable = false\nxattrs = false\nvolatile = true\n\n[chunks]\nminimum = 32768\naverage = 65536\n\
            maximum = 131072\n\n[nesting]\nautomatic = false\nmaximum-entries = 10\nminimum-entries = 5\n\n\
            [storage]\nkind = \"directory\"\npath = \"/srv/x\"\n";
        let file: SettingsFile = toml::from_str(text).expect("valid");
        assert_eq!(file.to_text(), text);
        let settings = file.resolve().expect("consistent");
        assert_eq!(settings.chunks.average(), 65536);
        assert_eq!(settings.nesting, Nesting { automatic: false, maximum_entries: 10, minimum_entries: 5 });
        assert_eq!(settings.storage, Storage::Directory("/srv/x".into()));
        assert_eq!(settings.algorithm, Algorithm::Shake128);
    }

    #[test]
    fn wrong_values_are_refused() {
        for text in [
            "hash = \"md5\"",
            "compression = \"zstd\"",
            "effort = \"best\"",
            "ttl = 0",
            "tll = 60",
            "[chunks]\nminimum = 5\naverage = 4\nmaximum = 3",
            "[nesting]\nmaximum-entries = 10\nminimum-entries = 6",
            "[storage]\nkind = \"tape\"",
            "[storage]\nkind = \"s3\"",
            "[storage]\nkind = \"s3\"\nbucket = \"b\"",
            "[storage]\nkind = \"s3\"\nbucket = \"bucket\"\nendpoint = \"http://host\"",
            "[storage]\nkind = \"s3\"\nbucket = \"bucket\"\nsecret = \"in the settings\"",
            "[storage]\nkind = \"s3\"\nbucket = \"bucket\"\nregion = \"\"",
        ] {
            assert!(resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_documentation_has_every_setting() {
        let pages = [
            include_str!("../../../docs/operate/publish.md"),
            include_str!("../../../docs/operate/storage.md"),
        ]
        .concat();
        let everything = SettingsFile {
            hash: Some(String::new()),
            compression: Some(String::new()),
            effort: Some(String::new()),
            ttl: NonZeroU32::new(1),
            auto_tags: Some(true),
            garbage_collectable: Some(true),
            xattrs: Some(true),
            volatile: Some(true),
            chunks: Some(ChunkFile { minimum: 1, average: 1, maximum: 1 }),
            nesting: Some(NestingFile {
                automatic: Some(true),
                maximum_entries: Some(1),
                minimum_entries: Some(1),
            }),
            storage: Some(StorageFile::Directory { path: Some("/".into()) }),
        };
        let bucket =
            SettingsFile { storage: Some(StorageFile::S3(storage::everything())), ..Default::default() };
        let table: toml::Table = everything.to_text().parse().expect("it was just written");
        let bucket: toml::Table = bucket.to_text().parse().expect("it was just written");
        for (name, value) in table.into_iter().chain(bucket) {
            let names = match value {
                toml::Value::Table(inner) => inner.keys().map(|key| format!("{name}.{key}")).collect(),
                _ => vec![name],
            };
            for name in names {
                assert!(pages.contains(&format!("`{name}`")), "docs/operate lacks {name}");
            }
        }
    }
}
