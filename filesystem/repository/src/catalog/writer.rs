//! Writes a catalog of schema 2.5 revision 7 in memory, with the conventions of CernVM-FS row for row.
//!
//! The bytes depend on nothing but the properties and the rows in the order in which they are added.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};
use varve_content::{ContentHash, PathKey};

use super::{CatalogProperties, CatalogReference, Counters, SchemaVersion, TreeCounters, flags, schema};
use crate::db::in_memory;
use crate::{Entry, FileData, NestedRole, Node, RepositoryPath};

const INSERT_ENTRY: &str = "INSERT INTO catalog (md5path_1, md5path_2, parent_1, parent_2, hardlinks, hash, size, \
     mode, mtime, mtimens, flags, name, symlink, uid, gid, xattr) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
const INSERT_CHUNK: &str =
    "INSERT INTO chunks (md5path_1, md5path_2, offset, size, hash) VALUES (?1, ?2, ?3, ?4, ?5)";

/// A catalog in the making.
///
/// The directory that the catalog lists comes first, with an empty name in a repository's root catalog and with
/// [`NestedRole::Root`] in a nested one. Add each directory before its content, and the content sorted by name, so that
/// the same tree always gives the same bytes.
pub struct CatalogWriter {
    database: Connection,
    properties: CatalogProperties,
    counters: TreeCounters,
    /// The directory of the last entry with its key: most entries are in the same one.
    directory: (RepositoryPath, PathKey),
}

impl CatalogWriter {
    /// An empty catalog.
    ///
    /// # Errors
    /// [`CatalogWriteError::Database`] if memory is short.
    pub fn new(properties: CatalogProperties) -> Result<Self, CatalogWriteError> {
        let database = in_memory()?;
        database.pragma_update(None, "page_size", schema::PAGE_SIZE)?;
        database.pragma_update(None, "journal_mode", "off")?;
        database.pragma_update(None, "foreign_keys", false)?;
        database.pragma_update(None, "temp_store", "memory")?;
        for statement in schema::CREATE {
            database.execute(statement, [])?;
        }
        database.execute_batch("BEGIN")?;
        let directory = (RepositoryPath::ROOT, RepositoryPath::ROOT.key());
        Ok(Self { database, properties, counters: TreeCounters::default(), directory })
    }

    /// Adds the entry at `path`.
    ///
    /// # Errors
    /// [`CatalogWriteError`] if the entry has another name than the path, lies outside the catalog, or is there already.
    pub fn add(&mut self, path: &RepositoryPath, entry: &Entry) -> Result<(), CatalogWriteError> {
        let problem = |problem| CatalogWriteError::Entry { path: path.to_string(), problem };
        let split = path.split_last();
        if entry.name.as_ref() != split.as_ref().map(|(_, name)| name) {
            return Err(problem("its name is not that of its path"));
        }
        if !path.starts_with(&self.properties.root_prefix) {
            return Err(problem("it lies outside the catalog"));
        }
        if entry.nested != NestedRole::Plain && !matches!(entry.node, Node::Directory { .. }) {
            return Err(problem("catalogs can meet at directories only"));
        }
        let parent = match split {
            None => PathKey::NONE,
            Some((directory, _)) => {
                if directory != self.directory.0 {
                    let key = directory.key();
                    self.directory = (directory, key);
                }
                self.directory.1
            }
        };
        let key = path.key();
        insert(&mut self.database.prepare_cached(INSERT_ENTRY)?, key, parent, entry)
            .map_err(|source| CatalogWriteError::Insert { path: path.to_string(), source })?;
        if let Node::File(file) = &entry.node
            && let FileData::Chunked { chunks, .. } = &file.data
        {
            let mut statement = self.database.prepare_cached(INSERT_CHUNK)?;
            let (first, second) = key.halves();
            for chunk in chunks {
                statement
                    .execute((
                        first,
                        second,
                        integer(chunk.offset),
                        integer(chunk.size),
                        chunk.hash.digest().as_slice(),
                    ))
                    .map_err(|source| CatalogWriteError::Insert { path: path.to_string(), source })?;
            }
        }
        self.counters.count(entry);
        Ok(())
    }

    /// Adds a reference to a nested catalog; the directory itself is added with [`NestedRole::MountPoint`].
    ///
    /// # Errors
    /// [`CatalogWriteError`] if the path lies outside the catalog or has a reference already.
    pub fn add_nested(&mut self, reference: &CatalogReference) -> Result<(), CatalogWriteError> {
        self.add_reference("INSERT INTO nested_catalogs (path, sha1, size) VALUES (?1, ?2, ?3)", reference)?;
        self.counters.nested_catalogs += 1;
        Ok(())
    }

    /// Adds a reference to the root catalog of another revision; the directory has [`NestedRole::BindMountPoint`].
    ///
    /// # Errors
    /// As [`Self::add_nested`].
    pub fn add_bind_mount_point(&mut self, reference: &CatalogReference) -> Result<(), CatalogWriteError> {
        self.add_reference("INSERT INTO bind_mountpoints (path, sha1, size) VALUES (?1, ?2, ?3)", reference)
    }

    /// The counts of what has been added so far.
    pub fn counters(&self) -> &TreeCounters {
        &self.counters
    }

