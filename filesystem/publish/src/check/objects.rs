//! Checks the objects of files: that they are stored, and on demand that every stored byte is right.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use varve_content::{Compression, Inflater, ObjectKind, ObjectName, decompress};
use varve_store::{Deadline, ObjectSink, ObjectStore, StoreError};

use super::catalog::Use;
use super::finding::{Finding, FindingKind, chain};
use super::{CheckProgress, PATIENCE, parallel};

/// Up to this many stored bytes an object is decompressed in one go, which is faster.
const IN_MEMORY: u64 = 16 << 20;

/// What the store has: names and stored sizes.
pub(super) type Stored = HashMap<ObjectName, u64>;

/// What has to be there, and what is known of it.
#[derive(Default)]
pub(super) struct Expected {
    files: HashMap<ObjectName, Use>,
    /// Objects that are not of files, and have been looked at already.
    others: HashSet<ObjectName>,
}

/// What re-hashing came to.
#[derive(Default)]
pub(super) struct Hashed {
    pub(super) findings: Vec<Finding>,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// Lists the store.
pub(super) fn list(store: &dyn ObjectStore) -> (Stored, Option<Finding>) {
    let mut stored = Stored::new();
    let listed = store.list(&mut |name, size| {
        stored.insert(name, size);
        Ok(())
    });
    let finding = listed.err().map(|error| Finding::new(FindingKind::Unreadable, chain(&error)));
    (stored, finding)
}

impl Expected {
    /// Adds the objects of files; two catalogs that disagree about one of them are a finding.
    pub(super) fn add_files(&mut self, uses: impl Iterator<Item = (ObjectName, Use)>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, new) in uses {
            match self.files.get(&name) {
                None => {
                    self.files.insert(name, new);
                }
                Some(known) if (known.size, known.compression) != (new.size, new.compression) => {
                    let problem = format!("is listed with another size or compression at {}", known.path);
                    findings.push(Finding::new(FindingKind::ObjectSize, problem).at(&new.path).of(&name));
                }
                Some(_) => {}
            }
        }
        findings
    }

    /// Adds an object that is none of a file.
    pub(super) fn add(&mut self, name: ObjectName) {
        self.others.insert(name);
    }

    /// How many objects of files there are.
    pub(super) fn len(&self) -> u64 {
        self.files.len() as u64
    }

    /// The objects that are not stored, or can't have the size that is stored.
    pub(super) fn missing(&self, stored: &Stored) -> Vec<Finding> {
        let missing = self.files.iter().filter_map(|(name, used)| match stored.get(name) {
            None => Some(Finding::new(FindingKind::ObjectMissing, "is not stored").at(&used.path).of(name)),
            Some(&size) if used.compression == Compression::None && size != used.size => {
                let problem = format!("is stored as it is in {size} bytes, the catalog lists {}", used.size);
                Some(Finding::new(FindingKind::ObjectSize, problem).at(&used.path).of(name))
            }
            Some(_) => None,
        });
        // Catalogs have been loaded: those that are missing are known already.
        let others = self.others.iter().filter(|name| name.kind != ObjectKind::Catalog);
        let others = others.filter(|name| !stored.contains_key(name));
        missing
            .chain(others.map(|name| Finding::new(FindingKind::ObjectMissing, "is not stored").of(name)))
            .collect()
    }

    /// What is stored, but nothing refers to, sorted by name.
    pub(super) fn orphans(&self, stored: &Stored) -> Vec<(ObjectName, u64)> {
        let mut orphans: Vec<_> = stored
            .iter()
            .filter(|(name, _)| !self.files.contains_key(name) && !self.others.contains(name))
            .map(|(name, size)| (*name, *size))
            .collect();
        orphans.sort_unstable();
        orphans
    }

