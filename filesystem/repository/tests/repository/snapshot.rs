//! Both repositories that CernVM-FS wrote, read through snapshots: every path of every tag is what its client showed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use varve_content::{Algorithm, Compression, Compressor, Effort, ObjectKind, ObjectName};
use varve_repository::{
    CatalogLoader, CatalogReference, ContentView, Counters, EntryKind, Location, RepositoryError,
    RepositoryPath, Snapshot, TreeCounters,
};
use varve_store::{
    Cache, CacheConfig, Deadline, DirectoryStore, Freshness, MemoryStore, ObjectSink, ObjectSource,
    ObjectStore as _, RepositoryFile, StoreError,
};
use varve_testkit::{Attributes, ExpectedEntry, Fixture, Scratch, unescape};

#[test]
fn every_path_is_what_the_original_showed() {
    let mut lines = 0;
    for fixture in Fixture::all() {
        let scratch = Scratch::new();
        let loader = loader(&fixture, &scratch);
        for tag in tags(&fixture) {
            let snapshot = Snapshot::new(Arc::clone(&loader), root(&fixture, tag.as_deref()));
            let expected = fixture.expected(tag.as_deref()).expect("a sound listing");
            for line in &expected {
                check_entry(&snapshot, line);
            }
            assert_eq!(walk(&snapshot), expected.len(), "{tag:?} of {}", fixture.name());
            lines += expected.len();
        }
    }
    assert_eq!(lines, 684, "lines in the listings");
}

#[test]
fn magic_attributes_are_what_the_original_showed() {
    for fixture in Fixture::all() {
        let scratch = Scratch::new();
        let loader = loader(&fixture, &scratch);
        for tag in tags(&fixture) {
            let snapshot = Snapshot::new(Arc::clone(&loader), root(&fixture, tag.as_deref()));
            let magic = fixture.magic(tag.as_deref()).expect("a sound listing");
            let of_root: BTreeMap<_, _> = magic.root.into_iter().collect();
            let root = snapshot.root(deadline()).expect("a root");
            let index = root.catalog().index();
            assert_eq!(of_root["revision"], index.properties().revision.to_string());
            let counters = format!(
                "catalog_hash: {}\ncatalog_mountpoint: \n{}",
                root.catalog().reference().hash,
                counter_lines(index.counters())
            );
            assert_eq!(text(&of_root["catalog_counters"]), counters);
            assert_eq!(text(&of_root["repo_counters"]), counter_lines(index.counters()));
            for (path, attributes) in &magic.paths {
                let path = RepositoryPath::new(path).expect("a path");
                let location =
                    snapshot.resolve(&path, deadline()).expect("sound catalogs").expect("it is there");
                assert_eq!(file_attributes(&snapshot, &location), *attributes, "{path} in {tag:?}");
            }
        }
    }
}

#[test]
fn counters_are_those_of_the_trees() {
    for fixture in Fixture::all() {
        let scratch = Scratch::new();
        let loader = loader(&fixture, &scratch);
        for tag in tags(&fixture) {
            check_counters(&loader, &root(&fixture, tag.as_deref()));
        }
    }
}

