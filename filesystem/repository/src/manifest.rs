//! The manifest `.cvmfspublished`: which root catalog, certificate, history and description a revision has.
//!
//! Reading the text and checking who signed it are apart: bytes become a [`SignedManifest`] here, and only
//! [`crate::Trust::verify`] (or signing with a repository's own key) makes a [`Manifest`] of it.

use std::fmt::Write as _;
use std::ops::Deref;
use std::time::Duration;

use varve_content::{ContentHash, HashError, PathKey};

use crate::RepositoryName;
use crate::signature::{Letter, LetterError};

/// The time to live of a manifest that nobody chose another one for.
pub const DEFAULT_TTL: Duration = Duration::from_secs(240);

/// What a manifest says, whoever says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFields {
    /// `C`: the root catalog.
    pub root_catalog: ContentHash,
    /// `B`: its size in bytes, decompressed; 0 where it is not told.
    pub root_catalog_size: u64,
    /// `D`: how long clients use this manifest before they ask for the next one.
    pub ttl: Duration,
    /// `S`: the revision, counted upwards; 0 where it is not told.
    pub revision: u64,
    /// `G`: whether unreferenced objects may be deleted.
    pub garbage_collectable: bool,
    /// `A`: whether root catalog and certificate are also at `.cvmfsalt-…` in the repository's root.
    pub alternative_paths: bool,
    /// `N`: the repository's name.
    pub repository: RepositoryName,
    /// `X`: the certificate of whoever signed this.
    pub certificate: Option<ContentHash>,
    /// `H`: the tags.
    pub history: Option<ContentHash>,
    /// `T`: when it was published, in seconds since 1970; 0 where it is not told.
    pub published: u64,
    /// `M`: the description of the repository.
    pub meta_info: Option<ContentHash>,
    /// `Y`: the hash of `.cvmfsreflog`, which is no object.
    pub reflog: Option<ContentHash>,
}

impl ManifestFields {
    /// Reads the lines of a manifest. Letters that are not known are passed over, and the last of a repeated one counts.
    ///
    /// # Errors
    /// [`ManifestError`] if a field is missing or can't be read.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let find = |letter: char| text.split('\n').rev().find_map(|line| line.strip_prefix(letter));
        let hash = |letter| {
            find(letter)
                .map(|value| value.parse().map_err(|source| ManifestError::Hash { letter, source }))
                .transpose()
        };
        let number = |letter| {
            find(letter)
                .map(|value| {
                    value.parse().map_err(|_| ManifestError::Value { letter, value: shorten(value) })
                })
                .transpose()
        };
        let missing = |letter| ManifestError::Missing { letter };
        if find('R').ok_or(missing('R'))? != root_path() {
            return Err(ManifestError::RootPath);
        }
        let name = find('N').ok_or(missing('N'))?;
        Ok(Self {
            root_catalog: hash('C')?.ok_or(missing('C'))?,
            root_catalog_size: number('B')?.unwrap_or(0),
            ttl: Duration::from_secs(number('D')?.ok_or(missing('D'))?),
            revision: number('S')?.unwrap_or(0),
            garbage_collectable: find('G') == Some("yes"),
            alternative_paths: find('A') == Some("yes"),
            repository: name
                .parse()
                .map_err(|_| ManifestError::Value { letter: 'N', value: shorten(name) })?,
            certificate: hash('X')?,
            history: hash('H')?,
            published: number('T')?.unwrap_or(0),
            meta_info: hash('M')?,
            reflog: hash('Y')?,
        })
    }

    /// The text that is hashed and signed, fields in the original's order.
    pub fn text(&self) -> String {
        let yes_no = |value| if value { "yes" } else { "no" };
        let mut text = format!(
            "C{}\nB{}\nR{}\nD{}\nS{}\nG{}\nA{}\nN{}\n",
            self.root_catalog,
            self.root_catalog_size,
            root_path(),
            self.ttl.as_secs(),
            self.revision,
            yes_no(self.garbage_collectable),
            yes_no(self.alternative_paths),
            self.repository,
        );
        let mut line = |letter: char, value: Option<String>| {
            if let Some(value) = value {
                writeln!(text, "{letter}{value}").expect("because memory takes all text");
            }
        };
        let hash_text = |hash: &Option<ContentHash>| hash.map(|hash| hash.to_string());
        line('X', hash_text(&self.certificate));
        line('H', hash_text(&self.history));
        line('T', (self.published > 0).then(|| self.published.to_string()));
        line('M', hash_text(&self.meta_info));
        line('Y', hash_text(&self.reflog));
        text
    }
}

/// A manifest as it came: its form and its hash are right, its signature has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedManifest {
    fields: ManifestFields,
    letter: Letter,
}

impl SignedManifest {
    /// Reads the bytes of `.cvmfspublished`.
    ///
    /// # Errors
    /// [`ManifestError`] if they are no manifest, or not the one whose hash is printed in it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let letter = Letter::parse(bytes)?;
        let fields = ManifestFields::parse(letter.text())?;
        Ok(Self { fields, letter })
    }

    /// What it claims: enough to fetch the certificate, nothing to act on.
    pub fn claims(&self) -> &ManifestFields {
        &self.fields
    }

    pub(crate) fn letter(&self) -> &Letter {
        &self.letter
    }
}

/// A manifest that the repository's publisher signed, as far as the whitelist and the master key say.
///
/// Its fields are those of [`ManifestFields`], read through [`Deref`]: nobody can change them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest(SignedManifest);

impl Manifest {
    /// The caller has verified the signature, or made it.
    pub(crate) fn new_verified(manifest: SignedManifest) -> Self {
        Self(manifest)
    }

    /// The caller has just signed this letter over these fields.
    pub(crate) fn new_signed(fields: ManifestFields, letter: Letter) -> Self {
        Self(SignedManifest { fields, letter })
    }

    /// The fields, to make the next manifest from.
    pub fn fields(&self) -> &ManifestFields {
        &self.0.fields
    }

    /// The bytes of `.cvmfspublished`, as they came.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.letter.to_bytes()
    }
}

impl Deref for Manifest {
    type Target = ManifestFields;

    fn deref(&self) -> &ManifestFields {
        &self.0.fields
    }
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not a signed file at all, or damaged.
    #[error("manifest is no signed file")]
    Letter(#[from] LetterError),
    /// A field that every manifest has is absent.
    #[error("manifest has no line '{letter}'")]
    Missing {
        /// The line's first letter.
        letter: char,
    },
    /// A value of the wrong form.
    #[error("line '{letter}' of the manifest can't be '{value}'")]
    Value {
        /// The line's first letter.
        letter: char,
        /// The value, shortened.
        value: String,
    },
    /// A value that should be a hash.
    #[error("line '{letter}' of the manifest holds no hash")]
    Hash {
        /// The line's first letter.
        letter: char,
        /// What is wrong with it.
        #[source]
        source: HashError,
    },
    /// The catalog named is not that of the repository's root.
    #[error("manifest names a catalog that is not the root's")]
    RootPath,
}

/// The value of line `R`: the key of the empty path.
fn root_path() -> String {
    PathKey::of(b"").to_string()
}

/// At most 60 characters of a foreign text, for messages.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}
