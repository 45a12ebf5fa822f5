//! The disk cache as a reader meets it: what it gives back, when it asks the source, how it survives damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use varve_content::{Algorithm, Compression, Compressor, Effort, ObjectKind, ObjectName};
use varve_store::{
    Cache, CacheConfig, Deadline, Freshness, MemoryStore, ObjectRequest, ObjectSink, ObjectSource,
    ObjectStore, PlainSize, RepositoryFile, StoreError,
};

use crate::conformance::soon;

/// Content that compresses a little and differs by seed.
pub(crate) fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8 & 0x3f
        })
        .collect()
}

/// Puts content into a store and says how to ask for it.
pub(crate) fn put(store: &dyn ObjectStore, plain: &[u8], compression: Compression) -> ObjectRequest {
    let mut stored = Vec::new();
    Compressor::new(compression, Effort::Fast).compress(plain, &mut stored).expect("because it is written");
    let name = ObjectName::new(Algorithm::Sha1.hash(&stored), ObjectKind::File);
    store.put(&name, &stored).expect("a writable store");
    ObjectRequest { name, compression, size: PlainSize::Exact(plain.len() as u64) }
}

/// A cache without quota by the system's clock.
pub(crate) fn config(directory: &Path) -> CacheConfig {
    CacheConfig::new(directory, SystemTime::now)
}

/// The files of cached objects, without temporary ones.
pub(crate) fn cached_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for number in 0..=255_u8 {
        let Ok(entries) = fs::read_dir(directory.join(format!("{number:02x}"))) else { continue };
        files.extend(entries.map(|entry| entry.expect("a readable directory").path()));
    }
    files
}

/// A source that counts, and may fail.
struct Counting<'a> {
    store: &'a MemoryStore,
    fetches: AtomicUsize,
}

impl<'a> Counting<'a> {
    fn new(store: &'a MemoryStore) -> Self {
        Self { store, fetches: AtomicUsize::new(0) }
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

impl ObjectSource for Counting<'_> {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        // Half of it, then again from the beginning, as after a fail-over; in awkward pieces.
        let stored = self.store.fetch_to_memory(name, limit, deadline)?;
        let failed = |source| StoreError::Io { action: "pass on", path: name.to_string(), source };
        sink.write(&stored[..stored.len() / 2]).map_err(failed)?;
        sink.restart().map_err(failed)?;
        stored.chunks(100_003).try_for_each(|piece| sink.write(piece)).map_err(failed)
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
        "a counting source".into()
    }
}

#[test]
fn content_of_every_size_is_fetched_once_and_read_in_any_piece() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = MemoryStore::new();
    let source = Counting::new(&store);
    let sizes = [0, 1, 5000, 65_535, 65_536, 65_537, 200_000, 1 << 20, (40 << 20) + 17];
    for (index, size) in sizes.into_iter().enumerate() {
        let plain = content(index as u64, size);
        for compression in [Compression::Zlib, Compression::None] {
            let request = put(&store, &plain, compression);
            let before = source.fetches();
            for round in 0..3 {
                let cache = Cache::open(&config(place.path())).expect("a writable directory");
                let mut object = cache.get(&request, &source, soon()).expect("because it was put");
                if round == 1 {
                    object.release_memory();
                }
                assert_eq!(object.len(), size as u64);
                for (offset, length) in [
                    (0, size),
                    (0, 4096),
                    (1, 70_000),
                    (65_536, 65_536),
                    (65_530, 20),
                    (131_072, 1 << 20),
                    (size, 5),
                ] {
                    let mut buffer = vec![0xff; length];
                    let read = object.read_at(offset as u64, &mut buffer).expect("because it is sound");
                    let expected = plain.get(offset..(offset + length).min(size)).unwrap_or_default();
                    assert_eq!(read, expected.len(), "{size} bytes, {length} at {offset}");
                    assert!(buffer[..read] == *expected, "{size} bytes, {length} at {offset}");
                }
                assert!(*object.map().expect("because it is sound") == *plain);
                assert!(object.into_bytes().expect("because it is sound") == plain);
                let counters = cache.counters();
                assert_eq!((counters.hits, counters.misses), if round == 0 { (0, 1) } else { (1, 0) });
            }
            assert_eq!(source.fetches(), before + 1);
        }
    }
    assert!(cached_files(place.path()).iter().all(|path| !path.to_string_lossy().contains("tmp-")));
}

