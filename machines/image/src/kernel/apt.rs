//! Packages through the machine's own apt: it knows the mirrors, checks the signatures of their indexes and the hashes of
//! what they send. What it downloaded is compared with its index once more before it is used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::engine::{Engine, EngineError};

/// What apt's index says of a package's newest version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    package: String,
    version: String,
    sha256: String,
    /// The kernel's package that this one stands for.
    stands_for: Option<String>,
}

/// Downloads the newest version of a package that apt knows into a directory, unless it is there: the path of its file.
/// `linux-image-amd64` and its like stand for the kernel that they depend on.
///
/// # Errors
/// [`AptError`] if apt is missing, knows no such package, or gets something else than its index says.
pub fn fetch_package(name: &str, directory: &Path) -> Result<PathBuf, AptError> {
    let mut candidate = candidate(name)?;
    if let Some(real) = &candidate.stands_for {
        candidate = self::candidate(real)?;
    }
    let wrap = |path: &Path| {
        let path = path.to_owned();
        move |source| AptError::File { path, source }
    };
    fs::create_dir_all(directory).map_err(wrap(directory))?;
    let version = candidate.version.replace(':', "%3a");
    let path = directory.join(format!("{}_{version}.deb", candidate.package));
    if path.is_file() && digest(&path).map_err(wrap(&path))? == candidate.sha256 {
        return Ok(path);
    }
    let scratch = tempfile::tempdir_in(directory).map_err(wrap(directory))?;
    Engine::new("apt-get", "apt")
        // Who is root here would else be somebody else there, who can't write into our directory.
        .args([
            "-q",
            "-o",
            "APT::Get::AllowUnauthenticated=false",
            "-o",
            "APT::Sandbox::User=root",
            "download",
        ])
        .arg(format!("{}={}", candidate.package, candidate.version))
        .directory(scratch.path())
        .run()?;
    let downloaded = fs::read_dir(scratch.path())
        .map_err(wrap(scratch.path()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| AptError::Nothing { name: candidate.package.clone() })?;
    if digest(&downloaded).map_err(wrap(&downloaded))? != candidate.sha256 {
        return Err(AptError::Different { name: candidate.package });
    }
    fs::rename(&downloaded, &path).map_err(wrap(&path))?;
    Ok(path)
}

fn candidate(name: &str) -> Result<Candidate, AptError> {
    let unknown = || AptError::Unknown { name: name.to_owned() };
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(sound) {
        return Err(unknown());
    }
    let said = Engine::new("apt-cache", "apt").args(["show", "--no-all-versions", name]).run();
    let said = match said {
        Err(EngineError::Failed { .. }) => return Err(unknown()),
        said => said?,
    };
    parse(&String::from_utf8_lossy(&said)).ok_or_else(unknown)
}

fn parse(text: &str) -> Option<Candidate> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim);
    let stands_for = field("Depends").and_then(|depends| {
        let names = depends.split([',', '|']).filter_map(|relation| relation.split_whitespace().next());
        names.map(str::to_owned).find(|name| name.starts_with("linux-image-"))
    });
    Some(Candidate {
        package: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        sha256: field("SHA256")?.to_owned(),
        stands_for,
    })
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}

/// Why apt did not give a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AptError {
    /// It has none of this name.
    #[error("apt knows no package {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// It said that all went well, and left nothing.
    #[error("apt downloaded no package {name}")]
    Nothing {
        /// The name.
        name: String,
    },
    /// It downloaded something else than its index says.
    #[error("what apt downloaded as {name} is not what its index says")]
    Different {
        /// The name.
        name: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_stands_for_another_says_so() {
        let text = "Package: linux-image-amd64\nSource: linux-signed-amd64\nVersion: 6.1.1-1\n\
                    Depends: linux-image-6.1.0-9-amd64 (= 6.1.1-1)\nSHA256: abc\n\n";
        let candidate = parse(text).expect("a package");
        assert_eq!(candidate.stands_for.as_deref(), Some("linux-image-6.1.0-9-amd64"));
        assert_eq!(candidate.version, "6.1.1-1");
        let real = "Package: linux-image-6.1.0-9-amd64\nVersion: 6.1.1-1\nDepends: kmod, linux-base (>= 4.3~)\nSHA256: d\n";
        assert_eq!(parse(real).expect("a package").stands_for, None);
        assert_eq!(parse("N: No packages found\n"), None);
    }

    #[test]
    fn names_that_no_package_has_are_not_passed_on() {
        for name in ["", "-o", "a b", "A", "a=1"] {
            assert!(matches!(candidate(name), Err(AptError::Unknown { .. })), "{name}");
        }
    }
}
