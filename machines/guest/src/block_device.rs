//! Disks and their parts: which there are, and what is on them, told by their first bytes.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "/sys/class/block";
const SECTOR: u64 = 512;
/// As far into a disk as one has to look to know what it holds.
const HEAD: usize = 128 << 10;

/// A disk, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDevice {
    /// Its file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it can only be read.
    pub read_only: bool,
    /// The disk that it is a part of.
    pub part_of: Option<PathBuf>,
    /// Whether it has parts.
    pub has_parts: bool,
}

/// A file system on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Which.
    pub kind: FileSystem,
    /// Its label, without blanks at its end.
    pub label: String,
}

/// The file systems that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// Linux's.
    Ext4,
    /// That of optical discs.
    Iso9660,
    /// That of newer optical discs.
    Udf,
    /// FAT of any width.
    Fat,
}

/// All disks and parts that hold something, in the order of their names. Memory disks and the like are none.
pub fn all() -> Vec<BlockDevice> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut all: Vec<BlockDevice> = entries.filter_map(|entry| read(&entry.path())).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn read(directory: &Path) -> Option<BlockDevice> {
    let name = directory.file_name()?.to_str()?.to_owned();
    if ["loop", "ram", "zram", "dm-", "md", "fd", "nbd"].iter().any(|kind| name.starts_with(kind)) {
        return None;
    }
    let number = |file: &str| fs::read_to_string(directory.join(file)).ok()?.trim().parse::<u64>().ok();
    let size = number("size")?.checked_mul(SECTOR)?;
    let real = fs::canonicalize(directory).ok()?;
    let part_of = directory.join("partition").exists().then(|| real.parent()?.file_name().map(PathBuf::from));
    let has_parts = fs::read_dir(&real)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.path().join("partition").exists());
    (size > 0).then(|| BlockDevice {
        path: Path::new("/dev").join(&name),
        size,
        read_only: number("ro") == Some(1),
        part_of: part_of.flatten().map(|disk| Path::new("/dev").join(disk)),
        has_parts,
    })
}

impl BlockDevice {
    /// The file system on it, if it is one of those that matter.
    pub fn volume(&self) -> Option<Volume> {
        probe(&self.head()?)
    }

    /// Its first bytes.
    pub fn head(&self) -> Option<Vec<u8>> {
        let mut head = Vec::new();
        File::open(&self.path).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
        Some(head)
    }

    /// Its last bytes.
    pub fn tail(&self) -> Option<Vec<u8>> {
        let length = self.size.min(HEAD as u64);
        let mut tail = vec![0; length as usize];
        File::open(&self.path).ok()?.read_exact_at(&mut tail, self.size - length).ok()?;
        Some(tail)
    }
}

/// What a disk holds that begins with these bytes. Pure.
pub fn probe(head: &[u8]) -> Option<Volume> {
    let at = |offset: usize, length: usize| head.get(offset..offset + length).unwrap_or_default();
    let label = |offset: usize, length: usize| {
        let bytes = at(offset, length);
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
    };
    if at(1024 + 0x38, 2) == [0x53, 0xef] {
        return Some(Volume { kind: FileSystem::Ext4, label: label(1024 + 0x78, 16) });
    }
    // A disc may be of both kinds; the older one is read with less.
    if at(0x8001, 5) == b"CD001" {
        return Some(Volume { kind: FileSystem::Iso9660, label: label(0x8028, 32) });
    }
    if (0..4).any(|sector| matches!(at(0x8001 + sector * 0x800, 5), b"NSR02" | b"NSR03")) {
        return Some(Volume { kind: FileSystem::Udf, label: String::new() });
    }
    if at(510, 2) == [0x55, 0xaa] {
        if at(0x52, 5) == b"FAT32" {
            return Some(Volume { kind: FileSystem::Fat, label: label(0x47, 11) });
        }
        if at(0x36, 3) == b"FAT" {
            return Some(Volume { kind: FileSystem::Fat, label: label(0x2b, 11) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }

    #[test]
    fn file_systems_are_told_by_their_first_bytes() {
        let found = |parts: &[(usize, &[u8])]| probe(&disk(parts)).map(|volume| (volume.kind, volume.label));
        let is = |kind, label: &str| Some((kind, label.to_owned()));
        assert_eq!(found(&[(1080, &[0x53, 0xef]), (1144, b"UROOT")]), is(FileSystem::Ext4, "UROOT"));
        assert_eq!(found(&[(0x8001, b"CD001"), (0x8028, b"cidata   ")]), is(FileSystem::Iso9660, "cidata"));
        let fat: &[(usize, &[u8])] = &[(0x36, b"FAT16"), (0x2b, b"CIDATA     "), (510, &[0x55, 0xaa])];
        assert_eq!(found(fat), is(FileSystem::Fat, "CIDATA"));
        assert_eq!(found(&[(0x8801, b"NSR02")]), is(FileSystem::Udf, ""));
        assert_eq!(found(&[]), None);
        assert_eq!(probe(&[]), None);
    }
}
