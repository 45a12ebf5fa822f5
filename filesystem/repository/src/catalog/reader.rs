//! Reads a catalog's tables, of every schema revision. The bytes may come from anybody.
//!
//! Only plain scans without SQLite's own indexes are used: an index that contradicts its table can't matter then. That
//! the rows form a tree is not checked here, but when [`crate::CatalogIndex`] is built of them.

use std::time::Duration;

use varve_content::{ContentHash, PathKey};

use super::database::Database;
use super::error::shown;
use super::row::{self, Row};
use super::{
    CatalogError, CatalogProperties, CatalogReference, Counters, SchemaVersion, TreeCounters, schema,
};
use crate::{Chunk, Entry, RepositoryPath};

/// Bytes that a row of `catalog` takes in the file beside its texts and blobs, at least.
const ROW_OVERHEAD: u64 = 16;

/// The same for a row of `chunks` with its hash, and of the small tables.
const CHUNK_OVERHEAD: u64 = 28;
const SMALL_OVERHEAD: u64 = 4;

/// A catalog's database, opened.
pub struct CatalogReader {
    database: Database,
    version: SchemaVersion,
    properties: CatalogProperties,
}

/// The chunks of all files of a catalog, sorted by the file's key and the offset.
pub(crate) struct ChunkTable(Vec<(PathKey, u64, u64, [u8; 20])>);

