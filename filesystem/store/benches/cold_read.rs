//! How fast many small objects are read cold, over HTTP and into the cache, beside what hashing and inflating alone
//! take. `cargo bench -p varve-store`, with the numbers of objects and of threads as optional arguments.
#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use varve_content::{Algorithm, Compression, Compressor, Effort, ObjectKind, ObjectName, decompress};
use varve_store::{
    Cache, CacheConfig, Deadline, DirectoryStore, HttpConfig, HttpSource, ObjectRequest, ObjectSource,
    ObjectStore, PlainSize,
};
use varve_testkit::FaultyServer;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("a measurement, run by cargo bench");
        return;
    }
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (count, threads) = (numbers.next().unwrap_or(20_000), numbers.next().unwrap_or(8));
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = DirectoryStore::create(place.path().join("served")).expect("a writable directory");
    let requests: Vec<ObjectRequest> = (0..count).map(|seed| put(&store, seed)).collect();
    let config = || CacheConfig::new(place.path().join("cache"), SystemTime::now);

    let all = |what: &str, work: &(dyn Fn(&ObjectRequest) + Sync)| {
        let next = AtomicUsize::new(0);
        let (begin, cpu) = (Instant::now(), cpu_time());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        work(request);
                    }
                });
            }
        });
        let seconds = begin.elapsed().as_secs_f64();
        let micros = (cpu_time() - cpu).as_secs_f64() * 1e6 / count as f64;
        println!(
            "{what:32} {seconds:7.3} s {:7.0} objects/s {micros:7.1} us CPU/object",
            count as f64 / seconds
        );
    };
    let soon = || Deadline::after(Duration::from_secs(60));
    all("read, SHA-1, inflate", &|request| {
        let PlainSize::Exact(size) = request.size else { return };
        let stored = store.fetch_to_memory(&request.name, 1 << 20, soon()).expect("because it was put");
        decompress(&stored, request.compression, size as usize).expect("because it was compressed");
    });
    let cached = |cache: &Cache, source: &dyn ObjectSource, request: &ObjectRequest| {
        let object = cache.get(request, source, soon()).expect("because it was put");
        object.into_bytes().expect("because it is sound");
    };
    let cache = Cache::open(&config()).expect("a writable directory");
    all("directory into an empty cache", &|request| cached(&cache, &store, request));
    all("cache", &|request| cached(&cache, &store, request));
    drop(cache);
    std::fs::remove_dir_all(place.path().join("cache")).expect("a writable directory");

    let server = FaultyServer::new(&place.path().join("served"));
    let address = std::env::var("VARVE_BENCH_SERVER").unwrap_or_else(|_| server.url());
    let http = HttpSource::new(HttpConfig::new(&address, "").expect("well formed")).expect("not encrypted");
    all("HTTP", &|request| {
        http.fetch_to_memory(&request.name, 1 << 20, soon()).expect("because it was put");
    });
    let cache = Cache::open(&config()).expect("a writable directory");
    all("HTTP into an empty cache", &|request| cached(&cache, &http, request));
}

/// What all threads of this process, the server's among them, have used of the processors.
fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// An object with 1 to 24 KiB of text-like content.
fn put(store: &DirectoryStore, seed: usize) -> ObjectRequest {
    let size = 1000 + seed * 7919 % 24_000;
    let words = ["the ", "of ", "layer", "lake ", "\n", "fn ", "0x", "sediment ", "year "];
    let mut state = seed as u64 | 1 << 40;
    let mut plain = Vec::with_capacity(size + 10);
    while plain.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        plain.extend_from_slice(words[(state >> 60) as usize % words.len()].as_bytes());
        plain.push((state >> 40) as u8 & 0x5f);
    }
    let mut stored = Vec::new();
    Compressor::new(Compression::Zlib, Effort::Fast).compress(&plain, &mut stored).expect("zlib is written");
    let name = ObjectName::new(Algorithm::Sha1.hash(&stored), ObjectKind::File);
    store.put(&name, &stored).expect("a writable directory");
    ObjectRequest { name, compression: Compression::Zlib, size: PlainSize::Exact(plain.len() as u64) }
}