#[test]
fn one_object_as_two_compressions_is_two_contents() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(place.path())).expect("a writable directory");
    let store = MemoryStore::new();
    let request = put(&store, b"plain plain plain plain plain", Compression::Zlib);
    let stored = store.fetch_to_memory(&request.name, 100, soon()).expect("because it was put");
    let raw = ObjectRequest {
        compression: Compression::None,
        size: PlainSize::Exact(stored.len() as u64),
        ..request
    };
    for _ in 0..2 {
        let object = cache.get(&raw, &store, soon()).expect("because it was put");
        assert_eq!(object.bytes(), Some(&stored[..]));
        let object = cache.get(&request, &store, soon()).expect("because it was put");
        assert_eq!(object.bytes(), Some(&b"plain plain plain plain plain"[..]));
    }
}

#[test]
fn another_size_than_recorded_is_refused_and_not_kept() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(place.path())).expect("a writable directory");
    let store = MemoryStore::new();
    for size in [1000, 30 << 20] {
        let plain = content(1, size);
        let request = put(&store, &plain, Compression::None);
        for wrong in
            [PlainSize::Exact(size as u64 + 1), PlainSize::Exact(size as u64 - 1), PlainSize::AtMost(5)]
        {
            let refusal = cache.get(&ObjectRequest { size: wrong, ..request }, &store, soon());
            let error = refusal.err().expect("because the size is another");
            assert!(error.is_integrity(), "{error}");
        }
        assert_eq!(cached_files(place.path()), Vec::<PathBuf>::new());
    }
    let request = put(&store, &content(1, 1000), Compression::None);
    cache.get(&request, &store, soon()).expect("because the size is right");
    let refusal = cache.get(&ObjectRequest { size: PlainSize::Exact(999), ..request }, &store, soon());
    assert!(refusal.err().expect("because the size is another").is_integrity());
    assert_eq!(cached_files(place.path()).len(), 1);
}

#[test]
fn bombs_and_streams_that_are_cut_short_are_refused() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(place.path())).expect("a writable directory");
    let store = MemoryStore::new();
    let bomb = put(&store, &vec![0; 64 << 20], Compression::Zlib);
    let refusal = cache.get(&ObjectRequest { size: PlainSize::AtMost(1 << 20), ..bomb }, &store, soon());
    assert!(matches!(refusal.err(), Some(StoreError::Content { .. })));
    for size in [1000, 30 << 20] {
        let plain = content(2, size);
        let mut stored = Vec::new();
        Compressor::new(Compression::Zlib, Effort::Fast)
            .compress(&plain, &mut stored)
            .expect("zlib is written");
        for cut in [&stored[..stored.len() - 1], &stored[1..], b""] {
            let name = ObjectName::new(Algorithm::Sha1.hash(cut), ObjectKind::File);
            store.put(&name, cut).expect("a writable store");
            let size = PlainSize::Exact(size as u64);
            let request = ObjectRequest { name, compression: Compression::Zlib, size };
            let refusal = cache.get(&request, &store, soon());
            assert!(matches!(refusal.err(), Some(StoreError::Content { .. })));
        }
    }
    assert_eq!(cached_files(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn threads_that_want_the_same_share_one_fetch() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(place.path())).expect("a writable directory");
    let store = MemoryStore::new();
    let source = Counting::new(&store);
    let plain = content(9, 3 << 20);
    let request = put(&store, &plain, Compression::Zlib);
    let together = Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                together.wait();
                let object = cache.get(&request, &source, soon()).expect("because it was put");
                assert!(object.into_bytes().expect("because it is sound") == plain);
            });
        }
    });
    assert_eq!(source.fetches(), 1);
}

