//! What the machine allows: the bare work of publishing and of reading cold, without any file system or network around it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use varve_content::{Algorithm, Compression, Compressor, Effort, Hasher, decompress};

use crate::scratch::{ScratchError, io_error};

/// Bytes compressed at once; larger files are cut into pieces of it, as publishing cuts them into chunks.
const PIECE: usize = 8 << 20;

/// What was worked on, and how long it took.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    /// Files or objects.
    pub(crate) files: u64,
    /// Bytes of plain content.
    pub(crate) bytes: u64,
    /// Wall-clock time.
    pub(crate) elapsed: Duration,
}

/// Reads every file below `tree`, compresses it with libdeflate at level 6 and hashes the result, on all cores.
pub(crate) fn read_compress_hash(tree: &Path) -> Result<Measured, ScratchError> {
    let mut files = regular_files(tree)?;
    // The largest first, so that no core is left with a large one at the end.
    files.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let pieces: Vec<(&Path, u64, usize)> = files
        .iter()
        .flat_map(|(path, size)| {
            (0..(*size).max(1)).step_by(PIECE).map(move |offset| {
                (path.as_path(), offset, usize::try_from((size - offset).min(PIECE as u64)).unwrap_or(PIECE))
            })
        })
        .collect();
    let bytes = AtomicU64::new(0);
    let elapsed = on_all_cores(pieces.len(), || {
        let mut compressor = Compressor::new(Compression::Zlib, Effort::Fast);
        let (mut plain, mut stored) = (vec![], vec![]);
        let (bytes, pieces) = (&bytes, &pieces);
        move |index| {
            use std::os::unix::fs::FileExt as _;
            let (path, offset, length) = pieces[index];
            plain.resize(length, 0);
            let file = File::open(path).map_err(io_error(format!("open {}", path.display())))?;
            file.read_exact_at(&mut plain, offset).map_err(io_error(format!("read {}", path.display())))?;
            compressor
                .compress(&plain, &mut stored)
                .map_err(|error| io_error("compress")(io::Error::other(error)))?;
            std::hint::black_box(Algorithm::Sha1.hash(&stored));
            bytes.fetch_add(plain.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    })?;
    Ok(Measured { files: files.len() as u64, bytes: bytes.into_inner(), elapsed })
}

/// Reads every object below the `data` directory of a repository into memory, then hashes and inflates it on all cores;
/// only the second part is timed.
pub(crate) fn hash_inflate(data: &Path) -> Result<Measured, ScratchError> {
    let mut objects = Vec::new();
    for (path, _) in regular_files(data)? {
        let mut stored = vec![];
        File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut stored))
            .map_err(io_error(format!("read {}", path.display())))?;
        objects.push(stored);
    }
    objects.sort_by_key(|stored| std::cmp::Reverse(stored.len()));
    let bytes = AtomicU64::new(0);
    let elapsed = on_all_cores(objects.len(), || {
        let (bytes, objects) = (&bytes, &objects);
        move |index| {
            let stored: &Vec<u8> = &objects[index];
            let mut hasher = Hasher::new(Algorithm::Sha1);
            hasher.update(stored);
            std::hint::black_box(hasher.finish());
            // Uncompressed objects are none of what this command publishes; anything else is read as it is.
            let plain =
                decompress(stored, Compression::Zlib, 256 << 20).map_or(stored.len(), |plain| plain.len());
            bytes.fetch_add(plain as u64, Ordering::Relaxed);
            Ok(())
        }
    })?;
    Ok(Measured { files: objects.len() as u64, bytes: bytes.into_inner(), elapsed })
}

/// Every regular file below a directory, with its size.
pub(crate) fn regular_files(tree: &Path) -> Result<Vec<(PathBuf, u64)>, ScratchError> {
    let mut found = vec![];
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries =
            std::fs::read_dir(&directory).map_err(io_error(format!("list {}", directory.display())))?;
        for entry in entries {
            let (entry, metadata) = entry
                .and_then(|entry| entry.metadata().map(|metadata| (entry, metadata)))
                .map_err(io_error(format!("list {}", directory.display())))?;
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.is_file() {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    Ok(found)
}

/// Runs `count` tasks on one thread per core; each thread makes its own worker. Returns the wall-clock time.
fn on_all_cores<W: FnMut(usize) -> Result<(), ScratchError>>(
    count: usize,
    make_worker: impl Fn() -> W + Sync,
) -> Result<Duration, ScratchError> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut worker = make_worker();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return Ok(());
                        }
                        worker(index)?;
                    }
                })
            })
            .collect();
        handles.into_iter().try_for_each(|handle| match handle.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(begun.elapsed())
}
