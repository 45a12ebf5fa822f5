//! Catalogs that a holder of the key could sign to keep readers busy or fill their memory.

use rusqlite::Connection;
use varve_content::{Algorithm, Compression};
use varve_repository::{
    CatalogError, CatalogIndex, CatalogProperties, CatalogReader, CatalogWriter, Entry, EntryName,
    FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node, RepositoryPath, TreeCounters, Xattrs,
};

const PAGE: usize = 1024;

#[test]
fn pages_that_are_pointed_to_many_times_are_noticed() {
    let mut bytes = catalog(2000);
    let root = root_page(&bytes, "catalog");
    // Four levels of interior pages, each pointing a hundred times to the next, and in the end to one leaf with rows:
    // 10⁸ leaves in a file of a few hundred pages.
    let leaf = first_page(&bytes, 0x0d, root);
    // The last pages are those of the index for listings, which nothing here reads.
    let spare = [0, 1, 2].map(|page| bytes.len() / PAGE - page);
    let chain = [root, spare[0], spare[1], spare[2], leaf];
    for pair in chain.windows(2) {
        write_interior_page(&mut bytes[(pair[0] - 1) * PAGE..][..PAGE], pair[1]);
    }
    let reader = CatalogReader::from_bytes(bytes).expect("its properties are sound");
    let mut rows = 0_u64;
    let outcome = reader.for_each_entry(|_, _, _| {
        rows += 1;
        Ok::<_, CatalogError>(())
    });
    assert!(matches!(outcome, Err(CatalogError::Bomb { .. })), "{outcome:?} after {rows} rows");
    // Which of the overwritten pages this meets first is of no matter.
    assert!(CatalogIndex::build(&reader, &RepositoryPath::ROOT).is_err());
}

#[test]
fn endless_chains_of_directories_are_refused() {
    let mut writer = CatalogWriter::new(CatalogProperties::default()).expect("because memory suffices");
    writer.add(&RepositoryPath::ROOT, &directory(None)).expect("a root");
    let name = EntryName::new(vec![b'x'; 255]).expect("a name");
    let mut path = RepositoryPath::ROOT;
    for _ in 0..300 {
        path = path.join(&name);
        writer.add(&path, &directory(Some(name.clone()))).expect("a directory");
    }
    let (_, bytes) = writer.finish(TreeCounters::default()).expect("because memory suffices");
    let reader = CatalogReader::from_bytes(bytes).expect("a catalog");
    assert!(matches!(CatalogIndex::build(&reader, &RepositoryPath::ROOT), Err(CatalogError::Tree { .. })));
}

#[test]
fn huge_values_and_computed_columns_are_refused() {
    for change in [
        "UPDATE catalog SET xattr = zeroblob(300000) WHERE name = ''",
        "UPDATE catalog SET symlink = zeroblob(5000), mode = 41471, hash = NULL WHERE name = 'f00001'",
        "ALTER TABLE catalog RENAME COLUMN symlink TO old; \
         ALTER TABLE catalog ADD COLUMN symlink TEXT GENERATED ALWAYS AS (hex(zeroblob(1000000))) VIRTUAL",
        "DROP TABLE nested_catalogs; CREATE VIEW nested_catalogs AS WITH RECURSIVE c(n) AS \
         (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n AS path, n AS sha1, n AS size FROM c",
    ] {
        let bytes = catalog(10);
        let mut database = Connection::open_in_memory().expect("because memory suffices");
        database.deserialize_read_exact("main", bytes.as_slice(), bytes.len(), false).expect("a database");
        database.execute_batch(change).expect("a valid change");
        let bytes = database.serialize("main").expect("because memory suffices").to_vec();
        let built = CatalogReader::from_bytes(bytes)
            .and_then(|reader| CatalogIndex::build(&reader, &RepositoryPath::ROOT));
        assert!(built.is_err(), "{change}");
    }
}

/// A catalog with that many files.
fn catalog(files: u32) -> Vec<u8> {
    let mut writer = CatalogWriter::new(CatalogProperties::default()).expect("because memory suffices");
    writer.add(&RepositoryPath::ROOT, &directory(None)).expect("a root");
    for file in 0..files {
        let name = EntryName::new(format!("f{file:05}")).expect("a name");
        let node = Node::File(FileContent {
            size: 1,
            compression: Compression::Zlib,
            data: FileData::Whole(Algorithm::Sha1.hash(b"x")),
            external: false,
            direct_io: false,
        });
        let entry = Entry { node, ..directory(Some(name.clone())) };
        writer.add(&RepositoryPath::ROOT.join(&name), &entry).expect("a file");
    }
    writer.finish(TreeCounters::default()).expect("because memory suffices").1
}

fn directory(name: Option<EntryName>) -> Entry {
    Entry {
        name,
        metadata: Metadata { permissions: 0o755, uid: 0, gid: 0, mtime: Mtime::default() },
        node: Node::Directory { size: 4096 },
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}

/// The number of a table's root page, counted from 1.
fn root_page(bytes: &[u8], table: &str) -> usize {
    let mut database = Connection::open_in_memory().expect("because memory suffices");
    database.deserialize_read_exact("main", bytes, bytes.len(), true).expect("a database");
    let page: u32 = database
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = ?1", [table], |row| row.get(0))
        .expect("the table is there");
    page as usize
}

/// Follows the first pointers from a page of a table down to one of that kind.
fn first_page(bytes: &[u8], kind: u8, from: usize) -> usize {
    let page = &bytes[(from - 1) * PAGE..][..PAGE];
    if page[0] == kind {
        return from;
    }
    let cell = usize::from(u16::from_be_bytes([page[12], page[13]]));
    let child = u32::from_be_bytes([page[cell], page[cell + 1], page[cell + 2], page[cell + 3]]);
    first_page(bytes, kind, child as usize)
}

/// An interior page of a table whose hundred pointers all lead to `child`; keys of two bytes ascend.
fn write_interior_page(page: &mut [u8], child: usize) {
    const CELLS: usize = 100;
    let child = (child as u32).to_be_bytes();
    page.fill(0);
    let content = PAGE - 6 * CELLS;
    page[0] = 0x05;
    page[3..5].copy_from_slice(&(CELLS as u16).to_be_bytes());
    page[5..7].copy_from_slice(&(content as u16).to_be_bytes());
    page[8..12].copy_from_slice(&child);
    for cell in 0..CELLS {
        let at = content + 6 * cell;
        page[12 + 2 * cell..14 + 2 * cell].copy_from_slice(&(at as u16).to_be_bytes());
        page[at..at + 4].copy_from_slice(&child);
        page[at + 4..at + 6].copy_from_slice(&[0x81, cell as u8]);
    }
}