#[test]
fn parts_of_files_are_read_across_chunks() {
    let scratch = Scratch::new();
    let fixture = Fixture::sha1();
    let snapshot = Snapshot::new(loader(&fixture, &scratch), root(&fixture, None));
    for name in ["/zeros.bin", "/text.txt", "/small.bin", "/hl/big1", "/empty.dat"] {
        let path = RepositoryPath::new(name.as_bytes()).expect("a path");
        let location = snapshot.resolve(&path, deadline()).expect("sound catalogs").expect("it is there");
        let whole = content(&snapshot, &location);
        let size = whole.len() as u64;
        for (offset, length) in
            [(0, 1), (1, 70_000), (size / 2, 65_536), (size.saturating_sub(3), 10), (size, 5), (u64::MAX, 5)]
        {
            let mut buffer = vec![0xee; length];
            let read = snapshot.read(&location, offset, &mut buffer, deadline()).expect("a sound object");
            let start = offset.min(size) as usize;
            assert_eq!(buffer[..read], whole[start..(start + length).min(whole.len())], "{name} at {offset}");
        }
    }
    let directory = snapshot.root(deadline()).expect("a root");
    let refusal = snapshot.read(&directory, 0, &mut [0], deadline());
    assert!(matches!(refusal, Err(RepositoryError::NotAFile { .. })));
    let file =
        snapshot.child(&directory, b"small.bin", deadline()).expect("a sound catalog").expect("a file");
    assert!(matches!(snapshot.list(&file, deadline()), Err(RepositoryError::NotADirectory { .. })));
    let below_a_file = RepositoryPath::new(b"/small.bin/x").expect("a path");
    assert!(snapshot.resolve(&below_a_file, deadline()).expect("sound catalogs").is_none());
}

#[test]
fn relative_links_are_followed_within_the_repository() {
    let scratch = Scratch::new();
    let fixture = Fixture::sha1();
    let snapshot = Snapshot::new(loader(&fixture, &scratch), root(&fixture, None));
    let follow = |path: &str| {
        let path = RepositoryPath::new(path.as_bytes()).expect("a path");
        let found = snapshot.follow(&path, deadline()).expect("sound catalogs");
        found.map(|found| found.path().to_string())
    };
    assert_eq!(follow("/links/rel").as_deref(), Some("/README.txt"));
    assert_eq!(follow("/links/todir").as_deref(), Some("/nested"));
    assert_eq!(follow("/").as_deref(), Some("/"));
    for path in ["/links/abs", "/links/dangling", "/README.txt/x", "/nowhere"] {
        assert_eq!(follow(path), None, "{path}");
    }
}

#[test]
fn a_second_loader_needs_no_source() {
    let scratch = Scratch::new();
    let fixture = Fixture::sha1();
    let reference = root(&fixture, None);
    let first = Snapshot::new(loader(&fixture, &scratch), reference.clone());
    let entries = walk(&first);
    let offline = CatalogLoader::new(Arc::new(MemoryStore::new()), cache(&scratch));
    assert_eq!(walk(&Snapshot::new(Arc::new(offline), reference)), entries);
}

#[test]
fn a_catalog_of_another_directory_is_refused() {
    let scratch = Scratch::new();
    let fixture = Fixture::sha1();
    let loader = loader(&fixture, &scratch);
    let right = root(&fixture, None);
    let elsewhere =
        CatalogReference { path: RepositoryPath::new(b"/nested").expect("a path"), ..right.clone() };
    let wrong_size = CatalogReference { size: Some(17), ..right.clone() };
    for _ in 0..2 {
        let refusal = loader.load(&elsewhere, deadline()).map(|_| ()).expect_err("the wrong directory");
        assert!(matches!(refusal.met(), RepositoryError::Catalog { .. }) && refusal.is_integrity());
    }
    let refusal = loader.load(&wrong_size, deadline()).map(|_| ()).expect_err("the wrong size");
    assert!(refusal.is_integrity(), "{refusal}");
    // Neither from the cache nor from what is kept once the right one has been there.
    loader.load(&right, deadline()).expect("the right one");
    assert!(loader.load(&elsewhere, deadline()).is_err());
    let missing = CatalogReference { hash: Algorithm::Sha1.hash(b"missing"), ..right };
    assert!(loader.load(&missing, deadline()).map(|_| ()).expect_err("it does not exist").is_absence());
}

