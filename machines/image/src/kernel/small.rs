//! The small kernel: built from Debian's package of the kernel's source, unchanged, with the configuration in
//! `small.config`, in such a way that the same source and compiler make the same bytes.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::compression::decompressing;
use crate::debian_package::{DebianPackage, PackageError};
use crate::engine::{Engine, EngineError};

/// The configuration.
const CONFIG: &str = include_str!("small.config");

/// The most bytes of the unpacked source.
const SOURCE_LIMIT: u64 = 4 << 30;

/// What else than make and the compiler is needed: a program, or a header file, and its package.
const NEEDED: [(&str, &str); 5] = [
    ("/usr/bin/flex", "flex"),
    ("/usr/bin/bison", "bison"),
    ("/usr/bin/bc", "bc"),
    ("/usr/bin/xz", "xz-utils"),
    ("/usr/include/libelf.h", "libelf-dev"),
];

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub struct SmallKernelRequest<'a> {
    /// A package that holds `usr/src/linux-source-VERSION.tar.xz`.
    pub source: &'a Path,
    /// An empty directory for 2 GB of temporary files.
    pub scratch: &'a Path,
    /// Compilers that run at once.
    pub jobs: usize,
    /// Seconds since 1970: when the kernel says that it was built.
    pub epoch: u64,
}

/// A kernel that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltKernel {
    /// The file that boot loaders load.
    pub image: Vec<u8>,
    /// The whole configuration.
    pub config: String,
    /// The source's package and version.
    pub source: (String, String),
}

/// Builds the small kernel. Takes some ten minutes on two cores; `progress` is told of each step.
///
/// # Errors
/// [`SmallKernelError`] if a program is missing or fails, or the source does not know a part of the configuration.
pub fn build_small_kernel(
    request: &SmallKernelRequest<'_>,
    mut progress: impl FnMut(&str),
) -> Result<BuiltKernel, SmallKernelError> {
    for (what, package) in NEEDED {
        if !Path::new(what).exists() {
            return Err(EngineError::Missing { what: what.to_owned(), package }.into());
        }
    }
    let package = DebianPackage::open(request.source)?;
    progress("unpacking the source");
    let source = unpack(&package, request.scratch)?;
    let (wanted, output) = (request.scratch.join("small.config"), request.scratch.join("build"));
    fs::write(&wanted, CONFIG).map_err(SmallKernelError::file(&wanted))?;
    let make = || {
        let variable = |name: &str, value: &str| format!("{name}={value}");
        let mut make = Engine::new("make", "make").directory(&source).args([
            "ARCH=x86_64",
            "KBUILD_BUILD_USER=varve",
            "KBUILD_BUILD_HOST=varve",
            "KBUILD_BUILD_VERSION=1",
        ]);
        make = make.arg(variable("KBUILD_BUILD_TIMESTAMP", &format!("@{}", request.epoch)));
        make.arg(variable("O", &output.to_string_lossy()))
    };
    make().arg(format!("KCONFIG_ALLCONFIG={}", wanted.display())).arg("allnoconfig").run()?;
    let config = output.join(".config");
    let config = fs::read_to_string(&config).map_err(SmallKernelError::file(&config))?;
    let missing = unanswered(CONFIG, &config);
    if !missing.is_empty() {
        return Err(SmallKernelError::Configuration { missing });
    }
    make().arg(format!("-j{}", request.jobs.max(1))).arg("bzImage").watch(&mut progress)?;
    let image = output.join("arch/x86/boot/bzImage");
    let image = fs::read(&image).map_err(SmallKernelError::file(&image))?;
    Ok(BuiltKernel { image, config, source: (package.name, package.version) })
}

/// Unpacks the source that a package holds: its directory.
fn unpack(package: &DebianPackage, directory: &Path) -> Result<PathBuf, SmallKernelError> {
    let mut found = None;
    package.files(|path, file| {
        let name = path.rsplit('/').next().unwrap_or_default();
        if path.starts_with("usr/src/linux-source-") && name.contains(".tar") {
            let tree = decompressing(name, file)?.take(SOURCE_LIMIT);
            tar::Archive::new(tree).unpack(directory)?;
            found = name.split(".tar").next().map(|name| directory.join(name));
        }
        Ok(())
    })?;
    found
        .filter(|source| source.join("Kconfig").is_file())
        .ok_or_else(|| SmallKernelError::NoSource { path: package.path.clone() })
}

/// The answers of a wanted configuration that the whole one does not give. The source drops, without a word, what it does
/// not know or what lacks something else.
fn unanswered(wanted: &str, whole: &str) -> Vec<String> {
    let lines: std::collections::HashSet<&str> = whole.lines().collect();
    let answers = wanted.lines().filter(|line| line.starts_with("CONFIG_"));
    let given = |line: &str| match line.strip_suffix("=n") {
        Some(name) => {
            !whole.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
        }
        None => lines.contains(line),
    };
    answers.filter(|line| !given(line)).map(str::to_owned).collect()
}

/// Why there is no small kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmallKernelError {
    /// The source's package can't be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The package holds no source.
    #[error("{path} holds no source of a kernel")]
    NoSource {
        /// The package's file.
        path: PathBuf,
    },
    /// The source does not know a part of the configuration.
    #[error("this source of the kernel does not take {}", .missing.join(", "))]
    Configuration {
        /// The lines that it does not take.
        missing: Vec<String>,
    },
    /// A file can't be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A program is missing or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl SmallKernelError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_looked_for() {
        let whole = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x\"\nCONFIG_DE=y\n";
        assert!(
            unanswered("# a comment\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C=\"x\"\nCONFIG_D=n\n", whole).is_empty()
        );
        assert_eq!(unanswered("CONFIG_A=n\nCONFIG_B=y\nCONFIG_Z=y\n", whole).len(), 3);
    }

    #[test]
    fn the_configuration_fits_on_a_few_pages_and_says_nothing_twice() {
        let answers: Vec<&str> = CONFIG.lines().filter(|line| line.starts_with("CONFIG_")).collect();
        let mut names: Vec<&str> = answers.iter().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), answers.len());
        for needed in
            ["CONFIG_FUSE_PASSTHROUGH=y", "CONFIG_OVERLAY_FS=y", "CONFIG_DEVTMPFS=y", "CONFIG_EFI_STUB=y"]
        {
            assert!(answers.contains(&needed), "{needed}");
        }
    }
}
