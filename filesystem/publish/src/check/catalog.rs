//! Checks one catalog by itself: that it loads, that its rows are a tree of entries that can be, that it counts right.
//! How it fits to its parent is checked in [`super::transitions`], whether its objects exist in [`super::objects`].

use std::collections::HashMap;

use varve_content::{Compression, ContentHash, ObjectKind, ObjectName, PathKey, decompress};
use varve_repository::{
    CatalogIndex, CatalogReader, CatalogReference, Counters, Entry, FileData, NestedRole, Node,
    RepositoryPath, SchemaVersion, TreeCounters,
};
use varve_store::{Deadline, ObjectStore};

use super::finding::{Finding, FindingKind, chain};
use super::{PATIENCE, hard_links};

/// The most bytes of a catalog, stored or not.
const CATALOG_LIMIT: u64 = 4 << 30;

/// The files that mark a nested catalog.
const MARKER: &[u8] = b".cvmfscatalog";

/// What the rest of the check needs to know of a catalog.
pub(super) struct Examined {
    pub(super) root: Option<Entry>,
    pub(super) recorded: Counters,
    pub(super) version: SchemaVersion,
    pub(super) revision: u64,
    /// Bytes of the database.
    pub(super) size: u64,
    pub(super) nested: Vec<Meeting>,
    pub(super) entries: u64,
    pub(super) uses: Vec<(ObjectName, Use)>,
}

/// A nested catalog as its parent knows it.
pub(super) struct Meeting {
    pub(super) reference: CatalogReference,
    /// The directory's entry in the parent.
    pub(super) entry: Option<Entry>,
}

/// What a catalog says of an object of a file.
pub(super) struct Use {
    pub(super) path: RepositoryPath,
    /// Bytes of content.
    pub(super) size: u64,
    pub(super) compression: Compression,
}

/// A row with its place in the tree.
pub(super) struct Row {
    pub(super) key: PathKey,
    pub(super) parent: PathKey,
    pub(super) entry: Entry,
    /// Known once the tree was walked.
    pub(super) path: Option<RepositoryPath>,
}

/// Loads and checks a catalog. `None` if it can't be loaded, which is among the findings then.
pub(super) fn examine(
    store: &dyn ObjectStore,
    reference: &CatalogReference,
) -> (Option<Examined>, Vec<Finding>) {
    let mut findings = Vec::new();
    let name = ObjectName::new(reference.hash, ObjectKind::Catalog);
    let mut find =
        |kind, problem: String| findings.push(Finding::new(kind, problem).at(&reference.path).of(&name));
    let plain = match load(store, &name) {
        Ok(plain) => plain,
        Err(problem) => {
            find(FindingKind::Catalog, problem);
            return (None, findings);
        }
    };
    let size = plain.len() as u64;
    if reference.size.is_some_and(|expected| expected != size) {
        let expected = reference.size.unwrap_or_default();
        find(FindingKind::CatalogReference, format!("the catalog has {size} bytes, {expected} are recorded"));
    }
    let reader = match CatalogReader::from_bytes(plain) {
        Ok(reader) => reader,
        Err(error) => {
            find(FindingKind::Catalog, chain(&error));
            return (None, findings);
        }
    };
    if let Err(error) = CatalogIndex::build(&reader, &reference.path) {
        find(FindingKind::CatalogTree, chain(&error));
    }
    match read(&reader, &reference.path, &name, size, &mut findings) {
        Ok(examined) => (Some(examined), findings),
        Err(error) => {
            findings.push(Finding::new(FindingKind::Catalog, chain(&error)).at(&reference.path).of(&name));
            (None, findings)
        }
    }
}

/// The plain bytes of an object that is metadata: a catalog, a history, a certificate.
pub(super) fn load(store: &dyn ObjectStore, name: &ObjectName) -> Result<Vec<u8>, String> {
    let stored = store
        .fetch_to_memory(name, CATALOG_LIMIT, Deadline::after(PATIENCE))
        .map_err(|error| chain(&error))?;
    let compression = metadata_compression(&stored);
    decompress(&stored, compression, CATALOG_LIMIT as usize).map_err(|error| chain(&error))
}

