//! What is wrong with a catalog whose bytes are those that its hash names. All of it is a matter of integrity.

use crate::XattrsError;

/// Why a catalog can't be used. Retrying does not help: the publisher wrote it so, or somebody with its key did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Not an SQLite database, damaged, or more work than its size justifies.
    #[error("the catalog's database is unusable")]
    Database(#[source] rusqlite::Error),
    /// The file's header shows that it can't be a catalog.
    #[error("the catalog is no database of the expected kind: {reason}")]
    Header {
        /// What is wrong.
        reason: &'static str,
    },
    /// A schema that this program does not know.
    #[error("catalog schema {version} is not supported")]
    UnsupportedSchema {
        /// The value of the property `schema`, shortened.
        version: String,
    },
    /// A table or column that the schema requires is missing, or is not a plain table.
    #[error("the catalog has no table '{table}' with a column '{column}'")]
    Schema {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A property that has an impossible value.
    #[error("the catalog's property '{key}' is invalid")]
    Property {
        /// The key.
        key: String,
    },
    /// A row that can't be.
    #[error("the catalog's row of '{name}' is invalid: {problem}")]
    Row {
        /// The entry's name as recorded.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Damaged extended attributes.
    #[error("the extended attributes of '{name}' are invalid")]
    Xattrs {
        /// The entry's name.
        name: String,
        /// What is wrong.
        #[source]
        source: XattrsError,
    },
    /// A reference to a nested catalog that can't be.
    #[error("the reference to the nested catalog at '{path}' is invalid: {problem}")]
    Nested {
        /// The path as recorded.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Rows that repeat each other's bytes: more content than the file has room for.
    #[error("the catalog lists more than its {size} bytes can hold")]
    Bomb {
        /// The size of the catalog in bytes.
        size: u64,
    },
    /// The rows are no tree under the catalog's root.
    #[error("the catalog's entries do not form a tree: {problem}")]
    Tree {
        /// What is wrong, with the name of an entry concerned.
        problem: String,
    },
    /// The catalog of another directory than the one it was referred to from.
    #[error("the catalog is that of '{actual}', not of '{expected}'")]
    WrongRoot {
        /// Where it was referred to.
        expected: String,
        /// What it says of itself.
        actual: String,
    },
    /// The bytes of an index are not those that were written.
    #[error("the catalog index is damaged or of another version: {problem}")]
    Index {
        /// What is wrong.
        problem: &'static str,
    },
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Bytes of a foreign name in a message: printable, and not too long.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]);
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
