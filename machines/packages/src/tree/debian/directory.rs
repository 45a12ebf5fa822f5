//! A directory with packages and an index of them, as apt reads it: the lock's packages and no others.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::super::archived;
use crate::lock::{Lock, LockedPackage};
use crate::tree::error::TreeError;
use crate::tree::program;

/// Fields that the index gets from the lock rather than from the package.
const OWN: [&str; 6] = ["Filename", "Size", "SHA256", "SHA1", "SHA512", "MD5sum"];

/// Makes the directory, with links into the archive.
pub(super) fn make(lock: &Lock, archive: &Path, directory: &Path) -> Result<(), TreeError> {
    std::fs::create_dir(directory).map_err(TreeError::io("make", directory))?;
    let mut index = String::new();
    for package in &lock.packages {
        let archived = archived(archive, package);
        let link = directory.join(file_name(package));
        std::os::unix::fs::symlink(&archived, &link).map_err(TreeError::io("make", &link))?;
        let mut dpkg = Command::new("dpkg-deb");
        dpkg.arg("--field").arg(&archived).env("LC_ALL", "C.UTF-8");
        let control = program::output(&mut dpkg, "dpkg-deb", "read packages of Debian")?;
        let control = String::from_utf8_lossy(&control);
        let paragraph = paragraph(package, &control).map_err(|reason| TreeError::WrongFile {
            path: archived,
            package: package.name.to_string(),
            reason,
        })?;
        index.push_str(&paragraph);
    }
    let path = directory.join("Packages");
    std::fs::write(&path, index).map_err(TreeError::io("write", &path))
}

fn file_name(package: &LockedPackage) -> String {
    format!("{}.deb", package.sha256)
}

/// What the index says of a package: all that the package says of itself, and where it is. The error says what about it
/// isn't as in the lock.
fn paragraph(package: &LockedPackage, control: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut left_out = false;
    for line in control.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with([' ', '\t']) {
            let field = line.split(':').next().unwrap_or_default();
            left_out = OWN.iter().any(|own| own.eq_ignore_ascii_case(field));
        }
        if !left_out {
            text.push_str(line);
            text.push('\n');
        }
    }
    for (field, wanted) in [
        ("Package", package.name.as_str()),
        ("Version", package.version.as_str()),
        ("Architecture", package.architecture.as_str()),
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let found = line.map(str::trim).unwrap_or_default();
        if found != wanted {
            return Err(format!("its {field} is '{found}', not '{wanted}'"));
        }
    }
    let (name, size, sha256) = (file_name(package), package.size, package.sha256);
    write!(text, "Filename: ./{name}\nSize: {size}\nSHA256: {sha256}\n\n")
        .expect("because a string takes all");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    fn package() -> LockedPackage {
        let name = |text: &str| text.to_owned();
        LockedPackage {
            name: name("a").try_into().expect("a name"),
            version: name("1:2-3").try_into().expect("a version"),
            architecture: name("all").try_into().expect("an architecture"),
            index: name("stable").try_into().expect("an id"),
            path: name("pool/a.deb").try_into().expect("a path"),
            size: 12,
            sha256: Sha256::of(b""),
            requested: false,
        }
    }

    const CONTROL: &str = "Package: a\nVersion: 1:2-3\nArchitecture: all\nSize: 99\nfilename: ../x\n y\n\
        Description: short\n long\n .\n";

    #[test]
    fn the_index_has_the_lock_s_digest_and_none_of_the_package_s_own() {
        let text = paragraph(&package(), CONTROL).expect("the package of the lock");
        let digest = Sha256::of(b"");
        assert_eq!(
            text,
            format!(
                "Package: a\nVersion: 1:2-3\nArchitecture: all\nDescription: short\n long\n .\n\
                 Filename: ./{digest}.deb\nSize: 12\nSHA256: {digest}\n\n"
            )
        );
    }

    #[test]
    fn another_package_is_refused() {
        for (old, new) in [("1:2-3", "1:2-4"), ("Package: a", "Package: b"), ("all", "amd64")] {
            let told = paragraph(&package(), &CONTROL.replacen(old, new, 1)).expect_err("another one");
            assert!(told.contains(" is '"), "{told}");
        }
    }
}
