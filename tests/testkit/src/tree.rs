//! Builds directory trees for tests: every kind of entry, every attribute, any name.
//!
//! Times are set at the end, by [`TreeBuilder::finish`], since making an entry changes its directory's time.

mod samples;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat, utimensat,
};

pub use samples::TreeSize;

/// The time of everything that is given no other: some day in 2021, so that listings don't depend on today.
const USUAL_TIME: i64 = 1_614_834_367;

/// Adds entries below a directory. Paths are bytes, relative, and their parents are made as needed.
pub struct TreeBuilder {
    root: PathBuf,
    times: BTreeMap<PathBuf, (i64, u32)>,
    refused: Vec<String>,
}

impl TreeBuilder {
    /// Builds below `root`, which is made if it doesn't exist.
    pub fn new(root: &Path) -> Self {
        fs::create_dir_all(root).expect("because the tree's place is writable");
        Self { root: root.to_owned(), times: BTreeMap::new(), refused: Vec::new() }
    }

    /// The path of an entry.
    pub fn path(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_ref()))
    }

    /// A directory.
    pub fn directory(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        let path = self.path(path);
        fs::create_dir_all(&path).expect("because the tree's place is writable");
        self.note(path)
    }

    /// A regular file; an existing one is replaced by a newer one, and other names of it keep the old content.
    pub fn file(&mut self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> &mut Self {
        let path = self.fresh(path);
        fs::write(&path, content).expect("because the tree's place is writable");
        self.note(path)
    }

    /// A file of `size` bytes that is a hole but for the given pieces.
    pub fn sparse_file(&mut self, path: impl AsRef<[u8]>, size: u64, pieces: &[(u64, &[u8])]) -> &mut Self {
        let path = self.fresh(path);
        let file = File::create(&path).expect("because the tree's place is writable");
        file.set_len(size).expect("because holes need no space");
        for (offset, bytes) in pieces {
            file.write_all_at(bytes, *offset).expect("because the tree's place is writable");
        }
        self.note(path)
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> &mut Self {
        let path = self.fresh(path);
        symlink(OsStr::from_bytes(target.as_ref()), &path).expect("because the tree's place is writable");
        self.note(path)
    }

    /// Another name of an existing file.
    pub fn hard_link(&mut self, path: impl AsRef<[u8]>, existing: impl AsRef<[u8]>) -> &mut Self {
        let path = self.fresh(path);
        fs::hard_link(self.path(existing), &path).expect("because the file exists");
        // Its time is that of the first name.
        self.times.remove(&path);
        self
    }

    /// A named pipe.
    pub fn fifo(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        self.node(path, FileType::Fifo, 0, 0)
    }

    /// A socket that nobody listens to.
    pub fn socket(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        // Bound below a short name and moved, since addresses of sockets have at most 108 bytes.
        let path = self.fresh(path);
        let place =
            tempfile::Builder::new().prefix("s").tempdir_in(&self.root).expect("because it is writable");
        drop(UnixListener::bind(place.path().join("s")).expect("because the address is short enough"));
        fs::rename(place.path().join("s"), &path).expect("because it is the same file system");
        self.note(path)
    }

    /// A character device. Without the permission to make one it is left out, see [`Self::finish`].
    pub fn character_device(&mut self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> &mut Self {
        self.node(path, FileType::CharacterDevice, major, minor)
    }

    /// A block device, as [`Self::character_device`].
    pub fn block_device(&mut self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> &mut Self {
        self.node(path, FileType::BlockDevice, major, minor)
    }

    /// Removes an entry with all below it.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> &mut Self {
        let path = self.fresh(path);
        self.times.retain(|other, _| !other.starts_with(&path));
        self
    }

    /// Sets the lower twelve bits of the mode.
    pub fn mode(&mut self, path: impl AsRef<[u8]>, mode: u32) -> &mut Self {
        let path = self.path(path);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("because the file is ours");
        self
    }

    /// Sets owner and group. Without permission they stay, see [`Self::finish`].
    pub fn owner(&mut self, path: impl AsRef<[u8]>, uid: u32, gid: u32) -> &mut Self {
        let path = self.path(path);
        let result = std::os::unix::fs::lchown(&path, Some(uid), Some(gid));
        self.permitted("change the owner of", &path, &result);
        self
    }

    /// Sets the time of last modification.
    pub fn mtime(&mut self, path: impl AsRef<[u8]>, seconds: i64, nanoseconds: u32) -> &mut Self {
        let path = self.path(path);
        self.times.insert(path, (seconds, nanoseconds));
        self
    }

    /// Sets an extended attribute. Where the file system has none it is left out, see [`Self::finish`].
    pub fn xattr(&mut self, path: impl AsRef<[u8]>, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        let path = self.path(path);
        let result = lsetxattr(&path, name, value.as_ref(), XattrFlags::empty());
        self.permitted("set an attribute of", &path, &result.map_err(io::Error::from));
        self
    }

    /// Sets all times, and returns what was not permitted here, for the test to print.
    pub fn finish(&mut self) -> Vec<String> {
        self.times.entry(self.root.clone()).or_insert((USUAL_TIME, 0));
        for (path, (seconds, nanoseconds)) in &self.times {
            let time = Timespec { tv_sec: *seconds, tv_nsec: i64::from(*nanoseconds) };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("because the file is ours");
        }
        self.refused.clone()
    }

    fn node(&mut self, path: impl AsRef<[u8]>, kind: FileType, major: u32, minor: u32) -> &mut Self {
        let path = self.fresh(path);
        let result = mknodat(CWD, &path, kind, Mode::from_raw_mode(0o644), makedev(major, minor));
        if self.permitted("make the device", &path, &result.map_err(io::Error::from)) {
            self.note(path);
        }
        self
    }

    /// The path of an entry to be made: with its parents, and without what was there.
    fn fresh(&mut self, path: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        let mut missing: Vec<PathBuf> = Vec::new();
        for parent in path.ancestors().skip(1).take_while(|parent| !parent.exists()) {
            missing.push(parent.to_owned());
        }
        for parent in missing.into_iter().rev() {
            fs::create_dir(&parent).expect("because the tree's place is writable");
            self.note(parent);
        }
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            let result = if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            result.expect("because the tree's place is writable");
            if let Some((seconds, _)) = self.times.get_mut(&path) {
                *seconds += 1;
            }
        }
        path
    }

    fn note(&mut self, path: PathBuf) -> &mut Self {
        self.times.entry(path).or_insert((USUAL_TIME, 0));
        self
    }

    fn permitted(&mut self, action: &str, path: &Path, result: &io::Result<()>) -> bool {
        if let Err(error) = result {
            self.refused.push(format!("cannot {action} {}: {error}", path.display()));
        }
        result.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use super::*;
    use crate::Scratch;

    #[test]
    fn entries_are_what_was_asked_for() {
        let scratch = Scratch::new();
        let mut tree = TreeBuilder::new(&scratch);
        tree.file("a/b/file", "content").mode("a/b/file", 0o4711).mtime("a/b/file", 12, 345);
        tree.hard_link("a/b/other", "a/b/file").symlink("link", b"\xff/x").fifo("pipe").socket("socket");
        tree.sparse_file("sparse", 10 << 30, &[(5 << 30, b"middle")]);
        tree.file(b"a/\xc3\x28\n", "").directory("a/empty").mode("a", 0o700);
        tree.finish();

        let file = fs::metadata(tree.path("a/b/file")).expect("because it was made");
        assert_eq!(
            (file.mode() & 0o7777, file.nlink(), file.mtime(), file.mtime_nsec()),
            (0o4711, 2, 12, 345)
        );
        let directory = fs::metadata(tree.path("a/b")).expect("because it was made");
        assert_eq!(directory.mtime(), USUAL_TIME);
        let sparse = fs::metadata(tree.path("sparse")).expect("because it was made");
        assert!(sparse.len() == 10 << 30 && sparse.blocks() < 1 << 10);
        assert!(fs::metadata(tree.path("pipe")).is_ok_and(|pipe| pipe.file_type().is_fifo()));
        assert!(fs::metadata(tree.path("socket")).is_ok_and(|socket| socket.file_type().is_socket()));

        tree.file("a/b/file", "new").remove("link").finish();
        let newer = fs::metadata(tree.path("a/b/file")).expect("because it was made");
        assert_eq!((newer.mtime(), newer.nlink()), (13, 1));
        assert_eq!(fs::read(tree.path("a/b/other")).expect("because it was made"), b"content");
        assert!(fs::symlink_metadata(tree.path("link")).is_err());
    }
}