    /// Reads every stored object, compares its hash, and decompresses what a catalog lists.
    pub(super) fn hash_all(
        &self,
        store: &dyn ObjectStore,
        stored: &Stored,
        threads: usize,
        progress: &dyn CheckProgress,
    ) -> Hashed {
        let mut names: Vec<(ObjectName, u64)> = stored.iter().map(|(name, size)| (*name, *size)).collect();
        names.sort_unstable();
        progress.data(names.len() as u64, names.iter().map(|(_, size)| size).sum());
        let (objects, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let findings = parallel::map(threads, &names, |(name, size)| {
            let result = self.hash(store, name, *size);
            progress.hashed(*size);
            objects.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(*size, Ordering::Relaxed);
            let (kind, problem) = result.err()?;
            let needed = self.files.contains_key(name) || self.others.contains(name);
            if kind == FindingKind::ObjectMissing && !needed {
                // Somebody collects meanwhile, or did: requests to a service outlive whoever made them.
                return None;
            }
            let finding = Finding::new(kind, problem).of(name);
            Some(match self.files.get(name) {
                Some(used) => finding.at(&used.path),
                None => finding,
            })
        });
        Hashed {
            findings: findings.into_iter().flatten().collect(),
            objects: objects.into_inner(),
            bytes: bytes.into_inner(),
        }
    }

    fn hash(
        &self,
        store: &dyn ObjectStore,
        name: &ObjectName,
        size: u64,
    ) -> Result<(), (FindingKind, String)> {
        let deadline = Deadline::after(PATIENCE);
        let Some(used) = self.files.get(name) else {
            let mut nothing = Content { inflater: None, failed: None };
            store.fetch(name, u64::MAX, &mut nothing, deadline).map_err(|error| judge(&error))?;
            return Ok(());
        };
        let wrong_size = |found: u64| {
            (
                FindingKind::ObjectSize,
                format!("decompresses to {found} bytes, the catalog lists {}", used.size),
            )
        };
        let undecodable = |error: &dyn std::error::Error| (FindingKind::ObjectSize, chain(error));
        if size <= IN_MEMORY {
            let stored = store.fetch_to_memory(name, u64::MAX, deadline).map_err(|error| judge(&error))?;
            let limit = usize::try_from(used.size).unwrap_or(usize::MAX);
            let plain = decompress(&stored, used.compression, limit).map_err(|error| undecodable(&error))?;
            return if plain.len() == limit { Ok(()) } else { Err(wrong_size(plain.len() as u64)) };
        }
        let inflater = Inflater::new(used.compression, used.size);
        let mut content = Content { inflater: Some(inflater), failed: None };
        store.fetch(name, u64::MAX, &mut content, deadline).map_err(|error| judge(&error))?;
        if let Some(problem) = content.failed {
            return Err((FindingKind::ObjectSize, problem));
        }
        let Some(inflater) = content.inflater else { return Ok(()) };
        let found = inflater.finish().map_err(|error| undecodable(&error))?;
        if found == used.size { Ok(()) } else { Err(wrong_size(found)) }
    }
}

/// Takes stored bytes and decodes them, if there is something to decode them by, to nowhere.
struct Content {
    inflater: Option<Inflater>,
    /// Why decoding failed: the hash is compared to the end nevertheless, since it tells more.
    failed: Option<String>,
}

impl ObjectSink for Content {
    fn restart(&mut self) -> io::Result<()> {
        Err(io::Error::other("a check reads every place by itself"))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(inflater) = &mut self.inflater
            && self.failed.is_none()
            && let Err(error) = inflater.write(bytes, &mut |_| Ok(()))
        {
            self.failed = Some(chain(&error));
        }
        Ok(())
    }
}

fn judge(error: &StoreError) -> (FindingKind, String) {
    let kind = if error.is_integrity() {
        FindingKind::ObjectDamaged
    } else if error.is_absence() {
        FindingKind::ObjectMissing
    } else {
        FindingKind::Unreadable
    };
    (kind, chain(error))
}
