//! rpm's database of installed packages.

use std::path::Path;
use std::process::Command;

use super::Packages;
use crate::tree::error::TreeError;
use crate::tree::program;
use crate::tree::rooted::Root;
use crate::tree::rpm::DATABASES;

/// Larger ones are not read.
const LARGEST: u64 = 1 << 30;

/// As the lock writes versions: the epoch only where there is one.
const FORMAT: &str = "%{NAME} %{ARCH} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\n";

/// The packages of a tree.
pub(in crate::tree) fn installed(root: &Root, scratch: &Path) -> Result<Packages, TreeError> {
    let Some(database) = DATABASES.iter().find(|database| root.has(&format!("{database}/rpmdb.sqlite")))
    else {
        return Ok(Packages::default());
    };
    // rpm writes where it reads: it gets a copy, and the tree stays as it is.
    let copy = tempfile::tempdir_in(scratch).map_err(TreeError::io("make a directory in", scratch))?;
    for name in root.names(database).map_err(TreeError::io("read", root.path()))? {
        let Some(name) = name.to_str().filter(|name| name.starts_with("rpmdb.sqlite")) else { continue };
        let path = format!("{database}/{name}");
        let failed = TreeError::io("copy", &root.path().join(&path));
        let bytes = root.read(&path, LARGEST);
        bytes
            .and_then(|bytes| std::fs::write(copy.path().join(name), bytes.unwrap_or_default()))
            .map_err(failed)?;
    }
    let mut rpm = Command::new("rpm");
    rpm.arg("--define=_db_backend sqlite").arg("--dbpath").arg(copy.path());
    rpm.args(["--query", "--all", "--nosignature", "--queryformat", FORMAT]).env("LC_ALL", "C.UTF-8");
    let listed = program::output(&mut rpm, "rpm", "read the database of installed packages")?;
    parse(&String::from_utf8_lossy(&listed))
}

fn parse(listed: &str) -> Result<Packages, TreeError> {
    let mut packages = Packages::default();
    for line in listed.lines() {
        let mut words = line.split(' ');
        let (Some(name), Some(architecture), Some(version)) = (words.next(), words.next(), words.next())
        else {
            return Err(TreeError::Unfinished { package: line.to_owned(), status: "unreadable".into() });
        };
        // A key that packages are checked with is in the database like a package.
        if name == "gpg-pubkey" {
            continue;
        }
        if !packages.add(name, architecture, version) {
            let status = "installed at two versions".to_owned();
            return Err(TreeError::Unfinished { package: name.to_owned(), status });
        }
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_without_keys() {
        let listed = "bash x86_64 5.1.8-9.el9\nlibs i686 1:2-3\ngpg-pubkey (none) 1-2\nlibs x86_64 1:2-3\n";
        let mut wanted = Packages::default();
        wanted.add("bash", "x86_64", "5.1.8-9.el9");
        wanted.add("libs", "i686", "1:2-3");
        wanted.add("libs", "x86_64", "1:2-3");
        assert_eq!(parse(listed).expect("a list"), wanted);
        assert!(parse("bash\n").is_err());
        assert!(parse("a b 1-1\na b 1-2\n").is_err());
    }
}
