//! Measures what docs/decisions/0001-catalog-index.md rests on: lookups through SQLite handles, one per thread, beside
//! lookups in the index, and how fast catalogs are written and indexes built.
//!
//! `cargo run --release -p varve-repository --example lookup_bench`

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OpenFlags};
use varve_content::{Algorithm, Compression, PathKey};
use varve_repository::{
    CatalogIndex, CatalogProperties, CatalogReader, CatalogWriter, Entry, EntryName, FileContent, FileData,
    HardLink, Metadata, Mtime, NestedRole, Node, RepositoryPath, TreeCounters, Xattrs,
};

const ENTRIES: usize = 100_000;
const MEASURE: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    for (shape, directories) in [("1,000 directories", 1000), ("one directory", 1)] {
        let entries = tree(directories)?;
        let mut times = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            bytes = write(&entries)?;
            times.push(start.elapsed());
        }
        let rate = entries.len() as f64 / median(&mut times).as_secs_f64();
        println!("{shape}, {} entries, catalog of {} bytes", entries.len(), bytes.len());
        println!("  written     {rate:>12.0} rows/s");

        let mut times = Vec::new();
        let mut index_bytes = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            let reader = CatalogReader::from_bytes(bytes.clone())?;
            index_bytes = CatalogIndex::build(&reader, &RepositoryPath::ROOT)?;
            times.push(start.elapsed());
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
            let sqlite = measure(threads, |thread, end| by_sqlite(&file, &entries, thread, end))?;
            let indexed = measure(threads, |thread, end| by_index(&index, &entries, thread, end))?;
            println!(
                "  {threads:>2} threads  {sqlite:>12.0} lookups/s SQLite {indexed:>12.0} index  {:>6.1} times",
                indexed / sqlite
            );
        }
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

/// Lookups per second of all threads together. Each opens what it needs before the clock starts to matter.
fn measure(threads: usize, work: impl Fn(usize, Instant) -> Result<u64> + Sync) -> Result<f64> {
    let start = Instant::now();
    let counts = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn({
                    let work = &work;
                    move || work(thread, start + MEASURE)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
            .sum::<Result<u64>>()
    })?;
    Ok(counts as f64 / start.elapsed().as_secs_f64())
}

/// What CernVM-FS does: the MD5 of the path, a prepared query, the columns of the row.
fn by_sqlite(
    file: &std::path::Path,
    entries: &[(RepositoryPath, Entry)],
    thread: usize,
    end: Instant,
) -> Result<u64> {
    let uri = format!("file:{}?immutable=1", file.display());
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let database = Connection::open_with_flags(uri, flags)?;
    database.pragma_update(None, "mmap_size", 1_i64 << 32)?;
    let mut statement = database.prepare(
        "SELECT hash, hardlinks, size, mode, mtime, flags, name, symlink, rowid, uid, gid, xattr IS NOT NULL, mtimens \
         FROM catalog WHERE md5path_1 = ?1 AND md5path_2 = ?2",
    )?;
    run(entries, thread, end, |path| {
        let (first, second) = PathKey::of(path.as_bytes()).halves();
        let size: i64 = statement.query_row((first, second), |row| {
            black_box((row.get_ref(0)?, row.get_ref(6)?, row.get_ref(3)?));
            row.get(2)
        })?;
        Ok(size as u64)
    })
}

/// What a mount does: the row of the directory is known from the inode, the name is searched in it.
fn by_index(
    index: &CatalogIndex,
    entries: &[(RepositoryPath, Entry)],
    thread: usize,
    end: Instant,
) -> Result<u64> {
    run(entries, thread, end, |path| {
        let row = index.find_path(path).context("it is there")?;
        let entry = index.entry(row).context("a row")?;
        black_box((entry.content(), entry.mode(), entry.mtime()));
        Ok(entry.size())
    })
}

fn run(
    entries: &[(RepositoryPath, Entry)],
    thread: usize,
    end: Instant,
    mut lookup: impl FnMut(&RepositoryPath) -> Result<u64>,
) -> Result<u64> {
    let mut state = thread as u64 + 1;
    let mut count = 0;
    while Instant::now() < end {
        for _ in 0..256 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            black_box(lookup(&entries[(state >> 33) as usize % entries.len()].0)?);
        }
        count += 256;
    }
    Ok(count)
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
