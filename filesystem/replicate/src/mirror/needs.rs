//! What a catalog needs to be complete: the objects of its files and the catalogs nested in it. Pure.

use std::collections::HashSet;

use varve_content::{ObjectKind, ObjectName};
use varve_repository::{
    CatalogError, CatalogReader, CatalogReference, FileData, Node, RepositoryError, unpack_catalog,
};

/// An object, and the most stored bytes that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) name: ObjectName,
    pub(crate) limit: u64,
}

/// All that a catalog names.
pub(crate) struct Needs {
    /// Each object once.
    pub(crate) objects: Vec<Need>,
    pub(crate) nested: Vec<CatalogReference>,
}

impl Needs {
    /// Reads a stored catalog. What `bind_mountpoints` names are root catalogs of other revisions and none of its needs.
    pub(crate) fn of(stored: &[u8], reference: &CatalogReference) -> Result<Self, RepositoryError> {
        let unusable = |source| RepositoryError::Catalog {
            path: reference.path.to_string(),
            hash: reference.hash,
            source,
        };
        let reader = CatalogReader::from_bytes(unpack_catalog(stored, reference)?).map_err(unusable)?;
        if *reader.root_prefix() != reference.path {
            let (expected, actual) = (reference.path.to_string(), reader.root_prefix().to_string());
            return Err(unusable(CatalogError::WrongRoot { expected, actual }));
        }
        let mut seen = HashSet::new();
        let mut objects = Vec::new();
        let mut add = |name: ObjectName, limit| {
            if seen.insert(name) {
                objects.push(Need { name, limit });
            }
        };
        reader
            .for_each_entry::<CatalogError>(|_, _, entry| {
                let Node::File(file) = &entry.node else { return Ok(()) };
                if file.external {
                    return Ok(());
                }
                let limit = |plain| file.compression.stored_bound(plain);
                match &file.data {
                    FileData::Whole(hash) => {
                        add(ObjectName::new(*hash, ObjectKind::File), limit(file.size));
                    }
                    FileData::Chunked { chunks, whole, .. } => {
                        for chunk in chunks {
                            add(ObjectName::new(chunk.hash, ObjectKind::Chunk), limit(chunk.size));
                        }
                        if let Some(whole) = whole {
                            add(ObjectName::new(*whole, ObjectKind::File), limit(file.size));
                        }
                    }
                }
                Ok(())
            })
            .map_err(unusable)?;
        let nested = reader.nested().map_err(unusable)?;
        Ok(Self { objects, nested })
    }
}
