//! Measures what docs/decisions/0001-catalog-index.md rests on: lookups through SQLite handles, one per thread, beside
//! lookups in the index, and how fast catalogs are written and indexes built.
//!
//! Rates are per second of processor time, which other work on the machine does not change, and, of lookups, per second on
//! the clock too.
//!
//! `cargo run --release -p varve-repository --example lookup_bench`

#![allow(clippy::print_stdout)]

mod db;

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::ClockId;
use varve_content::{Algorithm, Compression};
use varve_repository::{
    CatalogIndex, CatalogProperties, CatalogReader, CatalogWriter, Entry, EntryName, FileContent, FileData,
    HardLink, Metadata, Mtime, NestedRole, Node, RepositoryPath, TreeCounters, Xattrs,
};

use self::db::Handle;

const ENTRIES: usize = 100_000;
/// Lookups of all threads together.
const LOOKUPS: usize = 1 << 20;

fn main() -> Result<()> {
    for (shape, directories) in [("1,000 directories", 1000), ("one directory", 1)] {
        let entries = tree(directories)?;
        let mut times = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..5 {
            let start = processor_time(ClockId::ProcessCPUTime);
            bytes = write(&entries)?;
            times.push(processor_time(ClockId::ProcessCPUTime) - start);
        }
        let rate = entries.len() as f64 / median(&mut times).as_secs_f64();
        println!("{shape}, {} entries, catalog of {} bytes", entries.len(), bytes.len());
        println!("  written     {rate:>12.0} rows/s");

        let mut times = Vec::new();
        let mut index_bytes = Vec::new();
        for _ in 0..5 {
            let start = processor_time(ClockId::ProcessCPUTime);
            let reader = CatalogReader::from_bytes(bytes.clone())?;
            index_bytes = CatalogIndex::build(&reader, &RepositoryPath::ROOT)?;
            times.push(processor_time(ClockId::ProcessCPUTime) - start);
        }
        let names: usize =
            entries.iter().filter_map(|(path, _)| Some(path.split_last()?.1.as_bytes().len())).sum();
        println!(
            "  indexed     {:>12.0} rows/s, {:.1} bytes per entry and {:.1} of name",
            entries.len() as f64 / median(&mut times).as_secs_f64(),
            (index_bytes.len() - names) as f64 / entries.len() as f64,
            names as f64 / entries.len() as f64,
        );

        let file = std::env::temp_dir().join(format!("lookup_bench.{}", std::process::id()));
        std::fs::write(&file, &bytes)?;
        let index = CatalogIndex::open(index_bytes)?;
        for threads in [1, 2, 8, 64] {
            let sqlite = measure(threads, |start| by_sqlite(&file, &entries, start))?;
            let indexed = measure(threads, |start| by_index(&index, &entries, start))?;
            println!(
                "  {threads:>2} threads  SQLite {:>9.0} (clock {:>9.0})  index {:>9.0} (clock {:>9.0})  {:>5.1} times",
                sqlite.0,
                sqlite.1,
                indexed.0,
                indexed.1,
                indexed.0 / sqlite.0
            );
        }
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

/// Lookups of all threads together per second of processor time and of the clock.
fn measure(threads: usize, work: impl Fn(&Start) -> Result<Duration> + Sync) -> Result<(f64, f64)> {
    let together = Barrier::new(threads + 1);
    let (processor, clock) = std::thread::scope(|scope| {
        let (work, together) = (&work, &together);
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || work(&Start { thread, threads, together })))
            .collect();
        together.wait();
        let start = Instant::now();
        let mut processor = Duration::ZERO;
        for thread in running {
            processor += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok::<_, anyhow::Error>((processor, start.elapsed()))
    })?;
    Ok((LOOKUPS as f64 / processor.as_secs_f64(), LOOKUPS as f64 / clock.as_secs_f64()))
}

/// One of the threads that measure, and where they wait until all are ready.
struct Start<'a> {
    thread: usize,
    threads: usize,
    together: &'a Barrier,
}

fn by_sqlite(file: &std::path::Path, entries: &[(RepositoryPath, Entry)], start: &Start) -> Result<Duration> {
    let handle = Handle::open(file)?;
    let paths: Vec<RepositoryPath> = entries.iter().map(|(path, _)| path.clone()).collect();
    run(&paths, start, |path| handle.look_up(path))
}

/// What a mount does: the row of the directory is known from the inode, the name is searched in it.
fn by_index(index: &CatalogIndex, entries: &[(RepositoryPath, Entry)], start: &Start) -> Result<Duration> {
    let names: Vec<(u32, EntryName)> = entries
        .iter()
        .filter_map(|(path, _)| path.split_last())
        .map(|(directory, name)| Ok((index.find_path(&directory).context("it is there")?, name)))
        .collect::<Result<_>>()?;
    run(&names, start, |(directory, name)| {
        let row = index.find(*directory, name.as_bytes()).context("it is there")?;
        let entry = index.entry(row).context("a row")?;
        black_box((entry.content(), entry.mode(), entry.mtime()));
        Ok(entry.size())
    })
}

/// Looks up in a random order that lies in memory in that order, so that the questions themselves cost next to nothing.
fn run<T: Clone>(
    questions: &[T],
    start: &Start,
    mut lookup: impl FnMut(&T) -> Result<u64>,
) -> Result<Duration> {
    let mut state = start.thread as u64 + 1;
    let shuffled: Vec<T> = (0..LOOKUPS / start.threads)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            questions[(state >> 33) as usize % questions.len()].clone()
        })
        .collect();
    start.together.wait();
    let before = processor_time(ClockId::ThreadCPUTime);
    for question in &shuffled {
        black_box(lookup(question)?);
    }
    Ok(processor_time(ClockId::ThreadCPUTime) - before)
}

fn write(entries: &[(RepositoryPath, Entry)]) -> Result<Vec<u8>> {
    let mut writer = CatalogWriter::new(CatalogProperties::default())?;
    for (path, entry) in entries {
        writer.add(path, entry)?;
    }
    Ok(writer.finish(TreeCounters::default())?.1)
}

/// The root, its directories and their files, in the order of a catalog.
fn tree(directories: usize) -> Result<Vec<(RepositoryPath, Entry)>> {
    let mut entries = vec![(RepositoryPath::ROOT, entry(None, Node::Directory { size: 4096 }))];
    let mut files = Vec::new();
    for directory in 0..directories {
        let name = EntryName::new(format!("package-{directory:05}"))?;
        let path = RepositoryPath::ROOT.join(&name);
        entries.push((path.clone(), entry(Some(name), Node::Directory { size: 4096 })));
        for file in 0..ENTRIES / directories - 1 {
            let name = EntryName::new(format!("lib{:x}_{file:05}.so", file * 2_654_435_761 % 65_521))?;
            let node = Node::File(FileContent {
                size: file as u64,
                compression: Compression::Zlib,
                data: FileData::Whole(Algorithm::Sha1.hash(name.as_bytes())),
                external: false,
                direct_io: false,
            });
            files.push((path.join(&name), entry(Some(name), node)));
        }
    }
    files.sort_by(|left, right| left.0.cmp(&right.0));
    entries.append(&mut files);
    Ok(entries)
}

fn entry(name: Option<EntryName>, node: Node) -> Entry {
    Entry {
        name,
        metadata: Metadata {
            permissions: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime { seconds: 1_600_000_000, nanoseconds: None },
        },
        node,
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Processor time that this process or thread has used.
fn processor_time(clock: ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
