//! The ways in which a tree is read for a measurement. The same code runs on the mount and on the local disk.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::scratch::{Scratch, ScratchError, Talk, io_error};

/// Reads one file from its beginning to its end in pieces of 1 MiB.
pub(super) fn sequentially(path: &Path) -> Result<Duration, ScratchError> {
    let mut buffer = vec![0; 1 << 20];
    let begun = Instant::now();
    drain(path, &mut buffer)?;
    Ok(begun.elapsed())
}

/// Opens, reads and closes file after file, on `threads` threads that share the list.
pub(super) fn file_after_file(files: &[PathBuf], threads: usize) -> Result<Duration, ScratchError> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut buffer = vec![0; 1 << 20];
                    while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        drain(path, &mut buffer)?;
                    }
                    Ok(())
                })
            })
            .collect();
        readers.into_iter().try_for_each(|reader| match reader.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(begun.elapsed())
}

/// `find DIR -ls`.
pub(super) fn find(scratch: &Scratch, directory: &Path) -> Result<Duration, ScratchError> {
    Ok(scratch.run(Command::new("find").arg(directory).arg("-ls"), Talk::Kept)?.elapsed)
}

/// `tar` of a whole tree into nothing. GNU tar does not read at all when it writes to /dev/null itself, so a pipe stands between.
pub(super) fn tar(scratch: &Scratch, directory: &Path) -> Result<Duration, ScratchError> {
    let mut command = Command::new("sh");
    command.arg("-c").arg("tar -C \"$1\" -cf - . | cat > /dev/null").arg("sh").arg(directory);
    Ok(scratch.run(&mut command, Talk::Kept)?.elapsed)
}

/// Compiles a small program with the Rust compiler of a tree and runs it.
pub(crate) fn compile(scratch: &Scratch, toolchain: &Path) -> Result<Duration, ScratchError> {
    let source = scratch.path("hello.rs");
    let program = scratch.path("hello");
    std::fs::write(&source, "fn main() { println!(\"Hello from another machine.\"); }\n")
        .map_err(io_error("write a small program"))?;
    let mut compiler = Command::new(toolchain.join("bin/rustc"));
    compiler.arg("--edition=2021").arg("-o").arg(&program).arg(&source);
    // `cargo run` sets it to the libraries of its own toolchain, which would then be loaded instead of this tree's.
    compiler.env_remove("LD_LIBRARY_PATH");
    let compiled = scratch.run(&mut compiler, Talk::Kept)?;
    let ran = scratch.run(&mut Command::new(&program), Talk::Kept)?;
    Ok(compiled.elapsed + ran.elapsed)
}

fn drain(path: &Path, buffer: &mut [u8]) -> Result<(), ScratchError> {
    let failed = |source| ScratchError::Io { action: format!("read {}", path.display()), source };
    let mut file = File::open(path).map_err(failed)?;
    while file.read(buffer).map_err(failed)? > 0 {}
    Ok(())
}
