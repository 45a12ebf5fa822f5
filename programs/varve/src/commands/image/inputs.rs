//! Where the parts of an image come from when nobody says so: the guest, packages, keys, the date.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use varve_image::fetch_package;

use crate::failure::Failure;
use crate::invocation::Invocation;

/// The name of the guest's program.
const GUEST: &str = "varve-guest";

/// The target that a static guest is built for.
const GUEST_TARGET: &str = "x86_64-unknown-linux-musl";

/// The date of what is made: `SOURCE_DATE_EPOCH`, or now.
pub(super) fn epoch(invocation: &Invocation) -> u64 {
    let now = || invocation.now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    invocation.environment.source_date_epoch.unwrap_or_else(now)
}

/// The file of the guest: beside this program, where it is installed; or where cargo built it.
pub(crate) fn guest(program: &Path) -> Result<PathBuf, Failure> {
    let beside = program.parent().unwrap_or(Path::new("/"));
    let mut places = vec![beside.join(GUEST)];
    if let (Some(profile), Some(target)) = (beside.file_name(), beside.parent()) {
        let built = target.join(GUEST_TARGET);
        places.extend(
            ["guest".as_ref(), "release".as_ref(), profile].map(|profile| built.join(profile).join(GUEST)),
        );
    }
    places.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        Failure::usage(format!("there is no {GUEST} beside {}", program.display())).hint(format!(
            "name it with --guest, or build it: cargo build --profile guest -p {GUEST} --target {GUEST_TARGET}"
        ))
    })
}

/// Whether a file is meant, and not the name of a package.
pub(crate) fn is_file(named: &str) -> bool {
    named.contains('/') || Path::new(named).is_file()
}

/// A file as it is named, or the package of this name through apt.
pub(crate) fn package(invocation: &Invocation, named: &str) -> Result<PathBuf, Failure> {
    if is_file(named) {
        return Ok(named.into());
    }
    invocation.output.say(format!("getting the package {named} through apt"));
    Ok(fetch_package(named, &packages(invocation)?)?)
}

/// Where packages are kept.
fn packages(invocation: &Invocation) -> Result<PathBuf, Failure> {
    Ok(invocation.places()?.cache().join("packages"))
}

/// The private key that images are signed with, unless one is named; its public half ends in `.pub`.
pub(super) fn signing_key(invocation: &Invocation, named: Option<&Path>) -> Result<PathBuf, Failure> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => Ok(invocation.places()?.keys().join("image-signing.key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_found_beside_the_program_or_where_cargo_builds_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let program = scratch.path().join("debug/varve");
        assert!(guest(&program).is_err());
        let built = scratch.path().join(GUEST_TARGET).join("debug");
        std::fs::create_dir_all(&built).expect("directory");
        std::fs::write(built.join(GUEST), b"").expect("write");
        assert_eq!(guest(&program).expect("built"), built.join(GUEST));
        std::fs::create_dir_all(scratch.path().join("debug")).expect("directory");
        let beside = scratch.path().join("debug").join(GUEST);
        std::fs::write(&beside, b"").expect("write");
        assert_eq!(guest(&program).expect("installed"), beside);
    }
}
