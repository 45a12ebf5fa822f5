//! Kernels: Debian's packaged ones, unchanged, and files. Building one is in `small`, getting a package in `apt`.

pub(crate) mod apt;
pub(crate) mod modules;
pub(crate) mod small;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::compression::decompress;
use crate::debian_package::{DebianPackage, PackageError};
use modules::{Module, ModuleError, choose, name_of};

/// The most bytes of a kernel.
const IMAGE_LIMIT: u64 = 128 << 20;

/// The most bytes of a module, and of the list of built-in ones.
const MODULE_LIMIT: u64 = 64 << 20;

/// The most bytes of all modules of a package as they are in it.
const MODULES_LIMIT: u64 = 4 << 30;

/// A kernel for the x86-64 architecture, and the modules that go along with it.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The file that boot loaders load (`bzImage`), unchanged.
    pub image: Vec<u8>,
    /// What `uname -r` will say.
    pub release: String,
    /// The package it is from.
    pub package: Option<KernelPackage>,
    /// In an order in which they can be loaded.
    pub modules: Vec<Module>,
    /// The names of modules that it has built in, where a package tells.
    pub builtin: BTreeSet<String>,
}

/// Which package a kernel is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Kernel {
    /// A kernel from a file: a package with the ending `.deb`, of whose modules `wanted` and all that these need are
    /// taken, or a `bzImage` that needs no modules.
    ///
    /// # Errors
    /// [`KernelError`] if it can't be read or is no kernel.
    pub fn open(path: &Path, wanted: &[String]) -> Result<Self, KernelError> {
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Self::from_package(&DebianPackage::open(path)?, wanted);
        }
        let wrap = |source| KernelError::Read { path: path.to_owned(), source };
        let mut image = Vec::new();
        File::open(path).and_then(|file| file.take(IMAGE_LIMIT).read_to_end(&mut image)).map_err(wrap)?;
        let release = release(&image).ok_or_else(|| KernelError::NotOne { path: path.to_owned() })?;
        Ok(Self { image, release, package: None, modules: Vec::new(), builtin: BTreeSet::new() })
    }

    /// Which of these modules it has neither along nor built in, as far as the package tells.
    pub fn lacking(&self, wanted: &[String]) -> Vec<String> {
        let has = |name: &String| {
            let name = name_of(name);
            self.builtin.contains(&name) || self.modules.iter().any(|module| module.name == name)
        };
        wanted.iter().filter(|name| !has(name)).cloned().collect()
    }

    fn from_package(package: &DebianPackage, wanted: &[String]) -> Result<Self, KernelError> {
        let contents = Contents::read(package)?;
        let not_one = || KernelError::NotOne { path: package.path.clone() };
        let release = release(&contents.image).ok_or_else(not_one)?;
        let builtin: BTreeSet<String> = contents.builtin.lines().map(name_of).collect();
        let modules = choose(wanted, &builtin, |name| contents.module(name, &package.path))?;
        let package = KernelPackage { name: package.name.clone(), version: package.version.clone() };
        Ok(Self { image: contents.image, release, package: Some(package), modules, builtin })
    }
}

/// What is of interest in a package. Its hundreds of megabytes of modules wait in a file until it is known which are.
struct Contents {
    image: Vec<u8>,
    builtin: String,
    spool: File,
    modules: BTreeMap<String, Spooled>,
}

struct Spooled {
    path: String,
    at: u64,
    size: u64,
}

impl Contents {
    fn read(package: &DebianPackage) -> Result<Self, KernelError> {
        let spool = tempfile::tempfile().map_err(KernelError::Spool)?;
        let mut contents =
            Self { image: Vec::new(), builtin: String::new(), spool, modules: BTreeMap::new() };
        let mut at = 0;
        package.files(|path, file| {
            let path = path.trim_start_matches("usr/");
            if path.starts_with("boot/vmlinuz-") {
                file.take(IMAGE_LIMIT).read_to_end(&mut contents.image)?;
            } else if let Some((_, below)) =
                path.strip_prefix("lib/modules/").and_then(|path| path.split_once('/'))
            {
                if below == "modules.builtin" {
                    file.take(MODULE_LIMIT).read_to_string(&mut contents.builtin)?;
                } else if below.starts_with("kernel/") && below.contains(".ko") {
                    let size = io::copy(&mut file.take(MODULES_LIMIT - at), &mut contents.spool)?;
                    let spooled = Spooled { path: below.to_owned(), at, size };
                    contents.modules.insert(name_of(below), spooled);
                    at += size;
                }
            }
            Ok(())
        })?;
        contents.spool.flush().map_err(KernelError::Spool)?;
        Ok(contents)
    }

    /// The path and the decompressed file of a module.
    fn module(&self, name: &str, package: &Path) -> Result<Option<(String, Vec<u8>)>, KernelError> {
        let Some(spooled) = self.modules.get(name) else { return Ok(None) };
        let wrap = |source| KernelError::Read { path: package.join(&spooled.path), source };
        let mut spool = &self.spool;
        spool.seek(SeekFrom::Start(spooled.at)).map_err(KernelError::Spool)?;
        let mut bytes = Vec::new();
        spool.take(spooled.size.min(MODULE_LIMIT)).read_to_end(&mut bytes).map_err(KernelError::Spool)?;
        let contents = decompress(&spooled.path, &bytes, MODULE_LIMIT).map_err(wrap)?;
        let end = spooled.path.find(".ko").map_or(spooled.path.len(), |at| at + ".ko".len());
        Ok(Some((spooled.path[..end].to_owned(), contents)))
    }
}

/// What a `bzImage` says that it is (Documentation/arch/x86/boot.rst, `kernel_version`), up to the first blank.
fn release(image: &[u8]) -> Option<String> {
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let offset = u16::from_le_bytes(image.get(0x20e..0x210)?.try_into().ok()?);
    let text = image.get(usize::from(offset) + 0x200..)?;
    let text = &text[..text.iter().take(256).position(|byte| *byte == 0)?];
    let release = std::str::from_utf8(text).ok()?.split(' ').next()?;
    let sound = |c: char| c.is_ascii_alphanumeric() || "._+-~".contains(c);
    (!release.is_empty() && release.chars().all(sound)).then(|| release.to_owned())
}

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A file can't be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system or the decompressor said.
        #[source]
        source: io::Error,
    },
    /// Modules can't be kept in a temporary file.
    #[error("cannot keep modules in a temporary file")]
    Spool(#[source] io::Error),
    /// The file is something else.
    #[error("{path} holds no Linux kernel for x86-64")]
    NotOne {
        /// The file.
        path: PathBuf,
    },
    /// The package can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The modules can't be had.
    #[error(transparent)]
    Module(#[from] ModuleError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_says_its_release() {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        let text = b"6.12.1-varve (varve@varve) #1\0";
        image[0x300..0x300 + text.len()].copy_from_slice(text);
        assert_eq!(release(&image).as_deref(), Some("6.12.1-varve"));
        image[0x300] = b'/';
        assert_eq!(release(&image), None);
        image[0x20e..0x210].copy_from_slice(&0xffff_u16.to_le_bytes());
        assert_eq!(release(&image), None);
        assert_eq!(release(b"short"), None);
    }
}
