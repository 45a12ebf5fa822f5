//! Files whose bytes lie outside of the repository: fetched from servers of their own, below their paths, and checked.

use std::path::PathBuf;

use serde_json::{Value, json};
use varve_content::{Algorithm, Compression, Compressor, Effort, ObjectKind, ObjectName};
use varve_repository::{
    CatalogProperties, CatalogWriter, Chunk, Entry, FileContent, FileData, HardLink, ManifestFields,
    Metadata, Mtime, NestedRole, Node, RepositoryName, RepositoryPath, SignedManifest, SigningKeys,
    TreeCounters,
};
use varve_store::{DirectoryStore, ObjectStore};
use varve_testkit::{Fault, FaultyServer, Fixture, Rule, Scratch};

use crate::harness::{Mount, settings};

const CHUNK: usize = 300_000;

/// A repository of three external files, and the directory that has their bytes.
struct Outside {
    fixture: Fixture,
    scratch: Scratch,
    server: FaultyServer,
}

/// The files: paths, bytes as they lie outside, content, and whether in chunks.
fn files() -> [(&'static str, Vec<u8>, Vec<u8>, Compression); 3] {
    let content = |length: usize, seed: u32| -> Vec<u8> {
        (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed as u8).collect()
    };
    let (plain, chunked, packed) = (content(5000, 1), content(2 * CHUNK + 77, 2), content(9000, 3));
    [
        ("/data/50% of it?.bin", plain.clone(), plain, Compression::None),
        ("/data/chunked", chunked.clone(), chunked, Compression::None),
        ("/data/packed", compressed(&packed), packed, Compression::Zlib),
    ]
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    Compressor::new(Compression::Zlib, Effort::Exact).compress(plain, &mut stored).unwrap();
    stored
}

fn entry(path: &RepositoryPath, node: Node) -> Entry {
    Entry {
        name: path.split_last().map(|(_, name)| name),
        metadata: Metadata { permissions: 0o755, uid: 0, gid: 0, mtime: Mtime::default() },
        node,
        hard_link: HardLink { group: 0, count: 1 },
        xattrs: Default::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}

fn catalog(revision: u64) -> Vec<u8> {
    let properties = CatalogProperties { revision, ..CatalogProperties::default() };
    let mut writer = CatalogWriter::new(properties).unwrap();
    for directory in ["", "/data"] {
        let path = RepositoryPath::new(directory.as_bytes()).unwrap();
        writer.add(&path, &entry(&path, Node::Directory { size: 4096 })).unwrap();
    }
    let algorithm = Algorithm::Sha1;
    for (path, stored, content, compression) in files() {
        let path = RepositoryPath::new(path.as_bytes()).unwrap();
        let chunks = content.chunks(CHUNK).enumerate().map(|(number, part)| Chunk {
            offset: (number * CHUNK) as u64,
            size: part.len() as u64,
            hash: algorithm.hash(part),
        });
        let data = match content.len() > CHUNK {
            true => FileData::Chunked { algorithm, chunks: chunks.collect(), whole: None },
            false => FileData::Whole(algorithm.hash(&stored)),
        };
        let size = content.len() as u64;
        let file = FileContent { size, compression, data, external: true, direct_io: false };
        writer.add(&path, &entry(&path, Node::File(file))).unwrap();
    }
    writer.finish(TreeCounters::default()).unwrap().1
}

impl Outside {
    fn new() -> Self {
        let (fixture, scratch) = (Fixture::sha1(), Scratch::new());
        let repository = scratch.directory("repository");
        fixture.copy_served(&repository).unwrap();
        let name: RepositoryName = fixture.name().parse().unwrap();
        let keys = SigningKeys::load(&fixture.path("keys"), &name).unwrap();
        let bytes = std::fs::read(repository.join(".cvmfspublished")).unwrap();
        let newest = SignedManifest::parse(&bytes).unwrap().claims().clone();
        let revision = newest.revision + 1;
        let stored = compressed(&catalog(revision));
        let root_catalog = Algorithm::Sha1.hash(&stored);
        let store = DirectoryStore::open(&repository).unwrap();
        store.put(&ObjectName::new(root_catalog, ObjectKind::Catalog), &stored).unwrap();
        let fields = ManifestFields { root_catalog, root_catalog_size: 0, revision, ..newest };
        let manifest = keys.sign_manifest(fields, Algorithm::Sha1).unwrap();
        std::fs::write(repository.join(".cvmfspublished"), manifest.to_bytes()).unwrap();
        for (path, stored, ..) in files() {
            let place = scratch.directory("outside/data").join(path.strip_prefix("/data/").unwrap());
            std::fs::write(place, stored).unwrap();
        }
        // This server takes the path for what it says, as others take it decoded.
        let place = |name: &str| scratch.path().join("outside/data").join(name);
        std::fs::rename(place("50% of it?.bin"), place("50%25%20of%20it%3F.bin")).unwrap();
        let server = FaultyServer::new(&scratch.path().join("outside"));
        Self { fixture, scratch, server }
    }

    fn settings(&self) -> Value {
        let repository = self.scratch.path().join("repository");
        let mut settings = settings(self.fixture.name(), &repository, &self.fixture.public_key());
        settings["external"] = json!(self.server.url());
        settings
    }
}

fn forget_pages() {
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
}

fn errno(path: PathBuf) -> rustix::io::Errno {
    let code = std::fs::read(path).unwrap_err().raw_os_error().unwrap();
    rustix::io::Errno::from_raw_os_error(code)
}

#[test]
fn external_files_come_from_below_their_path_and_then_from_the_cache() {
    let outside = Outside::new();
    let Some(mount) = Mount::new(outside.settings()) else { return };
    for _ in 0..2 {
        for (path, _, content, _) in files() {
            assert!(std::fs::read(mount.path(path)).unwrap() == content, "{path}");
            let mut value = [0; 200];
            let length =
                rustix::fs::lgetxattr(mount.path(path), "user.external_url", &mut value[..]).unwrap();
            let url = String::from_utf8_lossy(&value[..length]).into_owned();
            assert_eq!(url, format!("{}{path}", outside.server.url()));
        }
        forget_pages();
        mount.kill_worker();
    }
    let requests = outside.server.requests();
    let mut asked: Vec<_> = requests
        .iter()
        .map(|request| (request.path.as_str(), request.header("range").unwrap_or("")))
        .collect();
    asked.sort_unstable();
    let expected = [
        ("/data/50%25%20of%20it%3F.bin", ""),
        ("/data/chunked", "bytes=0-299999"),
        ("/data/chunked", "bytes=300000-599999"),
        ("/data/chunked", "bytes=600000-600076"),
        ("/data/packed", ""),
    ];
    assert_eq!(asked, expected);
}

#[test]
fn what_an_external_server_sends_is_checked() {
    let outside = Outside::new();
    let Some(mount) = Mount::new(outside.settings()) else { return };
    for fault in [
        Fault::FlipBit(7),
        Fault::Truncate(5),
        Fault::Html,
        Fault::Content(b"another file".to_vec()),
        Fault::Swap("/data/packed".to_owned()),
        Fault::Status(404),
        Fault::Status(416),
        Fault::Close,
        Fault::Garbage,
    ] {
        outside.server.add(Rule::new("", fault.clone()));
        for path in ["/data/50% of it?.bin", "/data/chunked"] {
            assert_eq!(errno(mount.path(path)), rustix::io::Errno::IO, "{path} {fault:?}");
        }
        outside.server.clear();
    }
    // A server that knows no ranges is good enough.
    outside.server.add(Rule::new("", Fault::WholeForPart));
    for (path, _, content, _) in files() {
        assert!(std::fs::read(mount.path(path)).unwrap() == content, "{path}");
    }
}

#[test]
fn without_a_server_for_them_external_files_are_errors() {
    let outside = Outside::new();
    let mut settings = outside.settings();
    settings["external"] = Value::Null;
    let Some(mount) = Mount::new(settings) else { return };
    assert_eq!(std::fs::metadata(mount.path("/data/packed")).unwrap().len(), 9000);
    assert_eq!(errno(mount.path("/data/packed")), rustix::io::Errno::IO);
    assert!(mount.status().repositories[0].errors > 0);
    assert_eq!(outside.server.requests().len(), 0);
}