#[test]
fn a_catalog_that_is_none_is_refused() {
    let store = MemoryStore::new();
    let scratch = Scratch::new();
    let mut references = Vec::new();
    for plain in [&b"<html>not found</html>"[..], b"", b"SQLite format 3\0"] {
        for compression in [Compression::Zlib, Compression::None] {
            let mut stored = Vec::new();
            Compressor::new(compression, Effort::Fast).compress(plain, &mut stored).expect("it is written");
            let hash = Algorithm::Sha1.hash(&stored);
            store.put(&ObjectName::new(hash, ObjectKind::Catalog), &stored).expect("because memory suffices");
            references.push(CatalogReference { path: RepositoryPath::ROOT, hash, size: None });
        }
    }
    let loader = CatalogLoader::new(Arc::new(store), cache(&scratch));
    for reference in references {
        let refusal = loader.load(&reference, deadline()).map(|_| ()).expect_err("no catalog");
        assert!(refusal.is_integrity(), "{refusal}");
    }
}

#[test]
fn threads_that_want_the_same_catalog_load_it_once() {
    let scratch = Scratch::new();
    let fixture = Fixture::sha1();
    let store = DirectoryStore::open(fixture.served()).expect("a fixture");
    let source = Arc::new(Counting { store, fetches: AtomicUsize::new(0) });
    let loader = CatalogLoader::new(Arc::clone(&source) as Arc<dyn ObjectSource>, cache(&scratch));
    let (reference, together) = (root(&fixture, None), Barrier::new(16));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                together.wait();
                loader.load(&reference, deadline()).map(|_| ()).expect("a sound catalog");
            });
        }
    });
    assert_eq!((source.fetches.load(Ordering::Relaxed), loader.kept()), (1, 1));
}

/// A source that counts what is fetched of it.
struct Counting {
    store: DirectoryStore,
    fetches: AtomicUsize,
}

impl ObjectSource for Counting {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        self.store.fetch(name, limit, sink, deadline)
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        self.store.fetch_file(file, freshness, deadline)
    }

    fn place(&self) -> String {
        self.store.place()
    }
}

fn check_entry(snapshot: &Snapshot, expected: &ExpectedEntry) {
    let path = RepositoryPath::new(&expected.path).expect("a path");
    let location = snapshot.resolve(&path, deadline()).expect("sound catalogs").expect("it is there");
    assert_eq!(location.path(), path);
    let entry = location.entry();
    let kind = match entry.kind() {
        EntryKind::Directory => 'd',
        EntryKind::File => 'f',
        EntryKind::Symlink => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::Socket => 's',
        EntryKind::CharacterDevice => 'c',
        EntryKind::BlockDevice => 'b',
    };
    assert_eq!((kind, entry.permissions()), (expected.kind, expected.mode), "{path}");
    assert_eq!((entry.uid(), entry.gid()), (expected.uid, expected.gid), "{path}");
    assert_eq!(entry.mtime().seconds, expected.mtime, "{path}");
    assert_eq!(u64::from(entry.link_count()), expected.nlink, "{path}");
    let xattrs: Vec<_> = entry
        .xattrs()
        .iter()
        .map(|(name, value)| {
            let hex = value.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            (name.to_vec(), hex)
        })
        .collect();
    assert_eq!(xattrs, expected.xattrs, "{path}");
    let target = (entry.kind() == EntryKind::Symlink).then(|| entry.link_target().to_vec());
    assert_eq!(target, expected.raw_target, "{path}");
    if target.is_some() && target == expected.target || entry.kind() == EntryKind::File {
        assert_eq!(Some(entry.size()), expected.size, "{path}");
    }
    let hash = (entry.kind() == EntryKind::File)
        .then(|| format!("{:x}", Sha256::digest(content(snapshot, &location))));
    assert_eq!(hash, expected.sha256, "{path}");
}

/// Visits everything that listings show and returns how much there is.
fn walk(snapshot: &Snapshot) -> usize {
    let mut found = 0;
    let mut open = vec![snapshot.root(deadline()).expect("a root")];
    while let Some(location) = open.pop() {
        found += 1;
        if location.entry().is_directory() {
            open.extend(snapshot.list(&location, deadline()).expect("sound catalogs").locations());
        }
    }
    found
}

