//! The index tells what the catalog tells, and is refused where the rows are no tree.

use std::collections::BTreeMap;

use rusqlite::Connection;
use varve_content::{Algorithm, PathKey};
use varve_repository::{
    CatalogError, CatalogIndex, CatalogProperties, CatalogReader, CatalogReference, CatalogWriter, Chunk,
    ContentView, Entry, EntryName, FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node,
    RepositoryPath, TreeCounters, Xattrs,
};

use crate::fixture;

#[test]
fn the_index_tells_what_the_catalog_tells() {
    for (name, bytes) in fixture::catalogs() {
        let reader = CatalogReader::from_bytes(bytes).expect("a sound catalog");
        let bytes = CatalogIndex::build(&reader, reader.root_prefix()).expect("a sound tree");
        let index = CatalogIndex::open(bytes).expect("because it was just built");
        assert_eq!(index.properties(), reader.properties());
        assert_eq!(*index.counters(), reader.counters().expect("sound statistics"));
        assert_eq!(index.schema_version(), reader.schema_version());
        let mut entries: BTreeMap<PathKey, (PathKey, Entry)> = BTreeMap::new();
        reader
            .for_each_entry(|key, parent, entry| {
                entries.insert(key, (parent, entry));
                Ok::<_, CatalogError>(())
            })
            .expect("sound rows");
        assert_eq!(index.len() as usize, entries.len(), "{name}");
        for row in 0..index.len() {
            let path = index.path(row);
            let (parent, entry) = entries.get(&path.key()).expect("the key is that of the path");
            assert_eq!(index.entry(row).expect("a row").to_entry(), *entry, "{path} in {name}");
            assert_eq!(index.find_path(&path), Some(row));
            match index.parent(row) {
                Some(directory) => {
                    assert_eq!(index.path(directory).key(), *parent);
                    assert!(index.children(directory).contains(&row));
                }
                None => assert_eq!(row, 0),
            }
            let names: Vec<_> = index
                .children(row)
                .filter_map(|child| index.entry(child))
                .map(|entry| entry.name())
                .collect();
            assert!(names.is_sorted());
            assert_eq!(index.find(row, b"no such name"), None);
        }
        let nested: Vec<_> = index.nested().map(|(_, reference)| reference).collect();
        assert_eq!(nested, reader.nested().expect("sound references"));
        assert_eq!((index.find(u32::MAX, b"a"), index.children(index.len()).len()), (None, 0));
    }
}

#[test]
fn hidden_entries_are_found_but_not_listed() {
    let index = Tree::new()
        .directory("/d", NestedRole::Plain)
        .file("/d/b", |entry| entry.hidden = true)
        .file("/d/a", |_| ())
        .file("/d/c", |_| ())
        .index()
        .expect("a tree");
    let directory = index.find(0, b"d").expect("it is there");
    let names = |rows: std::ops::Range<u32>| {
        rows.filter_map(|row| index.entry(row)).map(|entry| entry.name().to_vec())
    };
    assert_eq!(names(index.children(directory)).collect::<Vec<_>>(), [b"a", b"c"]);
    assert_eq!(names(index.hidden_children(directory)).collect::<Vec<_>>(), [b"b"]);
    for name in [b"a", b"b", b"c"] {
        let row = index.find(directory, name).expect("it is there");
        assert_eq!(index.parent(row), Some(directory));
    }
}

#[test]
fn one_row_stands_for_all_names_of_a_file() {
    let linked = |group| move |entry: &mut Entry| entry.hard_link = HardLink { group, count: 2 };
    let index = Tree::new()
        .file("/a", linked(1))
        .file("/b", linked(2))
        .file("/c", linked(1))
        .file("/other", |entry| {
            linked(2)(entry);
            entry.metadata.uid = 7;
        })
        .file("/single", |_| ())
        .index()
        .expect("a tree");
    let first =
        |name: &[u8]| index.entry(index.find(0, name).expect("it is there")).expect("a row").first_link_row();
    let row = |name: &[u8]| index.find(0, name).expect("it is there");
    assert_eq!(first(b"c"), row(b"a"));
    assert_eq!(first(b"other"), row(b"other"), "it claims the group of another file");
    for name in [&b"a"[..], b"b", b"single"] {
        assert_eq!(first(name), row(name));
    }
}

