//! The pipeline against files on disk: sizes around every limit, holes, files that change or vanish, stores that fail.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use varve_content::{ObjectKind, ObjectName, decompress};
use varve_store::{Deadline, MemoryStore, ObjectSource as _};
use varve_testkit::{Random, Scratch, TreeBuilder};

use super::*;
use crate::progress::Silent;
use crate::source::SourceDirectory;

fn config(threads: usize, budget: u64) -> PipelineConfig {
    PipelineConfig {
        algorithm: Algorithm::Sha1,
        compression: Compression::Zlib,
        effort: Effort::Fast,
        chunks: ChunkSizes::new(64 << 10, 128 << 10, 256 << 10).expect("the sizes rise"),
        threads: NonZeroUsize::new(threads).expect("not zero"),
        budget,
    }
}

/// Runs files of a directory through the pipeline. `twist` is called between the choice of the files and their reading.
fn store_files(
    config: &PipelineConfig,
    store: &dyn ObjectStore,
    tree: &Path,
    twist: impl FnOnce(),
) -> Result<Vec<Option<(Stamp, FileContent)>>, PipelineError> {
    let source = SourceDirectory::open(tree).expect("openable");
    let path = Arc::new(RepositoryPath::ROOT);
    let chosen: Vec<FileSource> = source
        .names()
        .expect("listable")
        .into_iter()
        .map(|name| {
            let stat = source.stat_entry(&name).expect("readable").expect("there");
            let stamp = Stamp::of(&stat);
            let sparse = (stat.st_blocks as u64) * 512 < stamp.size;
            FileSource { directory: source.fd(), path: path.clone(), name, stamp, sparse }
        })
        .collect();
    twist();
    let (tickets, contents, _) = run(config, store, &Silent, |feeder| {
        chosen.into_iter().map_while(|source| feeder.submit(source).ok()).collect::<Vec<_>>()
    })?;
    Ok(tickets.into_iter().map(|ticket| contents.get(ticket).cloned()).collect())
}

fn read_back(store: &MemoryStore, content: &FileContent) -> Vec<u8> {
    let parts: Vec<_> = match &content.data {
        FileData::Whole(hash) => vec![(ObjectName::new(*hash, ObjectKind::File), content.size)],
        FileData::Chunked { chunks, .. } => {
            assert!(chunks.len() > 1, "a single chunk is a whole file");
            chunks.iter().map(|chunk| (ObjectName::new(chunk.hash, ObjectKind::Chunk), chunk.size)).collect()
        }
    };
    let mut bytes = Vec::new();
    for (name, size) in parts {
        let deadline = Deadline::after(std::time::Duration::from_secs(9));
        let stored = store.fetch_to_memory(&name, u64::MAX, deadline).expect("stored");
        bytes.extend(decompress(&stored, content.compression, size as usize).expect("a stream"));
    }
    bytes
}

