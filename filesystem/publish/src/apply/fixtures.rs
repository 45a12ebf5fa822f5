//! The original's own repositories, taken apart and published again in exact mode: the same objects and the same rows.

use std::collections::BTreeMap;
use std::path::Path;

use varve_content::{Algorithm, ChunkSizes, Compression, Effort};
use varve_repository::{CatalogReference, Entry, FileData, Node, RepositoryPath};
use varve_store::DirectoryStore;
use varve_testkit::{Fixture, Scratch, TreeBuilder};

use crate::base_revision::{Base, BaseDirectory};
use crate::settings::{Nesting, Settings};
use crate::trial::Trial;

fn exact(algorithm: Algorithm) -> Settings {
    Settings {
        algorithm,
        effort: Effort::Exact,
        chunks: ChunkSizes::new(32 << 10, 64 << 10, 128 << 10).expect("the sizes rise"),
        nesting: Nesting { automatic: false, ..Settings::default().nesting },
        ..Settings::default()
    }
}

/// The root catalog of a tag, from the original's listing of tags.
fn root(fixture: &Fixture, tag: &str) -> CatalogReference {
    let tags = std::fs::read_to_string(fixture.path("tags.txt")).expect("readable");
    let line = tags.lines().find(|line| line.split(' ').next() == Some(tag)).expect("a listed tag");
    let fields: Vec<_> = line.split(' ').collect();
    CatalogReference {
        path: RepositoryPath::ROOT,
        hash: fields[1].parse().expect("a hash"),
        size: Some(fields[2].parse().expect("a size")),
    }
}

/// Visits every entry with its path, the root first, a nested catalog's root as its catalog has it.
fn visit(base: &Base<'_>, directory: &BaseDirectory, visit_entry: &mut dyn FnMut(&RepositoryPath, &Entry)) {
    if directory.path.is_root() {
        visit_entry(&directory.path, directory.entry().expect("a root"));
    }
    for entry in directory.children() {
        let path = directory.path.join(entry.name.as_ref().expect("a name"));
        visit_entry(&path, entry);
        if matches!(entry.node, Node::Directory { .. }) {
            visit(base, &base.enter(directory, entry).expect("loadable"), visit_entry);
        }
    }
}

fn entries(base: &Base<'_>) -> BTreeMap<RepositoryPath, Entry> {
    let mut entries = BTreeMap::new();
    let root = base.root().expect("loadable").expect("not empty");
    visit(base, &root, &mut |path, entry| drop(entries.insert(path.clone(), entry.clone())));
    entries
}

/// Lays the tree of a revision down on disk. Returns what was not permitted.
fn lay_down(base: &Base<'_>, target: &Path) -> Vec<String> {
    let mut tree = TreeBuilder::new(target);
    let mut links: BTreeMap<(RepositoryPath, u32), Vec<u8>> = BTreeMap::new();
    for (path, entry) in entries(base) {
        let relative = path.as_bytes().strip_prefix(b"/").unwrap_or(b"").to_vec();
        let place = if relative.is_empty() { b".".to_vec() } else { relative };
        let parent = path.split_last().map(|(parent, _)| parent).unwrap_or_default();
        if entry.hard_link.count > 1
            && !matches!(entry.node, Node::Directory { .. })
            && let Some(first) = links.get(&(parent.clone(), entry.hard_link.group))
        {
            tree.hard_link(&place, first);
            continue;
        }
        links.insert((parent, entry.hard_link.group), place.clone());
        let device = |device: u64| (rustix::fs::major(device), rustix::fs::minor(device));
        match &entry.node {
            Node::Directory { .. } => drop(tree.directory(&place)),
            Node::File(file) => {
                let bytes = base.read(file, u64::MAX).expect("readable").expect("not external");
                tree.file(&place, bytes);
            }
            Node::Symlink { target } => drop(tree.symlink(&place, target)),
            Node::Fifo => drop(tree.fifo(&place)),
            Node::Socket => drop(tree.socket(&place)),
            Node::CharacterDevice { device: number } => {
                let (major, minor) = device(*number);
                tree.character_device(&place, major, minor);
            }
            Node::BlockDevice { device: number } => {
                let (major, minor) = device(*number);
                tree.block_device(&place, major, minor);
            }
        }
        tree.owner(&place, entry.metadata.uid, entry.metadata.gid);
        if !matches!(entry.node, Node::Symlink { .. }) {
            tree.mode(&place, entry.metadata.permissions);
        }
        for (name, value) in entry.xattrs.iter() {
            tree.xattr(&place, std::str::from_utf8(name).expect("a usual name"), value);
        }
        tree.mtime(&place, entry.metadata.mtime.seconds, 0);
    }
    tree.finish()
}

