//! What is mounted now: each mount tells its repositories and revisions over its control socket, and its servers and keys by
//! extended attributes.

use std::path::{Path, PathBuf};

use varve_content::ContentHash;
use varve_repository::{PublicKeys, RepositoryName};

use crate::commands::status::running_mounts;
use crate::failure::Failure;
use crate::places::Places;

/// The most bytes of an extended attribute.
const LARGEST_ATTRIBUTE: usize = 64 << 10;

/// A repository in a mount.
pub(super) struct MountedRevision {
    pub(super) repository: RepositoryName,
    pub(super) root: ContentHash,
    pub(super) directory: PathBuf,
    /// Where the mount fetches from; none if from this machine.
    pub(super) servers: Vec<String>,
    pub(super) keys: Option<PublicKeys>,
}

/// All repositories in all mounts of this user.
pub(super) fn mounted_revisions(places: &Places) -> Result<Vec<MountedRevision>, Failure> {
    let mut found = Vec::new();
    for status in running_mounts(places, "status")? {
        for repository in status.repositories {
            let (Ok(name), Ok(root)) =
                (repository.name.parse::<RepositoryName>(), repository.root_hash.parse())
            else {
                continue;
            };
            // In a tree each repository has a directory of its own.
            let below = status.directory.join(name.as_str());
            let directory = if below.is_dir() && attribute(&below, "user.fqrn").is_some() {
                below
            } else {
                status.directory.clone()
            };
            let hosts = attribute(&directory, "user.host_list").unwrap_or_default();
            let servers =
                hosts.split(';').filter(|host| host.starts_with("http")).map(str::to_owned).collect();
            let keys = attribute(&directory, "user.pubkeys");
            let keys = keys.and_then(|keys| PublicKeys::from_pem(keys.as_bytes()).ok());
            found.push(MountedRevision { repository: name, root, directory, servers, keys });
        }
    }
    Ok(found)
}

fn attribute(path: &Path, name: &str) -> Option<String> {
    let mut value = vec![0; LARGEST_ATTRIBUTE];
    let length = rustix::fs::getxattr(path, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    String::from_utf8(value).ok()
}
