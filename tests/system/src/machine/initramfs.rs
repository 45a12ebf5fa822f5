//! A first file system for a kernel, put together in memory: an archive of cpio's `newc` form.

use std::collections::BTreeSet;
use std::path::Path;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive that grows.
pub struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Initramfs {
    /// One with `/dev/console` in it.
    pub fn new() -> Self {
        let mut new = Self { bytes: Vec::new(), entries: 0, directories: BTreeSet::new() };
        new.parents("dev/console");
        new.entry("dev/console", CHARACTER_DEVICE, &[], (5, 1));
        new
    }

    /// Adds a program.
    pub fn program(&mut self, path: &str, content: &[u8]) {
        self.parents(path);
        self.entry(path, PROGRAM, content, (0, 0));
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.parents(path);
        self.entry(path, FILE, content, (0, 0));
    }

    /// Writes the archive.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(mut self, path: &Path) {
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        std::fs::write(path, &self.bytes).expect("because the scratch directory is writable");
    }

    fn parents(&mut self, path: &str) {
        let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        for end in ends {
            if self.directories.insert(path[..end].to_owned()) {
                self.entry(&path[..end], DIRECTORY, &[], (0, 0));
            }
        }
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        self.entries += 1;
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let length = u32::try_from(content.len()).expect("because no file of an image has 4 GiB");
        let name = path.len() as u32 + 1;
        let fields = [self.entries, mode, 0, 0, links, 0, length, 0, 0, device.0, device.1, name, 0];
        let header: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        self.bytes.extend_from_slice(b"070701");
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

impl Default for Initramfs {
    fn default() -> Self {
        Self::new()
    }
}
