//! The texts of the schema, exactly as CernVM-FS creates it, and the check that a catalog has plain tables of it.

use rusqlite::{Connection, OptionalExtension as _};

use super::CatalogError;

/// Creates the tables of schema 2.5 revision 7. SQLite keeps these very texts in the file.
pub(super) const CREATE: [&str; 6] = [
    "CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key))",
    "CREATE TABLE catalog (md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, \
     hardlinks INTEGER, hash BLOB, size INTEGER, mode INTEGER, mtime INTEGER, mtimens INTEGER, flags INTEGER, \
     name TEXT, symlink TEXT, uid INTEGER, gid INTEGER, xattr BLOB,  \
     CONSTRAINT pk_catalog PRIMARY KEY (md5path_1, md5path_2))",
    "CREATE TABLE chunks (md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER,  hash BLOB,  \
     CONSTRAINT pk_chunks PRIMARY KEY (md5path_1, md5path_2, offset, size),  \
     FOREIGN KEY (md5path_1, md5path_2) REFERENCES    catalog(md5path_1, md5path_2))",
    "CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER, \
     CONSTRAINT pk_nested_catalogs PRIMARY KEY (path))",
    "CREATE TABLE bind_mountpoints (path TEXT, sha1 TEXT, size INTEGER, \
     CONSTRAINT pk_bind_mountpoints PRIMARY KEY (path))",
    "CREATE TABLE statistics (counter TEXT, value INTEGER, CONSTRAINT pk_statistics PRIMARY KEY (counter))",
];

/// Creates the index for listings, once all rows are there.
pub(super) const CREATE_PARENT_INDEX: &str =
    "CREATE INDEX idx_catalog_parent ON catalog (parent_1, parent_2)";

/// The page size of catalogs written by CernVM-FS, in bytes.
pub(super) const PAGE_SIZE: u32 = 1024;

/// Whether the database has a plain table of that name: views and virtual tables could run code while they are read.
pub(super) fn has_table(database: &Connection, table: &str) -> Result<bool, CatalogError> {
    let kind: Option<(String, i64)> = database
        .query_row("SELECT type, rootpage FROM sqlite_master WHERE name = ?1", [table], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(kind.is_some_and(|(kind, root)| kind == "table" && root > 0))
}

/// Whether a table has a stored column of that name: generated ones are computed while they are read.
pub(super) fn has_column(database: &Connection, table: &str, column: &str) -> Result<bool, CatalogError> {
    let hidden: Option<i64> = database
        .query_row("SELECT hidden FROM pragma_table_xinfo(?1) WHERE name = ?2", [table, column], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(hidden == Some(0))
}
