//! CernVM-FS's configuration files: which there are, in which order, and what of them means something here.
//!
//! How a file is read is [`super::shell`]'s matter. The files of a configuration repository are read where it is mounted.

mod names;

use std::fs;
use std::path::{Path, PathBuf};

use varve_repository::RepositoryName;

use super::shell::{self, Note, Variables};
use super::{Client, ClientError, own};

#[cfg(test)]
pub(super) use self::names::HONOURED;
pub(super) use self::names::apply;

/// Where repositories are mounted, if nothing else is said.
const MOUNT_DIRECTORY: &str = "/cvmfs";

/// Reads what the files below `directory` say of a repository, or of all. Below `tree`, a mount that may not be there
/// yet, nothing is looked for.
pub(super) fn read(
    directory: &Path,
    name: Option<&RepositoryName>,
    tree: Option<&Path>,
    client: &mut Client,
) -> Variables {
    let mut variables = Variables::default();
    variables.preset("CVMFS_FQRN", name.map_or("", RepositoryName::as_str));
    let mut read = |path: PathBuf, variables: &mut Variables| read_file(&path, variables, &mut client.notes);
    read(directory.join("default.conf"), &mut variables);
    for path in defaults(&directory.join("default.d")) {
        read(path, &mut variables);
    }
    // Only what is set so far may name it.
    let central = name.and_then(|name| central(&variables, name, tree));
    let central = central.as_deref();
    let from_central = |file: String| central.map(|central| central.join(file));
    let steps: Vec<Option<PathBuf>> = match name {
        None => vec![Some(directory.join("default.local"))],
        Some(name) => {
            let domain = name.domain();
            vec![
                from_central("default.conf".to_owned()),
                Some(directory.join("default.local")),
                from_central(format!("domain.d/{domain}.conf")),
                Some(directory.join(format!("domain.d/{domain}.conf"))),
                Some(directory.join(format!("domain.d/{domain}.local"))),
                from_central(format!("config.d/{name}.conf")),
                Some(directory.join(format!("config.d/{name}.conf"))),
                Some(directory.join(format!("config.d/{name}.local"))),
            ]
        }
    };
    for path in steps.into_iter().flatten() {
        read(path, &mut variables);
    }
    variables
}

/// A file that can't be read is named, and the others count: so CernVM-FS does.
fn read_file(path: &Path, variables: &mut Variables, notes: &mut Vec<Note>) {
    match own::read(path) {
        Ok(None) => {}
        Ok(Some(bytes)) => shell::read(&String::from_utf8_lossy(&bytes), path, variables, notes),
        Err(ClientError::File { source, .. }) => {
            let text = format!("it can't be read and is left out: {source}");
            notes.push(Note { path: path.to_owned(), line: 0, text });
        }
        Err(error) => notes.push(Note { path: path.to_owned(), line: 0, text: error.to_string() }),
    }
}

/// The files of distributions, by name.
fn defaults(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort();
    paths
}

/// Where the configuration repository has its files, if there is one and it is mounted.
fn central(variables: &Variables, name: &RepositoryName, tree: Option<&Path>) -> Option<PathBuf> {
    let set =
        |name| variables.get(name).map(|variable| variable.value.as_str()).filter(|value| !value.is_empty());
    let repository: RepositoryName = set("CVMFS_CONFIG_REPOSITORY")?.parse().ok()?;
    if repository == *name {
        return None;
    }
    let mounts = Path::new(set("CVMFS_MOUNT_DIR").unwrap_or(MOUNT_DIRECTORY));
    if tree.is_some_and(|tree| mounts.starts_with(tree)) {
        return None;
    }
    let directory = mounts.join(repository.as_str()).join("etc/cvmfs");
    directory.is_dir().then_some(directory)
}