/// How an object of metadata is stored. Its own first bytes tell: nothing that refers to it does.
pub(crate) fn metadata_compression(stored: &[u8]) -> Compression {
    match stored {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [b'S', b'Q', b'L', b'i', b't', b'e', b' ', ..] => Compression::None,
        _ => Compression::Zlib,
    }
}

fn read(
    reader: &CatalogReader,
    prefix: &RepositoryPath,
    name: &ObjectName,
    size: u64,
    findings: &mut Vec<Finding>,
) -> Result<Examined, varve_repository::CatalogError> {
    let mut rows = Vec::new();
    reader.for_each_entry(|key, parent, entry| {
        rows.push(Row { key, parent, entry, path: None });
        Ok::<_, varve_repository::CatalogError>(())
    })?;
    let by_key: HashMap<PathKey, usize> = rows.iter().enumerate().map(|(at, row)| (row.key, at)).collect();
    let unreachable = find_paths(&mut rows, &by_key, prefix);
    let mut find = |kind, path: &RepositoryPath, problem: String| {
        findings.push(Finding::new(kind, problem).at(path).of(name));
    };
    if unreachable > 0 {
        find(
            FindingKind::CatalogTree,
            prefix,
            format!("{unreachable} rows can't be reached from the catalog's root"),
        );
    }

    let references = reader.nested()?;
    let bound = reader.bind_mount_points()?;
    let mut counted = TreeCounters { nested_catalogs: references.len() as u64, ..TreeCounters::default() };
    let mut uses = Vec::new();
    let mut marked = false;
    for row in &rows {
        counted.count(&row.entry);
        let Some(path) = &row.path else { continue };
        if PathKey::of(path.as_bytes()) != row.key {
            find(FindingKind::CatalogTree, path, "the row is not found under its path".to_owned());
        }
        for problem in entry_problems(&row.entry) {
            find(FindingKind::Entry, path, problem);
        }
        collect_uses(&row.entry, path, &mut uses);
        let is_file = matches!(row.entry.node, Node::File(_));
        if is_file && row.entry.name.as_ref().is_some_and(|name| name.as_bytes() == MARKER) {
            if row.parent == prefix.key() && row.key != row.parent {
                marked = true;
            } else {
                find(
                    FindingKind::Nested,
                    path,
                    "a marker of a nested catalog that does not exist".to_owned(),
                );
            }
        }
        let registered = match row.entry.nested {
            NestedRole::MountPoint => references.iter().any(|reference| reference.path == *path),
            NestedRole::BindMountPoint => bound.iter().any(|reference| reference.path == *path),
            NestedRole::Plain | NestedRole::Root => true,
        };
        if !registered {
            find(FindingKind::Nested, path, "flagged as a nested catalog, but not registered".to_owned());
        }
    }
    if !prefix.is_root() && !marked {
        find(FindingKind::Nested, prefix, "the nested catalog has no marker file '.cvmfscatalog'".to_owned());
    }
    hard_links::check(&rows, &mut |kind, path: &RepositoryPath, problem| find(kind, path, problem));
    let recorded = reader.counters()?;
    let version = reader.schema_version();
    for problem in count_problems(version, &recorded.self_, &counted) {
        find(FindingKind::Counters, prefix, format!("of the catalog itself, {problem}"));
    }

    let entry_at = |path: &RepositoryPath| by_key.get(&path.key()).map(|&at| rows[at].entry.clone());
    let nested = references
        .into_iter()
        .map(|reference| {
            let entry = entry_at(&reference.path);
            if entry.as_ref().is_none_or(|entry| entry.nested != NestedRole::MountPoint) {
                let problem = "registered as a nested catalog, but the directory is not flagged so";
                find(FindingKind::Nested, &reference.path, problem.to_owned());
            }
            Meeting { reference, entry }
        })
        .collect();
    Ok(Examined {
        root: entry_at(prefix),
        recorded,
        version,
        revision: reader.properties().revision,
        size,
        nested,
        entries: rows.len() as u64,
        uses,
    })
}

