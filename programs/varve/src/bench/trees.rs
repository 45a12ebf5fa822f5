//! The trees that are measured: the Rust toolchain of this machine, one large file, many small ones, very many entries.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scratch::{Scratch, ScratchError, Talk, io_error};

/// Size of the large file, in bytes.
pub(super) const LARGE: u64 = 1 << 30;

/// How many small files there are.
pub(super) const SMALL_FILES: usize = 20_000;

/// Makes each tree once, below the installation.
#[derive(Default)]
pub(super) struct Trees {
    source: Option<PathBuf>,
    toolchain: Option<PathBuf>,
}

impl Trees {
    /// Measures on a copy of `source` instead of the Rust toolchain, if given.
    pub(super) fn new(source: Option<PathBuf>) -> Self {
        Self { source, toolchain: None }
    }

    /// A writable copy of the tree.
    pub(super) fn toolchain(&mut self, scratch: &Scratch) -> Result<PathBuf, ScratchError> {
        if let Some(path) = &self.toolchain {
            return Ok(path.clone());
        }
        let source = match &self.source {
            Some(source) => source.clone(),
            None => toolchain_of_this_machine(scratch)?,
        };
        let copy = scratch.path("toolchain");
        scratch.run(Command::new("cp").arg("-a").arg(&source).arg(&copy), Talk::Kept)?;
        self.toolchain = Some(copy.clone());
        Ok(copy)
    }
}

/// The directory of the Rust toolchain that `rustc` on the path belongs to.
pub(crate) fn toolchain_of_this_machine(scratch: &Scratch) -> Result<PathBuf, ScratchError> {
    let sysroot = scratch.run(Command::new("rustc").args(["--print", "sysroot"]), Talk::Kept)?;
    std::fs::canonicalize(sysroot.stdout.trim()).map_err(io_error("find the Rust toolchain"))
}

/// A directory with one large file of bytes that don't compress and many small files of 4 KiB that do a little.
pub(super) fn data(scratch: &Scratch) -> Result<PathBuf, ScratchError> {
    let tree = small(scratch, "data")?;
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    write(&tree.join("large"), LARGE, &mut noise).map_err(io_error("write the large file"))?;
    Ok(tree)
}

/// A directory with the small files alone.
pub(super) fn small(scratch: &Scratch, name: &str) -> Result<PathBuf, ScratchError> {
    let tree = scratch.create_directory(name)?;
    let mut noise = Noise(0xD1B5_4A32_D192_ED03);
    for index in 0..SMALL_FILES {
        let directory = tree.join(format!("small/{:03}", index / 200));
        std::fs::create_dir_all(&directory)
            .and_then(|()| write(&directory.join(format!("file{index:05}")), 4096, &mut noise))
            .map_err(io_error("write a small file"))?;
    }
    Ok(tree)
}

fn write(path: &Path, bytes: u64, noise: &mut Noise) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for _ in 0..bytes / 8 {
        file.write_all(&noise.next().to_le_bytes())?;
    }
    file.flush()
}

/// A directory with this many empty files, a thousand in each directory.
pub(super) fn entries(scratch: &Scratch, count: usize) -> Result<PathBuf, ScratchError> {
    let tree = scratch.create_directory("entries")?;
    for index in 0..count {
        let directory = tree.join(format!("{:03}/{:03}", index / 100_000, index / 1000 % 100));
        if index % 1000 == 0 {
            std::fs::create_dir_all(&directory).map_err(io_error("make a directory"))?;
        }
        File::create(directory.join(format!("entry{index:07}"))).map_err(io_error("make an empty file"))?;
    }
    Ok(tree)
}

/// A directory with this many directories that become nested catalogs, a thousand small files in each.
pub(super) fn nested(scratch: &Scratch, catalogs: usize) -> Result<PathBuf, ScratchError> {
    let tree = scratch.create_directory("nested")?;
    for catalog in 0..catalogs {
        let directory = tree.join(format!("{catalog:03}"));
        let made = std::fs::create_dir(&directory).and_then(|()| {
            std::fs::write(directory.join(".cvmfscatalog"), "")?;
            (0..1000).try_for_each(|file| {
                std::fs::write(directory.join(format!("file{file:03}")), format!("{catalog} {file}"))
            })
        });
        made.map_err(io_error("make a directory of small files"))?;
    }
    Ok(tree)
}

/// A directory with this many small files whose contents are others in every revision.
pub(super) fn changing(scratch: &Scratch, files: usize, revision: usize) -> Result<PathBuf, ScratchError> {
    let tree = scratch.create_directory("changing")?;
    for file in 0..files {
        let path = tree.join(format!("file{file:05}"));
        std::fs::write(path, format!("{file} of revision {revision}"))
            .map_err(io_error("write a small file"))?;
    }
    Ok(tree)
}

/// Bytes that look random and are the same every time (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