#[test]
fn every_flipped_bit_is_found_on_read_and_the_object_fetched_again() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = MemoryStore::new();
    for size in [10, 70_000, 300_000] {
        let plain = content(size as u64, size);
        let request = put(&store, &plain, Compression::Zlib);
        let cache = Cache::open(&config(place.path())).expect("a writable directory");
        drop(cache.get(&request, &store, soon()).expect("because it was put"));
        let file = cached_files(place.path()).pop().expect("because it was just cached");
        let sound = fs::read(&file).expect("a readable file");
        for at in [0, size / 2, size - 1, size, size + 9, sound.len() - 9, sound.len() - 1] {
            let mut flipped = sound.clone();
            flipped[at] ^= 4;
            fs::write(&file, flipped).expect("a writable file");
            let cache = Cache::open(&config(place.path())).expect("a writable directory");
            for mapped in [false, true] {
                let read = |object: varve_store::CachedObject| match mapped {
                    true => object.map().map(|map| map.to_vec()),
                    false => object.into_bytes(),
                };
                let object = cache.get(&request, &store, soon()).expect("because it is fetched again");
                let bytes = match read(object) {
                    Ok(bytes) => bytes,
                    Err(StoreError::DamagedCopy { .. }) => {
                        let object = cache.get(&request, &store, soon());
                        read(object.expect("because it is fetched again")).expect("because it is sound now")
                    }
                    Err(error) => panic!("{error}"),
                };
                assert!(bytes == plain, "byte {at} of {size}");
            }
            assert_eq!(cache.counters().damaged, 1, "byte {at} of {size}");
            assert_eq!(cache.counters().misses, 1, "byte {at} of {size}");
        }
        for torn in [0, 5, size, sound.len() - 1] {
            fs::write(&file, &sound[..torn]).expect("a writable file");
            let object = cache.get(&request, &store, soon()).expect("because it is fetched again");
            assert!(
                object.into_bytes().expect("because it is sound now") == plain,
                "cut at {torn} of {size}"
            );
        }
        fs::remove_file(&file).expect("a writable directory");
    }
}

#[test]
fn a_file_moved_to_another_name_is_not_served() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = MemoryStore::new();
    let cache = Cache::open(&config(place.path())).expect("a writable directory");
    for size in [1000, 200_000] {
        let (first, second) = (content(1, size), content(2, size));
        let first_request = put(&store, &first, Compression::Zlib);
        let second_request = put(&store, &second, Compression::Zlib);
        drop(cache.get(&first_request, &store, soon()).expect("because it was put"));
        let from = place.path().join(first_request.name.path());
        fs::rename(from, place.path().join(second_request.name.path())).expect("a writable directory");
        let object = cache.get(&second_request, &store, soon()).expect("because it was put");
        assert!(object.into_bytes().expect("because it is sound") == second);
    }
}

#[test]
fn what_is_derived_is_built_once_and_again_after_damage() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let hash = Algorithm::Sha1.hash(b"a catalog");
    for size in [0, 100, 1 << 20] {
        let built = content(3, size);
        let mut builds = 0;
        for round in 0..3 {
            let cache = Cache::open(&config(place.path())).expect("a writable directory");
            if round == 2 {
                let file = cached_files(place.path()).pop().expect("because it was just cached");
                let mut bytes = fs::read(&file).expect("a readable file");
                bytes[size / 2] ^= 1;
                fs::write(&file, bytes).expect("a writable file");
            }
            let map = cache.derived(&hash, "index1", &mut || {
                builds += 1;
                Ok::<_, StoreError>(built.clone())
            });
            assert!(*map.expect("because it can be built") == *built);
        }
        assert_eq!(builds, 2, "{size} bytes");
        let failed = cache_failing(place.path());
        assert!(failed.expect_err("because it can't be built").is_absence());
        fs::remove_file(cached_files(place.path()).pop().expect("one file")).expect("a writable directory");
    }
}

fn cache_failing(directory: &Path) -> Result<varve_store::MappedObject, StoreError> {
    let cache = Cache::open(&config(directory)).expect("a writable directory");
    cache.derived(&Algorithm::Sha1.hash(b"another"), "index1", &mut || {
        Err(StoreError::NotFound { name: "another".into(), place: "here".into() })
    })
}

#[test]
fn who_waits_no_longer_than_its_deadline() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(place.path())).expect("a writable directory");
    let store = MemoryStore::new();
    let request = put(&store, b"slow", Compression::Zlib);
    let (begun, may_end) = (Barrier::new(2), Barrier::new(2));
    let slow = Slow { store: &store, begun: &begun, may_end: &may_end };
    std::thread::scope(|scope| {
        let patient = scope.spawn(|| cache.get(&request, &slow, soon()).map(|object| object.len()));
        begun.wait();
        let hurried = cache.get(&request, &slow, Deadline::after(std::time::Duration::ZERO));
        assert!(matches!(hurried.err(), Some(StoreError::TimedOut { .. })));
        may_end.wait();
        assert_eq!(patient.join().expect("no panic").expect("because it was put"), 4);
    });
}

/// A source whose fetch begins and ends when the test says so.
struct Slow<'a> {
    store: &'a MemoryStore,
    begun: &'a Barrier,
    may_end: &'a Barrier,
}

impl ObjectSource for Slow<'_> {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.begun.wait();
        self.may_end.wait();
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
        "a slow source".into()
    }
}