/// Gives every row that can be reached from the root its path; how many can't.
fn find_paths(rows: &mut [Row], by_key: &HashMap<PathKey, usize>, prefix: &RepositoryPath) -> usize {
    let mut children: HashMap<PathKey, Vec<usize>> = HashMap::new();
    let root = by_key.get(&prefix.key()).copied();
    for (at, row) in rows.iter().enumerate() {
        if Some(at) != root {
            children.entry(row.parent).or_default().push(at);
        }
    }
    let mut open: Vec<(usize, RepositoryPath)> =
        root.map(|root| (root, prefix.clone())).into_iter().collect();
    let mut reached = 0;
    while let Some((at, path)) = open.pop() {
        // Every row is the child of one parent only, and taken from the table once: this ends.
        for child in children.remove(&rows[at].key).unwrap_or_default() {
            if let Some(name) = &rows[child].entry.name {
                open.push((child, path.join(name)));
            }
        }
        rows[at].path = Some(path);
        reached += 1;
    }
    rows.len() - reached
}

fn collect_uses(entry: &Entry, path: &RepositoryPath, uses: &mut Vec<(ObjectName, Use)>) {
    let Node::File(file) = &entry.node else { return };
    if file.external {
        return;
    }
    let mut add = |hash: ContentHash, kind, size| {
        let name = ObjectName::new(hash, kind);
        uses.push((name, Use { path: path.clone(), size, compression: file.compression }));
    };
    match &file.data {
        FileData::Whole(hash) => add(*hash, ObjectKind::File, file.size),
        FileData::Chunked { chunks, whole, .. } => {
            chunks.iter().for_each(|chunk| add(chunk.hash, ObjectKind::Chunk, chunk.size));
            if let Some(whole) = whole {
                add(*whole, ObjectKind::File, file.size);
            }
        }
    }
}

fn entry_problems(entry: &Entry) -> Vec<String> {
    let mut problems = Vec::new();
    if let Node::File(file) = &entry.node
        && let FileData::Chunked { chunks, .. } = &file.data
    {
        let mut end = 0u64;
        for chunk in chunks {
            if chunk.offset != end {
                problems.push(format!(
                    "its chunk at {} does not follow the one before, which ends at {end}",
                    chunk.offset
                ));
            }
            end = chunk.offset.saturating_add(chunk.size);
        }
        if chunks.is_empty() && file.size > 0 {
            problems.push("it is stored in chunks, but none is listed".to_owned());
        } else if end != file.size {
            problems.push(format!("its chunks end at {end}, it has {} bytes", file.size));
        }
    }
    if entry.hard_link.count == 0 {
        problems.push("its link count is 0".to_owned());
    }
    if matches!(entry.node, Node::Directory { .. }) && entry.hard_link.group != 0 {
        problems.push("a directory can't have hard links".to_owned());
    }
    problems
}

/// The counts that differ, of those that the schema revision has.
pub(super) fn count_problems(
    version: SchemaVersion,
    recorded: &TreeCounters,
    counted: &TreeCounters,
) -> Vec<String> {
    if version.hundredths < 250 {
        return Vec::new();
    }
    let since = |name: &str| match name {
        "xattr" => 2,
        "external" | "external_file_size" => 3,
        "special" => 5,
        _ => 0,
    };
    let pairs = recorded.values().into_iter().zip(counted.values());
    TreeCounters::NAMES
        .iter()
        .zip(pairs)
        .filter(|(name, (recorded, counted))| version.revision >= since(name) && recorded != counted)
        .map(|(name, (recorded, counted))| format!("'{name}' is recorded as {recorded}, there are {counted}"))
        .collect()
}
