//! The traits that every back end implements, and the conformance they promise.

use std::fmt;
use std::io;

use varve_content::{ObjectKind, ObjectName};

use crate::{Deadline, StoreError};

/// A place that objects and files of one repository are read from.
pub trait ObjectSource: Send + Sync {
    /// Passes the stored bytes of `name`, at most `limit` of them, to `sink`.
    ///
    /// `Ok` means that the sink received, since its last [`ObjectSink::restart`], exactly the bytes whose hash is in
    /// the name. On an error the sink must be thrown away. Blocks at most until the deadline.
    ///
    /// # Errors
    /// Any [`StoreError`]; mirrors and retries have been used up by then.
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError>;

    /// The bytes of a file that is not named by its hash. They are not verified: whoever parses them does that.
    ///
    /// # Errors
    /// Any [`StoreError`]; [`StoreError::TooLarge`] above the file's [`RepositoryFile::limit`].
    fn fetch_file(
        &self,
        file: RepositoryFile,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError>;

    /// The whole object in memory; see [`Self::fetch`].
    ///
    /// # Errors
    /// As [`Self::fetch`].
    fn fetch_to_memory(
        &self,
        name: &ObjectName,
        limit: u64,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        let mut stored = Vec::new();
        self.fetch(name, limit, &mut stored, deadline)?;
        Ok(stored)
    }

    /// Several small objects, each with the most stored bytes it may have. The results are in the order of `wanted`;
    /// that one failed says nothing about the others.
    fn fetch_batch(
        &self,
        wanted: &[(ObjectName, u64)],
        deadline: Deadline,
    ) -> Vec<Result<Vec<u8>, StoreError>> {
        wanted.iter().map(|(name, limit)| self.fetch_to_memory(name, *limit, deadline)).collect()
    }

    /// How many servers hold the repository.
    fn mirrors(&self) -> usize {
        1
    }

    /// Leaves the server that is asked at the moment for the next one, if there is one: what it gave for a file can't be
    /// verified. Of objects the source itself sees whether they are right.
    fn leave_mirror(&self) {}

    /// Where this is, for messages: a directory or the first server's address.
    fn place(&self) -> String;
}

/// A place that a repository is published to. What was put is found by later reads of the same store; once
/// [`ObjectStore::sync`] or [`ObjectStore::put_file`] has returned, also by those of other processes.
pub trait ObjectStore: ObjectSource {
    /// Keeps `stored` under `name`. The caller made the name from these bytes. Keeping an object again is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Service`]; then the object is wholly absent. A store may return earlier than
    /// it knows: then this, or [`Self::sync`], returns the error of an object that was put before.
    fn put(&self, name: &ObjectName, stored: &[u8]) -> Result<(), StoreError>;

    /// As [`Self::put`], and tells whether the object was not there before, as far as that is known by now; see
    /// [`Self::repeated`].
    ///
    /// # Errors
    /// As [`Self::put`].
    fn put_absent(&self, name: &ObjectName, stored: &[u8]) -> Result<bool, StoreError> {
        // By its size: a loss of power may have left an empty file under the name.
        let absent = self.stored_size(name)? != Some(stored.len() as u64);
        if absent {
            self.put(name, stored)?;
        }
        Ok(absent)
    }

    /// How many objects of a kind [`Self::put_absent`] has called new, and have turned out to have been there: known after
    /// [`Self::sync`]. A store that looks at once has none.
    fn repeated(&self, kind: ObjectKind) -> Repeated {
        let _ = kind;
        Repeated::default()
    }

    /// Whether the object is there.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Service`] if that can't be told.
    fn contains(&self, name: &ObjectName) -> Result<bool, StoreError>;

