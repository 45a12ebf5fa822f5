//! One cache directory, several processes, a quota smaller than the data, and processes that are killed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use varve_content::Compression;
use varve_store::{
    ByteSize, Cache, CacheConfig, DirectoryStore, MemoryStore, ObjectRequest, ObjectSource, StoreError,
};
use varve_testkit::{ManualClock, ProcessGuard};

use crate::cache::{cached_files, config, content, put};
use crate::conformance::soon;

/// What the children read: small objects, and some of many blocks.
fn sizes() -> impl Iterator<Item = (u64, usize)> {
    (0..200).map(|seed| (seed, if seed % 40 == 7 { 700_000 } else { 1000 + seed as usize * 37 }))
}

fn fill(directory: &Path) -> Vec<ObjectRequest> {
    let store = DirectoryStore::create(directory).expect("a writable directory");
    sizes().map(|(seed, size)| put(&store, &content(seed, size), Compression::Zlib)).collect()
}

fn read_whole(cache: &Cache, request: &ObjectRequest, source: &dyn ObjectSource) -> Vec<u8> {
    loop {
        let object = cache.get(request, source, soon()).expect("because it was put");
        match object.into_bytes() {
            Err(StoreError::DamagedCopy { .. }) => {}
            other => return other.expect("because it is sound"),
        }
    }
}

/// Reads everything in this order, this many times, and compares.
fn read_all(
    cache: &Cache,
    requests: &[ObjectRequest],
    source: &dyn ObjectSource,
    stride: usize,
    rounds: usize,
) {
    for round in 0..rounds {
        for step in 0..requests.len() {
            let index = (step * stride + round) % requests.len();
            let (seed, size) = sizes().nth(index).expect("because there are as many");
            assert!(read_whole(cache, &requests[index], source) == content(seed, size), "object {index}");
        }
    }
}

/// Not a test by itself: what the child processes of the others run.
#[test]
fn child() {
    let Ok(place) = std::env::var("VARVE_TEST_CHILD") else {
        println!("skipped: it is what other tests start as a process");
        return;
    };
    let place = Path::new(&place);
    let requests = fill(&place.join("served"));
    let source = DirectoryStore::open(place.join("served")).expect("because it was filled");
    let mut config = config(&place.join("cache"));
    config.quota = Some(ByteSize::mebibytes(2));
    let cache = Cache::open(&config).expect("a writable directory");
    println!("ready");
    std::thread::scope(|scope| {
        for stride in [1, 3, 7] {
            let (cache, requests, source) = (&cache, &requests, &source);
            scope.spawn(move || read_all(cache, requests, source, stride, 3));
        }
    });
    assert!(cache.counters().evictions > 0 || cache.counters().hits > 0);
}

fn start_child(place: &Path) -> ProcessGuard {
    let program = std::env::current_exe().expect("because this program runs");
    let mut command = Command::new(program);
    command.args(["--exact", "cache_sharing::child", "--nocapture"]).env("VARVE_TEST_CHILD", place);
    ProcessGuard::start(command.stdout(Stdio::piped())).expect("because this program can be started")
}

#[test]
fn two_processes_with_a_quota_below_the_data_read_everything_right() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let requests = fill(&place.path().join("served"));
    let mut children = [start_child(place.path()), start_child(place.path())];
    for child in &mut children {
        let status = child.wait(Duration::from_secs(120)).expect("a child");
        assert!(status.expect("because it ends").success());
    }
    // Nothing half is left, and the quota holds once it is enforced with nobody writing.
    let mut config = config(&place.path().join("cache"));
    config.quota = Some(ByteSize::mebibytes(2));
    let cache = Cache::open(&config).expect("a writable directory");
    shrink(&cache, ByteSize::mebibytes(2));
    let used: u64 = cached_files(&config.directory)
        .iter()
        .map(|file| fs::metadata(file).expect("a readable file").len())
        .sum();
    assert!(used <= 2 << 20, "{used} bytes");
    let source = DirectoryStore::open(place.path().join("served")).expect("because it was filled");
    read_all(&cache, &requests, &source, 11, 1);
}

/// Shrinks, also while a background thread has the lock.
fn shrink(cache: &Cache, most: ByteSize) -> ByteSize {
    varve_testkit::wait_for("the eviction lock", Duration::from_secs(60), || cache.shrink_to(most))
}