/// The attributes of regular files that the catalog alone decides, as the original's client words them.
fn file_attributes(snapshot: &Snapshot, location: &Location) -> Attributes {
    let entry = location.entry();
    let mut attributes = Attributes::new();
    let mut set = |name: &str, value: String| attributes.push((name.to_owned(), value));
    let Some(view) = entry.content() else { return attributes };
    let lines = match view {
        ContentView::Whole(hash) => {
            set("hash", hash.to_string());
            // The client compresses its cached copy again, whatever the object's own compression is.
            let mut stored = Vec::new();
            Compressor::new(Compression::Zlib, Effort::Exact)
                .compress(&content(snapshot, location), &mut stored)
                .expect("zlib is written");
            set("lhash", hash.algorithm().hash(&stored).to_string());
            vec![format!("{hash},0,{}", entry.size())]
        }
        ContentView::Chunks(chunks) => {
            chunks.iter().map(|chunk| format!("{},{},{}", chunk.hash, chunk.offset, chunk.size)).collect()
        }
    };
    set("chunks", lines.len().to_string());
    let list: String = lines.iter().map(|line| format!("{line}\\x0a")).collect();
    set("chunk_list", format!("hash,offset,size\\x0a{list}"));
    set("compression", entry.compression().name().to_owned());
    set("external_file", u8::from(entry.is_external()).to_string());
    set("direct_io", u8::from(entry.is_direct_io()).to_string());
    attributes
}

fn counter_lines(counters: &Counters) -> String {
    TreeCounters::NAMES
        .iter()
        .zip(counters.total().values())
        .map(|(name, value)| format!("{name},{value}\n"))
        .collect()
}

/// Counts a catalog's own rows and compares; returns its total.
fn check_counters(loader: &CatalogLoader, reference: &CatalogReference) -> TreeCounters {
    let catalog = loader.load(reference, deadline()).expect("a sound catalog");
    let index = catalog.index();
    let mut counted = Counters::default();
    for row in 0..index.len() {
        counted.self_.count(&index.entry(row).expect("a row").to_entry());
    }
    for (_, nested) in index.nested() {
        counted.self_.nested_catalogs += 1;
        counted.subtree.add(&check_counters(loader, &nested));
    }
    assert_eq!(counted, *index.counters(), "{}", reference.path);
    counted.total()
}

fn content(snapshot: &Snapshot, location: &Location) -> Vec<u8> {
    let mut bytes = vec![0; location.entry().size() as usize + 1];
    let read = snapshot.read(location, 0, &mut bytes, deadline()).expect("a sound object");
    bytes.truncate(read);
    bytes
}

fn loader(fixture: &Fixture, scratch: &Scratch) -> Arc<CatalogLoader> {
    let source = DirectoryStore::open(fixture.served()).expect("a fixture");
    Arc::new(CatalogLoader::new(Arc::new(source), cache(scratch)))
}

fn cache(scratch: &Scratch) -> Arc<Cache> {
    let config = CacheConfig::new(scratch.path().join("cache"), SystemTime::now);
    Arc::new(Cache::open(&config).expect("a cache"))
}

/// The root catalog of a tag: the client told its hash.
fn root(fixture: &Fixture, tag: Option<&str>) -> CatalogReference {
    let magic = fixture.magic(tag).expect("a sound listing");
    let hash = magic.root.iter().find(|(name, _)| name == "root_hash").expect("the client told it");
    CatalogReference { path: RepositoryPath::ROOT, hash: hash.1.parse().expect("a hash"), size: None }
}

fn tags(fixture: &Fixture) -> Vec<Option<String>> {
    let tags = fixture.tags().expect("a readable fixture");
    tags.into_iter().map(Some).chain([None]).collect()
}

fn text(escaped: &str) -> String {
    String::from_utf8(unescape(escaped).expect("a sound escape")).expect("text")
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}
