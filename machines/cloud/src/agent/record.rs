//! What was done for each instance, on this host's disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::hosts::protocol::Definition;
use crate::id::InstanceId;

/// What was done for an instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// The last start that was carried out.
    pub(super) started: u32,
    /// The last restart that was carried out.
    pub(super) restarted: u32,
    /// During which start of the host's own system the machine was started last.
    pub(super) boot: String,
    /// The start that failed last, and why.
    pub(super) failure: Option<(u32, String)>,
    /// What the machine is.
    pub(super) definition: Option<Definition>,
}

impl Record {
    /// Why a start failed, if it did.
    pub(super) fn failure_of(&self, start: u32) -> Option<&str> {
        self.failure.as_ref().filter(|(failed, _)| *failed == start).map(|(_, why)| why.as_str())
    }
}

/// All records.
#[derive(Debug)]
pub(super) struct Records {
    directory: PathBuf,
}

impl Records {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory })
    }

    pub(super) fn all(&self) -> io::Result<BTreeMap<InstanceId, Record>> {
        let mut records = BTreeMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|id| id.parse().ok());
            if let Some(id) = id {
                let record = self.get(&id)?;
                records.insert(id, record);
            }
        }
        Ok(records)
    }

    /// The record of an instance; an empty one if there is none.
    pub(super) fn get(&self, instance: &InstanceId) -> io::Result<Record> {
        match fs::read(self.path(instance)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the record of an instance.
    pub(super) fn put(&self, instance: &InstanceId, record: &Record) -> io::Result<()> {
        let (path, new) = (self.path(instance), self.directory.join(format!(".{instance}")));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(&self.directory)?.sync_all()
    }

    /// Removes the record of an instance that is gone.
    pub(super) fn forget(&self, instance: &InstanceId) {
        if let Err(error) = fs::remove_file(self.path(instance))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%instance, %error, "a record can't be removed");
        }
    }

    fn path(&self, instance: &InstanceId) -> PathBuf {
        self.directory.join(format!("{instance}.json"))
    }
}
