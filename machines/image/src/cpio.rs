//! The cpio archive that Linux unpacks as its first file system ("newc", see the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst). Not what is put into it.
//!
//! ```text
//! "070701" then 13 numbers of 8 hexadecimal digits:
//!   inode mode uid gid links mtime size devmajor devminor rdevmajor rdevminor namesize check
//! name NUL, padded to 4; contents, padded to 4; the last member is named TRAILER!!!
//! ```

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive under construction: everything is root's and as old as the epoch, so that the same calls make the same
/// bytes. Paths are relative, without a leading slash; directories above a path are added by themselves.
#[derive(Debug, Default)]
pub struct CpioArchive {
    bytes: Vec<u8>,
    members: u32,
    directories: BTreeSet<String>,
}

impl CpioArchive {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory, unless it is there.
    pub fn directory(&mut self, path: &str, permissions: u32) {
        self.parents(path);
        if self.directories.insert(path.to_owned()) {
            self.member(path, DIRECTORY | permissions, (0, 0), &[]);
        }
    }

    /// Adds a regular file.
    pub fn file(&mut self, path: &str, permissions: u32, contents: &[u8]) {
        self.parents(path);
        self.member(path, FILE | permissions, (0, 0), contents);
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.member(path, LINK | 0o777, (0, 0), target.as_bytes());
    }

    /// Adds a character device.
    pub fn character_device(&mut self, path: &str, permissions: u32, major: u32, minor: u32) {
        self.parents(path);
        self.member(path, CHARACTER_DEVICE | permissions, (major, minor), &[]);
    }

    /// The archive's bytes, padded to 512 as every cpio program does.
    pub fn finish(mut self) -> Vec<u8> {
        self.member("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        let above: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        for end in above {
            self.directory(&path[..end], 0o755);
        }
    }

    fn member(&mut self, path: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        let size = u32::try_from(contents.len()).expect("because an initramfs is far smaller than 4 GiB");
        let name_size = u32::try_from(path.len() + 1).expect("because paths are short");
        let inode = if mode == 0 { 0 } else { self.members + 1 };
        self.members = self.members.max(inode);
        let links = if mode & 0o170_000 == DIRECTORY { 2 } else { 1 };
        let numbers = [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_the_kernel_reads_them() {
        let mut archive = CpioArchive::new();
        archive.file("etc/hosts", 0o644, b"hello");
        archive.file("etc/motd", 0o600, b"");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 512, 0);
        let text = String::from_utf8_lossy(&bytes);
        let directory = "07070100000001000041ED000000000000000000000002000000000000000000000000\
                         00000000000000000000000000000004000000 00etc\0";
        assert!(text.starts_with(&directory.replace(' ', "")), "{text}");
        assert_eq!(text.matches("070701").count(), 4, "one directory, two files and the trailer");
        let at = text.find("etc/hosts\0").expect("because it was added");
        assert_eq!((at + "etc/hosts\0".len()).next_multiple_of(4), text.find("hello").expect("contents"));
        assert!(text.contains("TRAILER!!!\0"));
    }

    #[test]
    fn the_same_calls_make_the_same_bytes() {
        let make = || {
            let mut archive = CpioArchive::new();
            archive.character_device("dev/console", 0o600, 5, 1);
            archive.link("sbin/init", "/init");
            archive.finish()
        };
        assert_eq!(make(), make());
    }
}