#[test]
fn every_file_is_read_back_whatever_the_threads_and_the_budget() {
    let scratch = Scratch::new();
    let tree = scratch.directory("tree");
    let mut builder = TreeBuilder::new(&tree);
    for size in [0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 1_500_000, 3_000_000] {
        builder.file(format!("noise{size:08}"), Random::new(size).bytes(size as usize));
        builder.file(format!("zeros{size:08}"), vec![0; size as usize]);
    }
    builder.finish();
    let mut results = Vec::new();
    for (threads, budget) in [(1, 1), (2, 1 << 20), (7, 1), (3, 1 << 30)] {
        let store = MemoryStore::new();
        let contents = store_files(&config(threads, budget), &store, &tree, || ()).expect("storable");
        let mut names: Vec<_> =
            fs::read_dir(&tree).expect("listable").map(|entry| entry.expect("there").path()).collect();
        names.sort();
        for (name, content) in names.iter().zip(&contents) {
            let (stamp, content) = content.as_ref().expect("it was read");
            let bytes = fs::read(name).expect("readable");
            assert_eq!((stamp.size, content.size), (bytes.len() as u64, bytes.len() as u64));
            assert!(read_back(&store, content) == bytes, "{}", name.display());
        }
        results.push(contents);
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn holes_are_cut_like_zeros() {
    let scratch = Scratch::new();
    let (holes, zeros) = (scratch.directory("holes"), scratch.directory("zeros"));
    type Pieces = &'static [(u64, &'static [u8])];
    let cases: [(u64, Pieces); 5] = [
        (1_000_000, &[]),
        (262_144 * 3, &[]),
        (2_000_000, &[(0, b"start")]),
        (2_000_000, &[(1_300_000, b"middle"), (1_999_999, b"e")]),
        (900_000, &[(899_000, b"end")]),
    ];
    for (index, (size, pieces)) in cases.iter().enumerate() {
        TreeBuilder::new(&holes).sparse_file(format!("{index}"), *size, pieces).finish();
        let mut bytes = vec![0; *size as usize];
        for (offset, piece) in *pieces {
            bytes[*offset as usize..*offset as usize + piece.len()].copy_from_slice(piece);
        }
        TreeBuilder::new(&zeros).file(format!("{index}"), bytes).finish();
    }
    let store = MemoryStore::new();
    let config = config(2, 1 << 20);
    let data = |tree| {
        let contents = store_files(&config, &store, tree, || ()).expect("storable");
        contents.into_iter().map(|content| content.expect("it was read").1).collect::<Vec<_>>()
    };
    assert_eq!(data(&holes), data(&zeros));
}

#[test]
fn a_file_over_4_gib_is_stored() {
    let scratch = Scratch::new();
    let tree = scratch.directory("tree");
    let size = (4 << 30) + 12_345;
    TreeBuilder::new(&tree).sparse_file("huge", size, &[(size - 3, b"end")]).finish();
    let store = MemoryStore::new();
    let config = PipelineConfig { chunks: ChunkSizes::DEFAULT, ..config(2, 64 << 20) };
    let contents = store_files(&config, &store, &tree, || ()).expect("storable");
    let (_, content) = contents[0].as_ref().expect("it was read");
    let FileData::Chunked { chunks, .. } = &content.data else { panic!("it is cut") };
    assert_eq!(chunks.iter().map(|chunk| chunk.size).sum::<u64>(), size);
    assert!(chunks.windows(2).all(|pair| pair[0].offset + pair[0].size == pair[1].offset));
}

#[test]
fn a_changed_file_is_stored_as_it_is_now_and_a_vanished_one_is_left_out() {
    let scratch = Scratch::new();
    let tree = scratch.directory("tree");
    let noise = Random::new(1).bytes(400_000);
    TreeBuilder::new(&tree).file("gone", "1").file("grown", "1").file("shrunk", &noise).finish();
    let store = MemoryStore::new();
    let contents = store_files(&config(2, 1 << 20), &store, &tree, || {
        fs::remove_file(tree.join("gone")).expect("removable");
        fs::write(tree.join("grown"), &noise).expect("writable");
        fs::write(tree.join("shrunk"), "2").expect("writable");
    })
    .expect("storable");
    assert_eq!(contents[0], None);
    for (content, expected) in contents[1..].iter().zip([noise.as_slice(), b"2"]) {
        assert!(read_back(&store, &content.as_ref().expect("it was read").1) == expected);
    }
}

#[test]
fn what_can_not_be_read_is_named() {
    let scratch = Scratch::new();
    let tree = scratch.directory("tree");
    TreeBuilder::new(&tree).file("a", "1").file("replaced", "1").finish();
    let store = MemoryStore::new();
    let error = store_files(&config(2, 1 << 20), &store, &tree, || {
        fs::remove_file(tree.join("replaced")).expect("removable");
        std::os::unix::fs::symlink("a", tree.join("replaced")).expect("creatable");
    });
    assert_eq!(
        error.expect_err("it is a link").to_string(),
        "/replaced was replaced by something else while the tree was read"
    );
    fs::remove_file(tree.join("replaced")).expect("removable");
    let error = store_files(&config(1, 1 << 20), &store, &tree, || {
        fs::remove_file(tree.join("a")).expect("removable");
        fs::create_dir(tree.join("a")).expect("creatable");
    });
    assert!(error.expect_err("it is a directory").to_string().contains("/a"));
}
