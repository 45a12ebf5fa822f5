//! A small sound repository, signed with a fixture's keys, and ways to make it unsound that no publisher has.

use varve_content::{Algorithm, Compression, Compressor, ContentHash, Effort, ObjectKind, ObjectName};
use varve_publish::{CheckOptions, CheckReport, NoProgress, check};
use varve_repository::{
    CatalogProperties, CatalogReference, CatalogWriter, Chunk, Entry, EntryName, FileContent, FileData,
    HardLink, ManifestFields, Metadata, Mtime, NestedRole, Node, RepositoryPath, SigningKeys, TreeCounters,
    Xattrs,
};
use varve_store::{MemoryStore, ObjectStore, RepositoryFile};
use varve_testkit::Fixture;

use crate::fixture::{name, now, trust};

/// What the repository is made of; changed by the tests.
pub(crate) struct Plan {
    /// The root catalog's entries, by path.
    pub(crate) outer: Vec<(&'static str, Entry)>,
    /// Those of the catalog at `/nested`.
    pub(crate) inner: Vec<(&'static str, Entry)>,
    /// Whether the root catalog refers to the other one.
    pub(crate) registered: bool,
    /// The size that it records, if it is not the right one.
    pub(crate) nested_size: Option<u64>,
    /// SQL that is run on the root catalog at the end.
    pub(crate) sql: Option<&'static str>,
    /// The revision in the manifest; the catalogs are of revision 1.
    pub(crate) revision: u64,
}

pub(crate) const CONTENT: &[u8] = b"what is in all files here";

/// Finds the entry at a path.
pub(crate) fn entry<'a>(entries: &'a mut [(&'static str, Entry)], path: &str) -> &'a mut Entry {
    &mut entries.iter_mut().find(|(other, _)| *other == path).expect("because it is in the plan").1
}

pub(crate) fn directory(path: &str, link_count: u32) -> Entry {
    let node = Node::Directory { size: 4096 };
    Entry { hard_link: HardLink { group: 0, count: link_count }, ..of(path, node) }
}

pub(crate) fn file(path: &str) -> Entry {
    let data = FileData::Whole(stored_hash());
    of(path, Node::File(content(data)))
}

fn chunked(path: &str) -> Entry {
    let half = CONTENT.len() as u64 / 2;
    let sizes = [half, CONTENT.len() as u64 - half];
    let chunks = [0, half].into_iter().zip(sizes).map(|(offset, size)| {
        let part = &CONTENT[offset as usize..(offset + size) as usize];
        Chunk { offset, size, hash: Algorithm::Sha1.hash(&compressed(part)) }
    });
    let data = FileData::Chunked { algorithm: Algorithm::Sha1, chunks: chunks.collect(), whole: None };
    of(path, Node::File(content(data)))
}

fn content(data: FileData) -> FileContent {
    FileContent {
        size: CONTENT.len() as u64,
        compression: Compression::Zlib,
        data,
        external: false,
        direct_io: false,
    }
}

fn of(path: &str, node: Node) -> Entry {
    let name = path.rsplit('/').next().filter(|name| !name.is_empty());
    Entry {
        name: name.map(|name| EntryName::new(name).expect("because it is a name")),
        metadata: Metadata {
            permissions: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime { seconds: 1_700_000_000, nanoseconds: None },
        },
        node,
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}

impl Plan {
    fn sound() -> Self {
        let linked = |path| Entry { hard_link: HardLink { group: 1, count: 2 }, ..file(path) };
        let nested = |role| Entry { nested: role, ..directory("/nested", 2) };
        Self {
            outer: vec![
                ("", directory("", 4)),
                ("/a", linked("/a")),
                ("/b", linked("/b")),
                ("/chunked", chunked("/chunked")),
                ("/plain", directory("/plain", 2)),
                ("/nested", nested(NestedRole::MountPoint)),
            ],
            inner: vec![
                ("/nested", nested(NestedRole::Root)),
                ("/nested/.cvmfscatalog", file("/nested/.cvmfscatalog")),
                ("/nested/x", file("/nested/x")),
            ],
            registered: true,
            nested_size: None,
            sql: None,
            revision: 1,
        }
    }
}

/// Checks the repository after a change of its plan.
pub(crate) fn check_with(change: impl FnOnce(&mut Plan)) -> CheckReport {
    let mut plan = Plan::sound();
    change(&mut plan);
    let store = MemoryStore::new();
    let (first, second) = CONTENT.split_at(CONTENT.len() / 2);
    put(&store, ObjectKind::File, CONTENT);
    put(&store, ObjectKind::Chunk, first);
    put(&store, ObjectKind::Chunk, second);

    let (below, inner) = catalog("/nested", &plan.inner, None, TreeCounters::default(), None);
    let reference = CatalogReference {
        path: path("/nested"),
        hash: put(&store, ObjectKind::Catalog, &inner),
        size: plan.nested_size.or(Some(inner.len() as u64)),
    };
    let reference = plan.registered.then_some(reference);
    let below = if plan.registered { below } else { TreeCounters::default() };
    let (_, outer) = catalog("", &plan.outer, reference.as_ref(), below, plan.sql);

    let fixture = Fixture::sha1();
    let keys =
        SigningKeys::load(&fixture.path("keys"), &name(&fixture)).expect("because the fixture has its keys");
    let fields = ManifestFields {
        root_catalog: put(&store, ObjectKind::Catalog, &outer),
        root_catalog_size: outer.len() as u64,
        ttl: std::time::Duration::from_secs(240),
        revision: plan.revision,
        garbage_collectable: false,
        alternative_paths: false,
        repository: name(&fixture),
        certificate: Some(put(&store, ObjectKind::Certificate, keys.certificate().pem())),
        history: None,
        published: 1_700_000_000,
        meta_info: None,
        reflog: None,
    };
    let manifest = keys.sign_manifest(fields, Algorithm::Sha1).expect("because it is the fixture's own");
    let whitelist = std::fs::read(fixture.served().join(".cvmfswhitelist")).expect("because it is served");
    for (file, bytes) in
        [(RepositoryFile::Manifest, manifest.to_bytes()), (RepositoryFile::Whitelist, whitelist)]
    {
        store.put_file(file, &bytes).expect("because memory takes all");
    }
    let options = CheckOptions { data: true, threads: 1 };
    check(&store, &name(&fixture), &trust(&fixture), now(), options, &NoProgress)
}

/// The totals and the bytes of a catalog.
fn catalog(
    prefix: &str,
    entries: &[(&'static str, Entry)],
    nested: Option<&CatalogReference>,
    below: TreeCounters,
    sql: Option<&str>,
) -> (TreeCounters, Vec<u8>) {
    let properties =
        CatalogProperties { root_prefix: path(prefix), revision: 1, ..CatalogProperties::default() };
    let mut writer = CatalogWriter::new(properties).expect("because there is memory");
    for (place, entry) in entries {
        writer.add(&path(place), entry).expect("because it fits");
    }
    if let Some(nested) = nested {
        writer.add_nested(nested).expect("because it is the only one");
    }
    let (counters, mut bytes) = writer.finish(below).expect("because there is memory");
    if let Some(sql) = sql {
        bytes = changed(&bytes, sql);
    }
    (counters.total(), bytes)
}

fn changed(bytes: &[u8], sql: &str) -> Vec<u8> {
    let mut database = rusqlite::Connection::open_in_memory().expect("because there is memory");
    database.deserialize_read_exact("main", bytes, bytes.len(), false).expect("because it is a database");
    database.execute_batch(sql).expect("because the statement is right");
    database.serialize("main").expect("because there is memory").to_vec()
}

fn path(text: &str) -> RepositoryPath {
    RepositoryPath::new(text.as_bytes()).expect("because it is a path")
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    let mut compressor = Compressor::new(Compression::Zlib, Effort::Fast);
    compressor.compress(plain, &mut stored).expect("because zlib is written");
    stored
}

fn stored_hash() -> ContentHash {
    Algorithm::Sha1.hash(&compressed(CONTENT))
}

fn put(store: &MemoryStore, kind: ObjectKind, plain: &[u8]) -> ContentHash {
    let stored = compressed(plain);
    let hash = Algorithm::Sha1.hash(&stored);
    store.put(&ObjectName::new(hash, kind), &stored).expect("because memory takes all");
    hash
}