/// An entry without what the original does not record, and without the arbitrary number of its hard link group.
fn comparable(mut entry: Entry) -> Entry {
    entry.metadata.mtime.nanoseconds = None;
    entry.hard_link.group = u32::from(entry.hard_link.group != 0);
    entry
}

/// Whether an entry was stored in another way than the settings of the last revision say.
fn stored_otherwise(entry: &Entry) -> bool {
    matches!(&entry.node, Node::File(file) if file.compression != Compression::Zlib)
}

/// `hash` and `chunk_list` as the original's client answers them.
fn magic(entry: &Entry) -> (Option<String>, String) {
    let Node::File(file) = &entry.node else { return (None, String::new()) };
    let mut list = "hash,offset,size\\x0a".to_owned();
    match &file.data {
        FileData::Whole(hash) => {
            list += &format!("{hash},0,{}\\x0a", file.size);
            (Some(hash.to_string()), list)
        }
        FileData::Chunked { chunks, .. } => {
            for chunk in chunks {
                list += &format!("{},{},{}\\x0a", chunk.hash, chunk.offset, chunk.size);
            }
            (None, list)
        }
    }
}

fn publish_again(fixture: &Fixture, tag: &str, algorithm: Algorithm) {
    let scratch = Scratch::new();
    let store = DirectoryStore::open(fixture.served()).expect("the fixture is there");
    let original = Base::new(&store, Some(root(fixture, tag)));
    let tree = scratch.path().join("tree");
    let refused = lay_down(&original, &tree);
    if !refused.is_empty() {
        println!("skipped, not permitted: {refused:?}");
        return;
    }
    let mut trial = Trial::new(exact(algorithm));
    trial.publish(&tree);
    let published = trial.base();
    let (expected, actual) = (entries(&original), entries(&published));
    assert_eq!(expected.keys().collect::<Vec<_>>(), actual.keys().collect::<Vec<_>>());
    for (path, entry) in expected.iter().filter(|(_, entry)| !stored_otherwise(entry)) {
        assert_eq!(comparable(entry.clone()), comparable(actual[path].clone()), "{path} in {tag}");
    }
    for (path, attributes) in fixture.magic(Some(tag)).expect("readable").paths {
        let path = RepositoryPath::new(&path).expect("a path");
        let Some(entry) = actual.get(&path).filter(|_| !stored_otherwise(&expected[&path])) else { continue };
        let attribute =
            |name| attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        let (hash, list) = magic(entry);
        assert_eq!(attribute("hash"), hash, "{path}");
        assert_eq!(attribute("chunk_list").unwrap_or_default(), list, "{path}");
    }
    // The counters of every catalog; the parts of files that were stored otherwise are cut alike, so nothing differs.
    let mut waiting = vec![RepositoryPath::ROOT];
    while let Some(path) = waiting.pop() {
        let [expected, actual] =
            [&original, &published].map(|base| base.find(&path).expect("loadable").expect("there").catalog);
        assert_eq!(expected.counters, actual.counters, "counters of {path} in {tag}");
        let mut mounts: Vec<_> = expected.nested.keys().cloned().collect();
        mounts.sort();
        let mut others: Vec<_> = actual.nested.keys().cloned().collect();
        others.sort();
        assert_eq!(mounts, others);
        waiting.extend(mounts);
    }
}

#[test]
fn the_sha1_fixture_gives_the_same_objects_and_rows() {
    let fixture = Fixture::sha1();
    for tag in fixture.tags().expect("listable") {
        publish_again(&fixture, &tag, Algorithm::Sha1);
    }
}

#[test]
fn the_rmd160_fixture_gives_the_same_objects_and_rows() {
    let fixture = Fixture::rmd160();
    for tag in fixture.tags().expect("listable") {
        publish_again(&fixture, &tag, Algorithm::Rmd160);
    }
}