    /// The size of the stored bytes, `None` if the object is not there.
    ///
    /// # Errors
    /// As [`Self::contains`].
    fn stored_size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError>;

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Service`].
    fn remove(&self, name: &ObjectName) -> Result<(), StoreError>;

    /// Removes several objects, where that is faster than one after the other. After an error some of them are gone.
    ///
    /// # Errors
    /// As [`Self::remove`].
    fn remove_all(&self, names: &[ObjectName]) -> Result<(), StoreError> {
        names.iter().try_for_each(|name| self.remove(name))
    }

    /// Calls `visit` with every object and its stored size, in no order.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Service`], also from `visit`.
    fn list(
        &self,
        visit: &mut dyn FnMut(ObjectName, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Replaces a file in one step: readers see the old or the new bytes, never a mixture.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Service`]; then the old file stands.
    fn put_file(&self, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes what writers left behind that were killed. Only for whoever keeps all other writers out meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Service`].
    fn remove_leftovers(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Begins what [`Self::sync`] will have to do, without waiting for it: there is a pause now in what is put.
    fn begin_sync(&self) {}

    /// Returns once everything put so far survives a loss of power.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Service`].
    fn sync(&self) -> Result<(), StoreError>;
}

/// Objects that had been put before, by somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    /// How many.
    pub objects: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

/// Where the bytes of an object go while they arrive.
pub trait ObjectSink {
    /// Forgets everything received: another mirror starts from the beginning.
    ///
    /// # Errors
    /// What the destination fails with; the fetch ends.
    fn restart(&mut self) -> io::Result<()>;

    /// Takes the next stored bytes.
    ///
    /// # Errors
    /// What the destination fails with; the fetch ends.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl ObjectSink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// The files at the top of a repository that are not named by their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RepositoryFile {
    /// `.cvmfspublished`, the signed manifest.
    Manifest,
    /// `.cvmfspublished.next`, which a publish was about to switch to: tells an interrupted publish from damage.
    NextManifest,
    /// `.cvmfswhitelist`.
    Whitelist,
    /// `.cvmfswhitelist.pkcs7`.
    WhitelistPkcs7,
    /// `.cvmfsreflog`.
    Reflog,
    /// `.cvmfs_master_replica`, present at a stratum 0.
    MasterReplica,
    /// `.cvmfs_status.json`.
    Status,
    /// `.cvmfs_last_snapshot`, present at a stratum 1: when it was replicated last.
    LastSnapshot,
}

impl RepositoryFile {
    /// Every file.
    pub const ALL: [Self; 8] = [
        Self::Manifest,
        Self::NextManifest,
        Self::Whitelist,
        Self::WhitelistPkcs7,
        Self::Reflog,
        Self::MasterReplica,
        Self::Status,
        Self::LastSnapshot,
    ];

    /// What CernVM-FS appends to a repository's address, without a slash, when it means [`Self::WhitelistPkcs7`].
    pub const GLUED_WHITELIST_PKCS7: &str = "cvmfswhitelist.pkcs7";

    /// The file's name below the repository's root.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => ".cvmfspublished",
            Self::NextManifest => ".cvmfspublished.next",
            Self::Whitelist => ".cvmfswhitelist",
            Self::WhitelistPkcs7 => ".cvmfswhitelist.pkcs7",
            Self::Reflog => ".cvmfsreflog",
            Self::MasterReplica => ".cvmfs_master_replica",
            Self::Status => ".cvmfs_status.json",
            Self::LastSnapshot => ".cvmfs_last_snapshot",
        }
    }

    /// The most bytes that are accepted for this file.
    pub fn limit(self) -> u64 {
        match self {
            Self::Reflog => 1 << 30,
            Self::Manifest
            | Self::NextManifest
            | Self::Whitelist
            | Self::WhitelistPkcs7
            | Self::MasterReplica
            | Self::Status
            | Self::LastSnapshot => 1 << 20,
        }
    }
}

impl fmt::Display for RepositoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether proxies on the way may answer from their caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The usual request.
    Cached,
    /// Ask every cache to check with the origin (`Cache-Control: no-cache`), after a wrong or stale answer.
    Revalidated,
}