#[test]
fn chunks_are_found_by_offset() {
    let chunk = |offset, size| Chunk { offset, size, hash: Algorithm::Sha1.hash(&[offset as u8]) };
    let chunks = vec![chunk(0, 10), chunk(10, 5), chunk(15, 1)];
    let index = Tree::new().file("/f", chunked(16, chunks.clone())).index().expect("a tree");
    let entry = index.entry(1).expect("a row");
    let Some(ContentView::Chunks(view)) = entry.content() else { unreachable!("it has chunks") };
    assert_eq!(view.iter().collect::<Vec<_>>(), chunks);
    for (offset, expected) in [(0, 0), (9, 0), (10, 1), (14, 1), (15, 2)] {
        assert_eq!(view.at(offset), Some(chunks[expected]));
    }
    assert_eq!((view.at(16), view.at(u64::MAX), view.len()), (None, None, 3));
    for (size, chunks) in [
        (16, vec![chunk(0, 10), chunk(11, 5)]),
        (16, vec![chunk(0, 10), chunk(9, 7)]),
        (17, vec![chunk(0, 10), chunk(10, 6)]),
        (16, vec![chunk(1, 15)]),
        (1, vec![]),
    ] {
        let refusal = Tree::new().file("/f", chunked(size, chunks)).index();
        assert!(matches!(refusal, Err(CatalogError::Row { .. })));
    }
}

#[test]
fn nested_catalogs_need_a_directory_of_the_catalog() {
    let mounted = |path: &str| Tree::new().directory("/d", NestedRole::MountPoint).nested(path).index();
    let index = mounted("/d").expect("a tree");
    let row = index.find(0, b"d").expect("it is there");
    assert_eq!(index.nested_at(row), Some(reference("/d")));
    assert_eq!((index.nested_at(0), index.bind_mount_at(row)), (None, None));
    assert!(matches!(mounted("/e"), Err(CatalogError::Nested { .. })));
    assert!(matches!(mounted("/d/e"), Err(CatalogError::Nested { .. })));
    let at_a_file = Tree::new().file("/f", |_| ()).nested("/f").index();
    assert!(matches!(at_a_file, Err(CatalogError::Nested { .. })));
    let missing = Tree::new().directory("/d", NestedRole::MountPoint).index();
    assert!(matches!(missing, Err(CatalogError::Tree { .. })));
    let own_root = Tree::new().sql("INSERT INTO nested_catalogs VALUES ('/', 'x', 1)").index();
    assert!(matches!(own_root, Err(CatalogError::Nested { .. })));
    let wrong = CatalogIndex::build(&Tree::new().reader().expect("a catalog"), &path("/elsewhere"));
    assert!(matches!(wrong, Err(CatalogError::WrongRoot { .. })));
}