impl CatalogReader {
    /// Opens a catalog and reads its properties.
    ///
    /// # Errors
    /// [`CatalogError`] if it is no catalog of a known schema.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CatalogError> {
        let database = Database::open(&bytes)?;
        drop(bytes);
        for (table, column) in [("properties", "key"), ("properties", "value"), ("catalog", "md5path_1")] {
            require(&database, table, column)?;
        }
        let (version, properties) = read_properties(&database)?;
        Ok(Self { database, version, properties })
    }

    /// The version of the schema.
    pub fn schema_version(&self) -> SchemaVersion {
        self.version
    }

    /// What the catalog says of itself.
    pub fn properties(&self) -> &CatalogProperties {
        &self.properties
    }

    /// The directory whose content the catalog lists.
    pub fn root_prefix(&self) -> &RepositoryPath {
        &self.properties.root_prefix
    }

    /// Calls `visit` with the key, the parent's key and the entry of every row, in no particular order.
    ///
    /// # Errors
    /// [`CatalogError`] at the first row that can't be, or what `visit` fails with.
    pub fn for_each_entry<E: From<CatalogError>>(
        &self,
        mut visit: impl FnMut(PathKey, PathKey, Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let chunks = self.chunk_table()?;
        self.for_each_row(|row| {
            let own = if row.chunked { chunks.of(row) } else { Vec::new() };
            visit(row.key, row.parent, row.to_entry(own)?)
        })
    }

    /// The references to nested catalogs, sorted by path.
    ///
    /// # Errors
    /// [`CatalogError`] if one of them can't be.
    pub fn nested(&self) -> Result<Vec<CatalogReference>, CatalogError> {
        self.references("nested_catalogs")
    }

    /// The references to root catalogs of other revisions, sorted by path. They are part of no tree walk.
    ///
    /// # Errors
    /// [`CatalogError`] if one of them can't be.
    pub fn bind_mount_points(&self) -> Result<Vec<CatalogReference>, CatalogError> {
        if schema::has_table(self.database.connection(), "bind_mountpoints")? {
            self.references("bind_mountpoints")
        } else {
            Ok(Vec::new())
        }
    }

    /// The statistics as recorded; counts that the schema revision does not have are 0.
    ///
    /// # Errors
    /// [`CatalogError`] if a count is no number.
    pub fn counters(&self) -> Result<Counters, CatalogError> {
        if !schema::has_table(self.database.connection(), "statistics")? {
            return Ok(Counters::default());
        }
        require(&self.database, "statistics", "counter")?;
        require(&self.database, "statistics", "value")?;
        let mut values = [[0; 12]; 2];
        self.database.scan(
            "SELECT counter, value FROM statistics NOT INDEXED",
            SMALL_OVERHEAD,
            |row| -> Result<_, CatalogError> {
                let key = row::bytes(row, 0)?;
                let (part, name) = match (key.strip_prefix(b"self_"), key.strip_prefix(b"subtree_")) {
                    (Some(name), _) => (0, name),
                    (_, Some(name)) => (1, name),
                    _ => return Ok(key.len()),
                };
                if let Some(index) = TreeCounters::NAMES.iter().position(|other| other.as_bytes() == name) {
                    // A negative count is found in catalogs that were mended by hand; it is as good as none.
                    values[part][index] = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                }
                Ok(key.len())
            },
        )?;
        Ok(Counters {
            self_: TreeCounters::from_values(values[0]),
            subtree: TreeCounters::from_values(values[1]),
        })
    }

    /// Calls `visit` with every row of the table of entries.
    pub(crate) fn for_each_row<E: From<CatalogError>>(
        &self,
        mut visit: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.database.scan(&self.row_query()?, ROW_OVERHEAD, |row| {
            let row = Row::decode(row)?;
            visit(&row)?;
            Ok(row.content_length())
        })
    }

    /// The chunks of all files.
    pub(crate) fn chunk_table(&self) -> Result<ChunkTable, CatalogError> {
        let mut chunks = Vec::new();
        if schema::has_table(self.database.connection(), "chunks")? {
            for column in ["md5path_1", "md5path_2", "offset", "size", "hash"] {
                require(&self.database, "chunks", column)?;
            }
            let query = "SELECT md5path_1, md5path_2, offset, size, hash FROM chunks NOT INDEXED";
            self.database.scan(query, CHUNK_OVERHEAD, |row| -> Result<_, CatalogError> {
                let invalid = |problem| CatalogError::Row { name: "a chunk".to_owned(), problem };
                let number = |index| {
                    let value: i64 = row.get(index)?;
                    u64::try_from(value).map_err(|_| invalid("its offset or size is negative"))
                };
                let digest =
                    row::bytes(row, 4)?.try_into().map_err(|_| invalid("its hash does not have 20 bytes"))?;
                chunks.push((row::key(row, 0)?, number(2)?, number(3)?, digest));
                Ok(0)
            })?;
        }
        chunks.sort_unstable();
        Ok(ChunkTable(chunks))
    }

    /// The query for all entries; columns that the schema revision does not have are NULL.
    fn row_query(&self) -> Result<String, CatalogError> {
        let mut columns = Vec::with_capacity(row::COLUMNS.len());
        for column in row::COLUMNS {
            // Revision 2 brought extended attributes, revision 7 nanoseconds; schema 2.1 link counts and owners.
            let optional = match column {
                "xattr" | "mtimens" => true,
                "hardlinks" | "uid" | "gid" => self.version.hundredths < 210,
                _ => false,
            };
            if schema::has_column(self.database.connection(), "catalog", column)? {
                columns.push(column);
            } else if optional {
                columns.push("NULL");
            } else {
                return Err(CatalogError::Schema { table: "catalog", column });
            }
        }
        Ok(format!("SELECT {} FROM catalog NOT INDEXED", columns.join(", ")))
    }

    fn references(&self, table: &'static str) -> Result<Vec<CatalogReference>, CatalogError> {
        require(&self.database, table, "path")?;
        require(&self.database, table, "sha1")?;
        let size =
            if schema::has_column(self.database.connection(), table, "size")? { "size" } else { "NULL" };
        let mut references = Vec::new();
        self.database.scan(
            &format!("SELECT path, sha1, {size} FROM {table} NOT INDEXED"),
            SMALL_OVERHEAD,
            |row| -> Result<_, CatalogError> {
                let (path, hash) = (row::bytes(row, 0)?, row::bytes(row, 1)?);
                references.push(reference(path, hash, row.get(2)?)?);
                Ok(path.len() + hash.len())
            },
        )?;
        references.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(references)
    }
}

