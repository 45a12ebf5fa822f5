//! Which directories of the host a run shows.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use varve_sandbox::{Access, Account, Bind};

use super::PlaceOptions;
use crate::failure::Failure;

/// What belongs to an operating system: the host's is not shown over an environment's only because somebody stands in it.
const OF_SYSTEMS: [&str; 15] = [
    "/bin", "/boot", "/cvmfs", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/run", "/sbin",
    "/sys", "/usr", "/var",
];

/// What is shown, and where the command starts.
pub(super) struct Bindings {
    pub(super) binds: Vec<Bind>,
    pub(super) directory: PathBuf,
}

/// In an environment the working directory is shown unless it belongs to the system, and the home directory if that is asked
/// for; of the host's own system everything is seen anyway.
pub(super) fn of(
    options: &PlaceOptions,
    account: &Account,
    in_environment: bool,
) -> Result<Bindings, Failure> {
    let working = std::env::current_dir().map_err(|error| Failure::io("find", Path::new("."), error))?;
    let mut binds = vec![];
    let mut directory = working.clone();
    if in_environment {
        if options.home {
            binds.push(same(account.home.clone()));
        }
        let is_of_system =
            working == Path::new("/") || OF_SYSTEMS.iter().any(|system| working.starts_with(system));
        if options.no_directory || is_of_system {
            directory = account.home.clone();
        } else {
            binds.push(same(working));
        }
    }
    for text in &options.binds {
        binds.push(bind(text)?);
    }
    Ok(Bindings { binds, directory })
}

fn same(path: PathBuf) -> Bind {
    Bind { source: path.clone(), destination: path, access: Access::ReadWrite }
}

/// `SRC[:DST[:ro|:rw]]`.
fn bind(text: &OsString) -> Result<Bind, Failure> {
    let malformed = |why: &str| {
        Failure::usage(format!("'{}' is not a directory to show: {why}", text.display()))
            .hint("write SRC, SRC:DST or SRC:DST:ro")
    };
    let mut parts = text.as_bytes().split(|&byte| byte == b':').map(OsStr::from_bytes);
    let source = PathBuf::from(parts.next().unwrap_or_default());
    let source = source.canonicalize().map_err(|error| Failure::io("show", &source, error))?;
    let destination = match parts.next() {
        None => std::path::absolute(text).map_err(|error| Failure::io("find", Path::new(text), error))?,
        Some(destination) => PathBuf::from(destination),
    };
    if !destination.is_absolute() || destination.components().any(|part| part.as_os_str() == "..") {
        return Err(malformed("DST must be an absolute path without '..'"));
    }
    let access = match parts.next().map(OsStr::as_bytes) {
        None | Some(b"rw") => Access::ReadWrite,
        Some(b"ro") => Access::ReadOnly,
        Some(_) => return Err(malformed("behind DST only 'ro' or 'rw' can follow")),
    };
    if parts.next().is_some() {
        return Err(malformed("it has too many colons"));
    }
    Ok(Bind { source, destination, access })
}
