//! Disks that are full and disks that take no writes: objects are still read, from memory if need be.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use varve_content::{Algorithm, Compression};
use varve_store::{Cache, MemoryStore, RepositoryFile, StoreError};

use crate::cache::{cached_files, config, content, put};
use crate::conformance::soon;

/// A file system of its own, of a few megabytes.
struct SmallDisk {
    place: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with the reason printed, where mounting is not allowed.
    #[allow(clippy::print_stdout)]
    fn new(megabytes: u32) -> Option<Self> {
        let place = tempfile::tempdir().expect("a temporary directory");
        let options = std::ffi::CString::new(format!("size={megabytes}m")).expect("because it has no zero");
        match mount("varve-test", place.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str())) {
            Ok(()) => Some(Self { place }),
            Err(error) => {
                println!("skipped: a tmpfs can't be mounted here: {error}");
                None
            }
        }
    }

    fn cache(&self) -> PathBuf {
        self.place.path().join("cache")
    }

    fn remount_read_only(&self) {
        // The cache's look for leftovers may still have a file open.
        varve_testkit::wait_until("the disk to be idle", Duration::from_secs(60), || {
            mount_remount(self.place.path(), MountFlags::RDONLY, "").is_ok()
        });
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.place.path(), UnmountFlags::DETACH).expect("because it is mounted");
    }
}

#[test]
fn a_full_disk_makes_room_by_evicting() {
    let Some(disk) = SmallDisk::new(8) else { return };
    let store = MemoryStore::new();
    let cache = Cache::open(&config(&disk.cache())).expect("a writable directory");
    for seed in 0..60 {
        let plain = content(seed, 500_000);
        let request = put(&store, &plain, Compression::Zlib);
        let object = cache.get(&request, &store, soon()).expect("because it was put");
        assert!(object.into_bytes().expect("because it is sound") == plain, "object {seed}");
    }
    let counters = cache.counters();
    assert!(counters.evictions > 0, "{counters:?}");
    assert_eq!(counters.unwritable, 0, "{counters:?}");
}

#[test]
fn a_disk_filled_by_others_sends_objects_to_memory() {
    let Some(disk) = SmallDisk::new(4) else { return };
    let store = MemoryStore::new();
    let cache = Cache::open(&config(&disk.cache())).expect("a writable directory");
    fill(disk.place.path());
    for (seed, size) in [(1, 10), (2, 70_000), (3, 900_000), (4, 30 << 20)] {
        let plain = content(seed, size);
        let request = put(&store, &plain, Compression::None);
        for _ in 0..2 {
            let object = cache.get(&request, &store, soon()).expect("because it was put");
            assert!(*object.map().expect("because it is sound") == *plain);
            assert!(object.into_bytes().expect("because it is sound") == plain);
        }
    }
    let counters = cache.counters();
    // The largest is too large to be kept, the others come from memory the second time.
    assert_eq!((counters.hits, counters.misses, counters.unwritable), (3, 5, 5));
    cache.keep_file("repository", RepositoryFile::Manifest, b"manifest").expect("because memory takes it");
    assert_eq!(cache.kept_file("repository", RepositoryFile::Manifest).as_deref(), Some(&b"manifest"[..]));
}

/// Leaves no byte of the file system free.
fn fill(directory: &Path) {
    let mut file = fs::File::create(directory.join("ballast")).expect("a writable directory");
    for size in [1 << 20, 1 << 12, 1] {
        while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_read_only_cache_serves_what_is_there_and_keeps_the_rest_in_memory() {
    let Some(disk) = SmallDisk::new(64) else { return };
    let store = MemoryStore::new();
    let plains: Vec<Vec<u8>> =
        [(1, 10), (2, 200_000), (3, 1000), (4, 200_000), (5, 20 << 20)].map(|(s, n)| content(s, n)).into();
    let requests: Vec<_> = plains.iter().map(|plain| put(&store, plain, Compression::None)).collect();
    let cache = Cache::open(&config(&disk.cache())).expect("a writable directory");
    for request in &requests[..2] {
        cache.get(request, &store, soon()).expect("because it was put");
    }
    cache.keep_file("repository", RepositoryFile::Manifest, b"before").expect("a writable directory");
    drop(cache);
    // One of them is damaged for good.
    let damaged = cached_files(&disk.cache())
        .into_iter()
        .find(|file| fs::metadata(file).expect("a readable file").len() > 200_000)
        .expect("because it was cached");
    let mut bytes = fs::read(&damaged).expect("a readable file");
    bytes[70_000] ^= 1;
    fs::write(&damaged, bytes).expect("a writable file");
    disk.remount_read_only();

    let cache = Cache::open(&config(&disk.cache())).expect("because it is readable");
    assert!(cache.is_read_only());
    for (request, plain) in requests.iter().zip(&plains) {
        for _ in 0..2 {
            let object = cache.get(request, &store, soon()).expect("because it was put");
            let bytes = match object.into_bytes() {
                Err(StoreError::DamagedCopy { .. }) => {
                    let object = cache.get(request, &store, soon()).expect("because it is fetched again");
                    object.into_bytes().expect("because it is sound")
                }
                other => other.expect("because it is sound"),
            };
            assert!(bytes == *plain);
        }
    }
    assert_eq!(cache.counters().damaged, 1);
    let derived = cache
        .derived(&Algorithm::Sha1.hash(b"catalog"), "index1", &mut || Ok::<_, StoreError>(b"built".to_vec()));
    let derived = derived.expect("because it can be built");
    assert!(derived.is_memory_only() && *derived == *b"built");
    assert_eq!(cache.kept_file("repository", RepositoryFile::Manifest).as_deref(), Some(&b"before"[..]));
    cache.keep_file("repository", RepositoryFile::Manifest, b"after").expect("because memory takes it");
    assert_eq!(cache.kept_file("repository", RepositoryFile::Manifest).as_deref(), Some(&b"after"[..]));
}