impl ChunkTable {
    /// The chunks of the file in a row, in the order of their offsets.
    pub(crate) fn of(&self, row: &Row<'_>) -> Vec<Chunk> {
        let start = self.0.partition_point(|chunk| chunk.0 < row.key);
        self.0[start..]
            .iter()
            .take_while(|chunk| chunk.0 == row.key)
            .map(|&(_, offset, size, digest)| Chunk {
                offset,
                size,
                hash: ContentHash::from_digest(row.algorithm, digest),
            })
            .collect()
    }
}

fn require(database: &Database, table: &'static str, column: &'static str) -> Result<(), CatalogError> {
    if schema::has_table(database.connection(), table)?
        && schema::has_column(database.connection(), table, column)?
    {
        Ok(())
    } else {
        Err(CatalogError::Schema { table, column })
    }
}

fn read_properties(database: &Database) -> Result<(SchemaVersion, CatalogProperties), CatalogError> {
    let mut version = SchemaVersion { hundredths: 100, revision: 0 };
    let mut properties = CatalogProperties::default();
    database.scan(
        "SELECT key, CAST(value AS TEXT) FROM properties NOT INDEXED",
        SMALL_OVERHEAD,
        |row| -> Result<_, CatalogError> {
            let (key, value) = (row::bytes(row, 0)?, row::bytes(row, 1)?);
            let invalid = || CatalogError::Property { key: shown(key) };
            let text = || std::str::from_utf8(value).map_err(|_| invalid());
            let number = || text()?.parse::<u64>().map_err(|_| invalid());
            match key {
                b"schema" => version.hundredths = schema_hundredths(text()?)?,
                b"schema_revision" => version.revision = u32::try_from(number()?).map_err(|_| invalid())?,
                b"revision" => properties.revision = number()?,
                b"last_modified" => properties.last_modified = number()?,
                b"TTL" => properties.time_to_live = Some(Duration::from_secs(number()?)),
                b"volatile" => properties.volatile = number()? != 0,
                b"voms_authz" => properties.authorization = Some(text()?.to_owned()),
                b"root_prefix" => properties.root_prefix = exact_path(value).ok_or_else(invalid)?,
                b"previous_revision" if value.iter().any(|&byte| byte != b'0') => {
                    properties.previous = Some(text()?.parse().map_err(|_| invalid())?);
                }
                _ => {}
            }
            Ok(key.len() + value.len())
        },
    )?;
    Ok((version, properties))
}

/// Reads the version, a floating point number such as `2.5` or `2.49999`, and refuses unknown ones.
fn schema_hundredths(text: &str) -> Result<u32, CatalogError> {
    let unsupported = || CatalogError::UnsupportedSchema { version: shown(text.as_bytes()) };
    let version: f64 = text.parse().map_err(|_| unsupported())?;
    match (version * 100.0).round() {
        hundredths @ (100.0..200.0 | 240.0 | 250.0) => Ok(hundredths as u32),
        _ => Err(unsupported()),
    }
}

fn reference(path: &[u8], hash: &[u8], size: Option<i64>) -> Result<CatalogReference, CatalogError> {
    let invalid = |problem| CatalogError::Nested { path: shown(path), problem };
    Ok(CatalogReference {
        path: exact_path(path).filter(|path| !path.is_root()).ok_or_else(|| invalid("its path can't be"))?,
        hash: std::str::from_utf8(hash)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("its hash is malformed"))?,
        // Rows that were carried over from schema revision 0 have 0.
        size: size
            .filter(|&size| size != 0)
            .map(u64::try_from)
            .transpose()
            .map_err(|_| invalid("its size is negative"))?,
    })
}

/// A path that is written as catalogs hash it, `None` for any other spelling.
fn exact_path(bytes: &[u8]) -> Option<RepositoryPath> {
    RepositoryPath::new(bytes).ok().filter(|path| path.as_bytes() == bytes)
}
