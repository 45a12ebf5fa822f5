//! Makes a repository: keys, whitelist, an empty first revision.
//!
//! What is interrupted is just begun again: keys that were already made are used, and until the manifest is there the
//! repository does not exist.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, SystemTime};

use varve_content::{Compression, ObjectKind};
use varve_repository::{
    Entry, HardLink, History, Manifest, MetaInfo, Metadata, Mtime, NestedRole, Node, PublishedRoot, Reflog,
    SigningKeys, WHITELIST_VALIDITY, Xattrs,
};
use varve_store::{Deadline, Freshness, RepositoryFile};

use crate::apply::{Revision, apply};
use crate::base_revision::Base;
use crate::change::{ChangeSet, DirectoryChange};
use crate::error::PublishError;
use crate::head::{NewHead, commit, publish_time};
use crate::local::LocalRepository;
use crate::lock::RepositoryLock;
use crate::pipeline::{Contents, ObjectWriter};
use crate::settings::SettingsFile;
use crate::walk::DIRECTORY_SIZE;

/// The certificate's validity means nothing to clients: the whitelist names it.
const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// How long the store may take to say whether there is a repository.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `.cvmfs_master_replica` says.
const MASTER_REPLICA: &[u8] = b"This file marks the repository as replicatable to stratum 1 servers\n";

/// How a repository is made.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Its settings, written to its settings file.
    pub settings: SettingsFile,
    /// What its maintainers say of it.
    pub meta_info: MetaInfo,
    /// Owner and group of the root directory.
    pub owner: (u32, u32),
    /// The time of the first revision.
    pub now: SystemTime,
}

/// Makes a repository.
///
/// # Errors
/// [`PublishError::Exists`] if there is one of this name; any other [`PublishError`].
pub fn create(local: &LocalRepository, request: &CreateRequest) -> Result<Manifest, PublishError> {
    let settings = request.settings.resolve()?;
    make_directory(&local.directory)?;
    let _lock = RepositoryLock::take(&local.directory)?;
    let store = local.create_store(&settings)?;
    match store.fetch_file(RepositoryFile::Manifest, Freshness::Revalidated, Deadline::after(PATIENCE)) {
        Ok(_) => return Err(PublishError::Exists { name: local.name.clone() }),
        Err(error) if error.is_absence() => {}
        Err(error) => return Err(error.into()),
    }
    make_directory(&local.keys)?;
    let keys = load_or_make_keys(local, request.now)?;
    let algorithm = settings.algorithm;
    let expires = request.now + WHITELIST_VALIDITY;
    let whitelist = keys.sign_whitelist(request.now, expires, &[], algorithm)?;
    write_file(&local.settings, request.settings.to_text().as_bytes())?;
    let published = publish_time(request.now, 0);
    let root = root_directory(request.owner, published);
    let changes = ChangeSet { root: DirectoryChange::create(root) };
    let base = Base::new(&*store, None);
    let revision = Revision { number: 1, published, previous: None };
    let one = NonZeroUsize::MIN;
    let catalogs = apply(&settings, one, &*store, &base, changes, &Contents::default(), revision)?;
    let root = PublishedRoot {
        root_catalog: catalogs.root.hash,
        root_catalog_size: catalogs.root.size.unwrap_or(0),
        revision: revision.number,
        published,
    };
    let mut history = History::new(local.name.clone());
    history.advance(&root);
    if settings.auto_tags {
        history.insert(root.tag(history.automatic_name(published), ""))?;
    }
    let meta_info = ObjectWriter::new(&*store, algorithm, Compression::Zlib, settings.effort)
        .write(ObjectKind::MetaInfo, request.meta_info.to_json().as_bytes())
        .map_err(|source| PublishError::Object { what: "description", source })?;
    store.put_file(RepositoryFile::Whitelist, &whitelist)?;
    store.put_file(RepositoryFile::MasterReplica, MASTER_REPLICA)?;
    let new = NewHead { root, history, meta_info: Some(meta_info) };
    commit(&settings, &*store, &keys, &new, Reflog::new(local.name.clone()), || Ok(()))
}

fn load_or_make_keys(local: &LocalRepository, now: SystemTime) -> Result<SigningKeys, PublishError> {
    // The certificate appears last: without it the keys are incomplete, and nothing that is there is overwritten.
    let file = |extension: &str| local.keys.join(format!("{}.{extension}", local.name));
    if file("crt").exists() {
        return Ok(SigningKeys::load(&local.keys, &local.name)?);
    }
    let scratch = tempfile::tempdir_in(&local.keys).map_err(|source| PublishError::Io {
        action: "write to",
        path: local.keys.clone(),
        source,
    })?;
    let keys = SigningKeys::generate(&local.name, now, CERTIFICATE_VALIDITY)?;
    keys.save(scratch.path())?;
    for extension in ["masterkey", "pub", "key", "crt"] {
        let made = scratch.path().join(format!("{}.{extension}", local.name));
        fs::hard_link(&made, file(extension)).map_err(|source| PublishError::Io {
            action: "write",
            path: file(extension),
            source,
        })?;
    }
    Ok(keys)
}

fn root_directory((uid, gid): (u32, u32), published: u64) -> Entry {
    let mtime = Mtime { seconds: published as i64, nanoseconds: Some(0) };
    Entry {
        name: None,
        metadata: Metadata { permissions: 0o755, uid, gid, mtime },
        node: Node::Directory { size: DIRECTORY_SIZE },
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}

fn make_directory(path: &Path) -> Result<(), PublishError> {
    fs::create_dir_all(path).map_err(|source| PublishError::Io {
        action: "create",
        path: path.to_owned(),
        source,
    })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let failed = |source| PublishError::Io { action: "write", path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    fs::write(path, bytes).map_err(failed)
}
