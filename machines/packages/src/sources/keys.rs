//! Files of keys that signatures are checked with.

use std::path::Path;

use super::{SourcesError, read};
use crate::openpgp::Keyring;

/// The keys of a file.
pub(crate) fn keyring(path: &Path) -> Result<Keyring, SourcesError> {
    Keyring::parse(&read(path)?).map_err(|source| SourcesError::Keys { path: path.to_owned(), source })
}

/// The keys of a text that stands in the file at `path`.
pub(crate) fn keyring_of_text(text: &str, path: &Path) -> Result<Keyring, SourcesError> {
    Keyring::parse(text.as_bytes()).map_err(|source| SourcesError::Keys { path: path.to_owned(), source })
}
