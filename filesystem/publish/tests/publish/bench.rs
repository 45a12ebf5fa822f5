//! How fast a tree is published, beside reading, compressing and hashing the same files. Run by hand.
//! How the processors are used by others shows in the times on the clock, not in those of the processors. Ten files of the
//! tree are changed at the end: give it a copy.
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

fn timed(workshop: &Workshop, tree: &Path, seconds: u64) -> (Duration, f64, Published) {
    let (start, busy) = (Instant::now(), processor_seconds());
    let mut request = request(tree, seconds);
    request.threads = std::thread::available_parallelism().expect("known");
    let published = publish(&workshop.local, &request, &Silent).expect("publishable");
    (start.elapsed(), processor_seconds() - busy, published)
}

/// What this process has used so far, in user and kernel mode.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("readable");
    let behind_name = stat.rsplit(')').next().expect("a first piece");
    let fields: Vec<f64> = behind_name.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    (fields[11] + fields[12]) / 100.0
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
    // Kept until the end: file systems avoid what was deleted a moment ago, which would slow the next round down.
    let mut workshops = Vec::new();
    for round in 0..3_u64 {
        let busy = processor_seconds();
        let (limit, bytes) = limit(tree, threads);
        let limit_busy = processor_seconds() - busy;
        let workshop = Workshop::with_repository(SettingsFile::default());
        let (first, first_busy, published) = timed(&workshop, tree, 1000);
        println!(
            "round {round}: {bytes} bytes; clock: limit {limit:.2?}, publish {first:.2?}, ratio {:.2}; \
             processors: limit {limit_busy:.2} s, publish {first_busy:.2} s, ratio {:.2}",
            limit.as_secs_f64() / first.as_secs_f64(),
            limit_busy / first_busy
        );
        println!("{:?}", published.statistics);
        let (again, again_busy, _) = timed(&workshop, tree, 2000);
        let mut all = Vec::new();
        files(tree, &mut all);
        all.sort();
        for path in all.iter().step_by(all.len() / 10).take(10) {
            let mut bytes = std::fs::read(path).expect("readable");
            bytes.extend(round.to_le_bytes());
            std::fs::write(path, bytes).expect("writable");
        }
        let (changed, changed_busy, published) = timed(&workshop, tree, 3000);
        println!(
            "unchanged {again:.2?} ({again_busy:.2} s), ten changed {changed:.2?} ({changed_busy:.2} s)"
        );
        println!("{:?}", published.statistics);
        workshops.push(workshop);
    }
}