    /// Ends the catalog; `subtree` counts what the catalogs below it hold, which is the sum of their totals.
    /// Returns its statistics and the bytes of the database.
    ///
    /// # Errors
    /// [`CatalogWriteError::Database`] if memory is short.
    pub fn finish(mut self, subtree: TreeCounters) -> Result<(Counters, Vec<u8>), CatalogWriteError> {
        let counters = Counters { self_: self.counters, subtree };
        {
            let mut statement =
                self.database.prepare("INSERT INTO statistics (counter, value) VALUES (?1, ?2)")?;
            for (prefix, part) in [("self_", &counters.self_), ("subtree_", &counters.subtree)] {
                for (name, value) in TreeCounters::NAMES.iter().zip(part.values()) {
                    statement.execute((format!("{prefix}{name}"), integer(value)))?;
                }
            }
            let mut statement =
                self.database.prepare("INSERT INTO properties (key, value) VALUES (?1, ?2)")?;
            for (key, value) in property_rows(&self.properties) {
                statement.execute((key, Text(&value)))?;
            }
        }
        // Sorted in one go: faster, and its pages are full.
        self.database.execute(schema::CREATE_PARENT_INDEX, [])?;
        self.database.execute_batch("COMMIT")?;
        let bytes = self.database.serialize("main")?.to_vec();
        Ok((counters, bytes))
    }

    fn add_reference(&self, statement: &str, reference: &CatalogReference) -> Result<(), CatalogWriteError> {
        let path = &reference.path;
        if !path.starts_with(&self.properties.root_prefix) || *path == self.properties.root_prefix {
            return Err(CatalogWriteError::Entry {
                path: path.to_string(),
                problem: "a catalog nested there does not lie inside this one",
            });
        }
        self.database
            .prepare_cached(statement)?
            .execute((Text(path.as_bytes()), reference.hash.to_string(), reference.size.map(integer)))
            .map_err(|source| CatalogWriteError::Insert { path: path.to_string(), source })?;
        Ok(())
    }
}

/// Why a catalog could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogWriteError {
    /// The database failed.
    #[error("cannot write the catalog")]
    Database(#[from] rusqlite::Error),
    /// A row was refused: the path is there already.
    #[error("cannot add '{path}' to the catalog")]
    Insert {
        /// The path.
        path: String,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// An entry that does not belong into this catalog.
    #[error("cannot add '{path}' to the catalog: {problem}")]
    Entry {
        /// The path.
        path: String,
        /// Why.
        problem: &'static str,
    },
}

/// Bytes that are bound as text, whether they are UTF-8 or not.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// SQLite's integers are signed; no size or count comes near the difference.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn insert(
    statement: &mut CachedStatement<'_>,
    key: PathKey,
    parent: PathKey,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let (key_1, key_2) = key.halves();
    let (parent_1, parent_2) = parent.halves();
    let (size, hash, target): (u64, Option<&ContentHash>, &[u8]) = match &entry.node {
        Node::Directory { size } => (*size, None, b""),
        Node::Symlink { target } => (target.len() as u64, None, target),
        Node::Fifo | Node::Socket => (0, None, b""),
        Node::CharacterDevice { device } | Node::BlockDevice { device } => (*device, None, b""),
        Node::File(file) => match &file.data {
            FileData::Whole(hash) => (file.size, Some(hash), b""),
            FileData::Chunked { whole, .. } => (file.size, whole.as_ref(), b""),
        },
    };
    let xattrs = entry.xattrs.to_blob();
    statement.execute(rusqlite::params![
        key_1,
        key_2,
        parent_1,
        parent_2,
        flags::encode_hard_link(entry.hard_link),
        hash.map(|hash| hash.digest().as_slice()),
        integer(size),
        flags::mode(entry),
        entry.metadata.mtime.seconds,
        entry.metadata.mtime.nanoseconds,
        flags::encode(entry),
        Text(entry.name.as_ref().map_or(b"", |name| name.as_bytes())),
        Text(target),
        entry.metadata.uid,
        entry.metadata.gid,
        (!xattrs.is_empty()).then_some(xattrs),
    ])?;
    Ok(())
}

/// The rows of the table of properties. All values are text, as the column's affinity makes them in CernVM-FS.
fn property_rows(properties: &CatalogProperties) -> Vec<(&'static str, Vec<u8>)> {
    let version = SchemaVersion::WRITTEN;
    let schema = f64::from(version.hundredths) / 100.0;
    let mut rows: Vec<(&'static str, Vec<u8>)> = vec![
        ("schema", schema.to_string().into()),
        ("schema_revision", version.revision.to_string().into()),
        ("revision", properties.revision.to_string().into()),
        ("last_modified", properties.last_modified.to_string().into()),
    ];
    if !properties.root_prefix.is_root() {
        rows.push(("root_prefix", properties.root_prefix.as_bytes().into()));
    }
    match &properties.previous {
        Some(hash) => rows.push(("previous_revision", hash.to_string().into())),
        None if properties.revision == 0 => {}
        None => rows.push(("previous_revision", vec![b'0'; 40])),
    }
    if let Some(ttl) = properties.time_to_live {
        rows.push(("TTL", ttl.as_secs().to_string().into()));
    }
    if properties.volatile {
        rows.push(("volatile", b"1".to_vec()));
    }
    if let Some(authorization) = &properties.authorization {
        rows.push(("voms_authz", authorization.as_bytes().into()));
    }
    rows
}
