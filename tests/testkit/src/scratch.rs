//! Directories for a test's files, which go away with it, together with whatever is mounted below them.

use std::ffi::OsString;
use std::fs;
use std::ops::Deref;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

/// A fresh directory. On drop everything mounted in it is unmounted and the directory is removed, also when the test
/// fails.
pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    /// A fresh, empty directory in the system's place for temporary files.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("varve-test-").tempdir();
        Self { directory: directory.expect("because the place for temporary files is writable") }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a directory in it, with its parents.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).expect("because the scratch directory is writable");
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.path()
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        unmount_below(self.path());
        if !rustix::process::geteuid().is_root() {
            make_removable(self.path());
        }
    }
}

/// The mount points at and below `directory`, the latest first.
pub fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut mounts: Vec<PathBuf> = table
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b' ').nth(4))
        .map(unescape)
        .filter(|path| path.starts_with(directory))
        .collect();
    mounts.reverse();
    mounts
}

/// Unmounts everything at and below `directory`, lazily, so that nothing that hangs holds it up.
pub fn unmount_below(directory: &Path) {
    for path in mounts_below(directory) {
        if unmount(&path, UnmountFlags::DETACH).is_err() {
            // Without root, the setuid program does it.
            let mut command = Command::new("fusermount3");
            command.args(["-u", "-z"]).arg(&path).stdin(Stdio::null()).stderr(Stdio::null());
            let _status = command.status();
        }
    }
}

/// The kernel writes blanks, tabs, line ends and backslashes as `\` and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        if let (b'\\', Some(digits)) = (first, digits) {
            bytes.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8) | (digit - b'0')));
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Directories without write permission could not be emptied.
fn make_removable(directory: &Path) {
    // Whatever fails here is left to the removal, which nobody waits for either.
    let _changed = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_goes_away() {
        let scratch = Scratch::new();
        let path = scratch.directory("a/b");
        fs::write(path.join("file"), "x").expect("because it is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).expect("because it is ours");
        let root = scratch.path().to_owned();
        drop(scratch);
        assert!(!root.exists());
    }

    #[test]
    fn what_is_mounted_in_it_is_unmounted() {
        let scratch = Scratch::new();
        let place = scratch.directory("with blank");
        let mounted = rustix::mount::mount("none", &place, "tmpfs", rustix::mount::MountFlags::empty(), None);
        if let Err(error) = mounted {
            println!("skipped: mounting is not permitted ({error})");
            return;
        }
        assert_eq!(mounts_below(&scratch), [place]);
        let root = scratch.path().to_owned();
        drop(scratch);
        assert!(!root.exists() && mounts_below(&root).is_empty());
    }

    #[test]
    fn the_kernels_escapes_are_read() {
        assert_eq!(unescape(br"/a\040b\134\x"), Path::new(r"/a b\\x"));
    }
}