#[test]
fn rows_that_are_no_tree_are_refused() {
    let tree = || {
        Tree::new()
            .directory("/a", NestedRole::Plain)
            .directory("/a/b", NestedRole::Plain)
            .directory("/c", NestedRole::Plain)
            .file("/a/b/f", |_| ())
    };
    tree().index().expect("a tree");
    let moved = |row: &str, to: &str| {
        let ((key, _), (parent_1, parent_2)) = (path(row).key().halves(), path(to).key().halves());
        tree()
            .sql(&format!(
                "UPDATE catalog SET parent_1 = {parent_1}, parent_2 = {parent_2} WHERE md5path_1 = {key}"
            ))
            .index()
    };
    assert!(matches!(moved("/a", "/a/b"), Err(CatalogError::Tree { .. })), "a loop");
    assert!(matches!(moved("/a", "/a"), Err(CatalogError::Tree { .. })), "its own parent");
    assert!(matches!(moved("/a/b", "/nowhere"), Err(CatalogError::Tree { .. })), "an orphan");
    assert!(matches!(moved("/c", "/a/b/f"), Err(CatalogError::Tree { .. })), "inside a file");
    for change in [
        "UPDATE catalog SET name = 'a' WHERE name = 'c'",
        "UPDATE catalog SET name = '' WHERE name = 'c'",
        "UPDATE catalog SET name = '..' WHERE name = 'c'",
        "UPDATE catalog SET name = 'x/y' WHERE name = 'c'",
        "UPDATE catalog SET name = CAST(x'6100' AS TEXT) WHERE name = 'c'",
        "UPDATE catalog SET name = replace(hex(zeroblob(128)), '0', 'x') WHERE name = 'c'",
        "UPDATE catalog SET mode = 0 WHERE name = 'c'",
        "UPDATE catalog SET mode = 'x' WHERE name = 'c'",
        "UPDATE catalog SET size = -1 WHERE name = 'c'",
        "UPDATE catalog SET uid = 1 << 40 WHERE name = 'c'",
        "UPDATE catalog SET flags = flags | 2 WHERE name = 'f'",
        "UPDATE catalog SET flags = flags | (7 << 8) WHERE name = 'f'",
        "UPDATE catalog SET flags = flags | (7 << 11) WHERE name = 'f'",
        "UPDATE catalog SET hash = NULL WHERE name = 'f'",
        "UPDATE catalog SET hash = x'00' WHERE name = 'f'",
        "UPDATE catalog SET mtimens = 1000000000 WHERE name = 'f'",
        "UPDATE catalog SET xattr = x'0101' WHERE name = 'f'",
        "DELETE FROM catalog WHERE name = ''",
        "UPDATE catalog SET mode = 33188 WHERE name = ''",
        "UPDATE properties SET value = '/elsewhere' WHERE key = 'revision'",
        "INSERT INTO properties VALUES ('root_prefix', '/a/../b')",
        "UPDATE properties SET value = '3.0' WHERE key = 'schema'",
        "DROP TABLE catalog",
        "DROP TABLE properties",
        "DROP TABLE nested_catalogs",
        "ALTER TABLE catalog DROP COLUMN symlink",
        "ALTER TABLE catalog RENAME TO other; CREATE VIEW catalog AS SELECT * FROM other",
        "INSERT INTO nested_catalogs VALUES ('/a', 'no hash', 1)",
        "INSERT INTO nested_catalogs VALUES ('/a', '38cb3870b263c3327ff694d0ab371c62d9c1d8da', -1)",
    ] {
        assert!(tree().sql(change).index().is_err(), "{change}");
    }
}

#[test]
fn damaged_indexes_never_panic() {
    let bytes = {
        let (_, bytes) = fixture::catalogs().into_iter().max_by_key(|(_, bytes)| bytes.len()).expect("some");
        let reader = CatalogReader::from_bytes(bytes).expect("a sound catalog");
        CatalogIndex::build(&reader, reader.root_prefix()).expect("a sound tree")
    };
    for position in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0xff;
        touch(damaged);
    }
    for length in (0..bytes.len()).step_by(61) {
        assert!(CatalogIndex::open(bytes[..length].to_vec()).is_err());
    }
}

