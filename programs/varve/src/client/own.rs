//! Varve's own configuration file of clients, `client.toml`: defaults, then what a domain says, then a repository.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Deserialize;
use varve_repository::RepositoryName;

use super::ClientError;
use super::settings::{Origin, Section, Settings};

/// The most bytes of a configuration file.
pub(super) const FILE_LIMIT: u64 = 1 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClientFile {
    default: Section,
    domain: BTreeMap<String, Section>,
    repository: BTreeMap<String, Section>,
}

/// Adds what the file at `path` says of a repository, or of all.
///
/// # Errors
/// [`ClientError`] if it is there and can't be read or understood.
pub(super) fn overlay(
    settings: &mut Settings,
    path: &Path,
    name: Option<&RepositoryName>,
) -> Result<(), ClientError> {
    let Some(bytes) = read(path)? else { return Ok(()) };
    let mut file: ClientFile = toml::from_slice(&bytes)
        .map_err(|source| ClientError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
    let origin = Origin::File { path: path.to_owned(), line: 0 };
    settings.overlay(file.default, &origin);
    if let Some(name) = name {
        let sections = [file.domain.remove(name.domain()), file.repository.remove(name.as_str())];
        sections.into_iter().flatten().for_each(|section| settings.overlay(section, &origin));
    }
    Ok(())
}

/// The bytes of a regular file of reasonable size, `None` if it isn't there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, ClientError> {
    let failed = |source| ClientError::File { path: path.to_owned(), source };
    // Before it is opened, which of a pipe would wait for a writer.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(failed(io::Error::other("not a regular file"))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(failed(io::Error::other("larger than 1 MiB")));
    }
    Ok(Some(bytes))
}