#[test]
fn a_process_killed_while_writing_leaves_nothing_wrong_and_its_leftovers_are_swept() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let requests = fill(&place.path().join("served"));
    let source = DirectoryStore::open(place.path().join("served")).expect("because it was filled");
    for round in 0..10_u64 {
        let mut child = start_child(place.path());
        let output = child.child().stdout.take().expect("because it is piped");
        let mut lines = BufReader::new(output).lines().map(|line| line.expect("a readable pipe"));
        assert!(lines.any(|line| line.contains("ready")));
        std::thread::sleep(Duration::from_millis(round * 13 % 90));
        child.kill().expect("because it is ours");
        let cache = Cache::open(&config(&place.path().join("cache"))).expect("a writable directory");
        read_all(&cache, &requests, &source, 5, 1);
        assert_eq!(cache.counters().damaged, 0);
        shrink(&cache, ByteSize::mebibytes(100));
        let left = cached_files(&place.path().join("cache"));
        assert!(left.iter().all(|file| !file.to_string_lossy().contains("/tmp-")), "{left:?}");
        fs::remove_dir_all(place.path().join("cache")).ok();
    }
}

#[test]
fn leftovers_of_the_dead_are_removed_and_age_counts_only_where_the_writer_is_out_of_sight() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a date after 1970").as_secs();
    let clock = ManualClock::at(now);
    let reading = clock.clone();
    let cache = Cache::open(&CacheConfig::new(place.path(), move || reading.now())).expect("writable");
    shrink(&cache, ByteSize::mebibytes(1));
    let namespace = fs::read_link("/proc/self/ns/pid").expect("because /proc is mounted");
    let namespace: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let mut gone = Command::new("true").spawn().expect("because there is such a program");
    gone.wait().expect("a child");
    let write = |writer: &str| {
        let path = place.path().join(format!("aa/tmp-{writer}"));
        fs::write(&path, b"half").expect("a writable directory");
        path
    };
    let stat = fs::read_to_string("/proc/self/stat").expect("because /proc is mounted");
    let (_, fields) = stat.rsplit_once(')').expect("because the name of the program is in parentheses");
    let begun: u64 =
        fields.split_whitespace().nth(19).and_then(|begun| begun.parse().ok()).expect("a number of ticks");
    let me = std::process::id();
    let dead = write(&format!("{namespace}-{}-{begun}-1", gone.id()));
    let pid_taken_again = write(&format!("{namespace}-{me}-{}-1", begun - 1));
    let alive = write(&format!("{namespace}-{me}-{begun}-1"));
    let elsewhere = write(&format!("1-{}-{begun}-1", gone.id()));
    shrink(&cache, ByteSize::mebibytes(1));
    assert!(!dead.exists() && !pid_taken_again.exists() && alive.exists() && elsewhere.exists());
    clock.advance(Duration::from_secs(3700));
    shrink(&cache, ByteSize::mebibytes(1));
    assert!(alive.exists() && !elsewhere.exists());
}

#[test]
fn the_least_recently_used_goes_first() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = MemoryStore::new();
    let clock = ManualClock::at(0);
    let reading = clock.clone();
    let config = CacheConfig { now: Arc::new(move || reading.now()), ..config(place.path()) };
    let cache = Cache::open(&config).expect("a writable directory");
    let requests: Vec<ObjectRequest> =
        (0..10).map(|seed| put(&store, &content(seed, 3000), Compression::Zlib)).collect();
    let hour = Duration::from_secs(3600);
    for (request, age) in requests.iter().zip((1..=10).rev()) {
        drop(cache.get(request, &store, soon()).expect("because it was put"));
        let file = fs::File::open(place.path().join(request.name.path())).expect("because it is cached");
        file.set_modified(SystemTime::now() - hour * age).expect("a writable file");
    }
    // The oldest but one is used again, at a time when that is worth recording.
    clock.advance(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a date after 1970"));
    let map = cache.get(&requests[1], &store, soon()).expect("because it is there").map();
    assert_eq!(shrink(&cache, ByteSize::bytes(5 * 4096)).get(), 5 * 4096);
    let there: Vec<bool> =
        requests.iter().map(|request| cache.peek(request).expect("readable").is_some()).collect();
    assert_eq!(there, [false, true, false, false, false, false, true, true, true, true]);
    assert_eq!(cache.counters().evictions, 5);
    shrink(&cache, ByteSize::bytes(0));
    assert!(*map.expect("because it is sound") == *content(1, 3000), "what is mapped stays");
    assert_eq!(cached_files(place.path()).len(), 0);
}