#[test]
fn mutated_catalogs_never_panic() {
    let mut refused = 0;
    let mut state = 1_u64;
    for (_, bytes) in fixture::catalogs() {
        for _ in 0..100 {
            let mut damaged = bytes.clone();
            for _ in 0..4 {
                // A linear congruential generator: the same damage in every run.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let position = (state >> 33) as usize % damaged.len();
                damaged[position] = (state >> 24) as u8;
            }
            let built = CatalogReader::from_bytes(damaged).and_then(|reader| {
                let root = reader.root_prefix().clone();
                CatalogIndex::build(&reader, &root)
            });
            match built {
                Ok(index) => touch(index),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 50, "only {refused} of the damaged catalogs were refused");
}

/// Asks an index for everything it can be asked for.
fn touch(bytes: Vec<u8>) {
    let Ok(index) = CatalogIndex::open(bytes) else { return };
    for row in 0..index.len().min(1000) {
        let entry = index.entry(row).expect("a row below the length");
        let _ = (entry.to_entry(), entry.first_link_row(), entry.size(), index.nested_at(row));
        let _ = (index.path(row), index.find(row, b"name"), index.bind_mount_at(row));
        assert!(index.children(row).end <= index.len() && index.hidden_children(row).end <= index.len());
        if let Some(ContentView::Chunks(chunks)) = entry.content() {
            let _ = (chunks.at(1000), chunks.at(u64::MAX));
        }
    }
    let _ = index.nested().count();
}

/// A catalog in the making.
pub(crate) struct Tree {
    writer: CatalogWriter,
    changes: Vec<String>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let mut writer = CatalogWriter::new(CatalogProperties::default()).expect("because memory suffices");
        writer.add(&RepositoryPath::ROOT, &directory(None, NestedRole::Plain)).expect("a root");
        Self { writer, changes: Vec::new() }
    }

    pub(crate) fn directory(mut self, at: &str, nested: NestedRole) -> Self {
        let path = path(at);
        let name = path.split_last().map(|(_, name)| name);
        self.writer.add(&path, &directory(name, nested)).expect("a directory");
        self
    }

    pub(crate) fn file(mut self, at: &str, change: impl FnOnce(&mut Entry)) -> Self {
        let path = path(at);
        let mut entry = directory(path.split_last().map(|(_, name)| name), NestedRole::Plain);
        entry.node = Node::File(FileContent {
            size: 3,
            compression: Default::default(),
            data: FileData::Whole(Algorithm::Rmd160.hash(b"abc")),
            external: false,
            direct_io: false,
        });
        change(&mut entry);
        self.writer.add(&path, &entry).expect("a file");
        self
    }

    fn nested(mut self, at: &str) -> Self {
        self.writer.add_nested(&reference(at)).expect("a reference");
        self
    }

    fn sql(mut self, change: &str) -> Self {
        self.changes.push(change.to_owned());
        self
    }

    fn reader(self) -> Result<CatalogReader, CatalogError> {
        let (_, bytes) = self.writer.finish(TreeCounters::default()).expect("because memory suffices");
        let mut database = Connection::open_in_memory().expect("because memory suffices");
        database.deserialize_read_exact("main", bytes.as_slice(), bytes.len(), false).expect("a database");
        for change in self.changes {
            database.execute_batch(&change).expect("a valid change");
        }
        CatalogReader::from_bytes(database.serialize("main").expect("because memory suffices").to_vec())
    }

    pub(crate) fn index(self) -> Result<CatalogIndex, CatalogError> {
        let reader = self.reader()?;
        CatalogIndex::open(CatalogIndex::build(&reader, &RepositoryPath::ROOT)?)
    }
}

fn directory(name: Option<EntryName>, nested: NestedRole) -> Entry {
    Entry {
        name,
        metadata: Metadata {
            permissions: 0o755,
            uid: 1,
            gid: 2,
            mtime: Mtime { seconds: -5, nanoseconds: Some(999_999_999) },
        },
        node: Node::Directory { size: 4096 },
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested,
        hidden: false,
    }
}

fn chunked(size: u64, chunks: Vec<Chunk>) -> impl FnOnce(&mut Entry) {
    move |entry| {
        entry.node = Node::File(FileContent {
            size,
            compression: Default::default(),
            data: FileData::Chunked { algorithm: Algorithm::Sha1, chunks, whole: None },
            external: false,
            direct_io: false,
        });
    }
}

fn path(text: &str) -> RepositoryPath {
    RepositoryPath::new(text.as_bytes()).expect("a valid path")
}

fn reference(at: &str) -> CatalogReference {
    CatalogReference { path: path(at), hash: Algorithm::Shake128.hash(b"catalog"), size: Some(4096) }
}
