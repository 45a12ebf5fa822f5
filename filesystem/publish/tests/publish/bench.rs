//! How fast a tree is published, beside reading, compressing and hashing the same files. Run by hand:
//! `VARVE_BENCH_TREE=DIR cargo test --release -p varve-publish --test publish bench -- --nocapture`

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use varve_content::{Algorithm, Compression, Compressor, Effort};
use varve_publish::{Published, SettingsFile, Silent, publish};

use crate::workshop::{Workshop, request};

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("listable") {
        let entry = entry.expect("listable");
        let kind = entry.file_type().expect("known");
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Reads, compresses and hashes all files on all cores, large ones in chunks as large as a publish makes them.
fn limit(tree: &Path, threads: usize) -> (Duration, u64) {
    let start = Instant::now();
    let mut all = Vec::new();
    files(tree, &mut all);
    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut compressor = Compressor::new(Compression::Zlib, Effort::Fast);
                let mut stored = Vec::new();
                while let Some(path) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let plain = std::fs::read(path).expect("readable");
                    bytes.fetch_add(plain.len() as u64, Ordering::Relaxed);
                    for chunk in plain.chunks(8 << 20) {
                        compressor.compress(chunk, &mut stored).expect("compressible");
                        std::hint::black_box(Algorithm::Sha1.hash(&stored));
                    }
                }
            });
        }
    });
    (start.elapsed(), bytes.into_inner())
}

fn timed(workshop: &Workshop, tree: &Path, seconds: u64) -> (Duration, Published) {
    let start = Instant::now();
    let mut request = request(tree, seconds);
    request.threads = std::thread::available_parallelism().expect("known");
    let published = publish(&workshop.local, &request, &Silent).expect("publishable");
    (start.elapsed(), published)
}

#[test]
fn bench_publish() {
    let Ok(tree) = std::env::var("VARVE_BENCH_TREE") else {
        println!("skipped: VARVE_BENCH_TREE names no tree");
        return;
    };
    let tree = Path::new(&tree);
    let threads = std::thread::available_parallelism().expect("known").get();
    limit(tree, threads);
    for round in 0..3 {
        let (limit, bytes) = limit(tree, threads);
        let workshop = Workshop::with_repository(SettingsFile::default());
        let (first, published) = timed(&workshop, tree, 1000);
        let (again, same) = timed(&workshop, tree, 2000);
        println!(
            "round {round}: {bytes} bytes, limit {limit:.2?}, publish {first:.2?}, ratio {:.2}",
            limit.as_secs_f64() / first.as_secs_f64()
        );
        println!("{:?}", published.statistics);
        println!("again {again:.2?} {:?}", same.statistics);
    }
}
