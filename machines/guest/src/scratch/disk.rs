//! Which disk is taken, and how an empty one becomes a file system.
//!
//! ```text
//!  empty ──marker at 0──▶ begun ──zeros, template──▶ complete but for its first block ──first block──▶ ext4
//!                           ▲ power cut: begun again ────────┘
//! ```
//!
//! The template is a small ext4 that the kernel makes larger when it is mounted. Its first block goes last and takes the marker
//! with it, so that a disk is either empty, begun by us, or whole.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

use crate::block_device::{BlockDevice, FileSystem};

/// Labels of disks that are ours: the template's, µCernVM's, and one for disks that people make.
pub(super) const LABELS: [&str; 3] = ["VARVE", "UROOT", "varve-scratch"];
/// Smaller disks are of no use.
pub(super) const SMALLEST: u64 = 750 << 20;
/// Stands at the beginning of a disk that is being prepared.
const MARKER: &[u8] = b"varve scratch disk, being prepared\n";
const BLOCK: usize = 4096;
/// No template is larger when it is unpacked.
const LARGEST_TEMPLATE: u64 = 1 << 30;
/// So many places between the ends of a disk are looked at, too.
const SAMPLES: u64 = 64;

/// What a disk is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A scratch disk, by its label.
    Ours,
    /// It holds nothing.
    Empty,
    /// It can't be used, for this reason.
    Unusable(&'static str),
}

/// What a disk is to us.
pub(super) fn standing(device: &BlockDevice) -> Standing {
    if device.read_only {
        return Standing::Unusable("it can only be read");
    }
    if let Some(volume) = device.volume() {
        return match volume.kind {
            FileSystem::Ext4 if LABELS.contains(&volume.label.as_str()) => Standing::Ours,
            _ => Standing::Unusable("it holds a file system"),
        };
    }
    if device.has_parts {
        return Standing::Unusable("it has partitions");
    }
    if device.size < SMALLEST {
        return Standing::Unusable("it is smaller than 750 MiB");
    }
    match is_empty(device) {
        Ok(true) => Standing::Empty,
        Ok(false) => Standing::Unusable("it holds data"),
        Err(_) => Standing::Unusable("it can't be read"),
    }
}

/// Whether both ends of it and what lies scattered between are zeros, or it was begun to be prepared.
fn is_empty(device: &BlockDevice) -> io::Result<bool> {
    let file = File::open(&device.path)?;
    let mut bytes = vec![0; 1 << 20];
    let mut zeros = |at: u64, length: usize| -> io::Result<bool> {
        let bytes = &mut bytes[..length];
        file.read_exact_at(bytes, at)?;
        if at == 0 && bytes.starts_with(MARKER) {
            return Ok(true);
        }
        Ok(bytes.iter().all(|&byte| byte == 0))
    };
    let end = device.size - (1 << 20);
    if !zeros(0, 1 << 20)? {
        return Ok(false);
    }
    let mut head = [0; MARKER.len()];
    file.read_exact_at(&mut head, 0)?;
    if head == *MARKER {
        return Ok(true);
    }
    let step = (end / SAMPLES) & !(BLOCK as u64 - 1);
    for sample in 1..SAMPLES {
        if !zeros(sample * step, BLOCK)? {
            return Ok(false);
        }
    }
    zeros(end, 1 << 20)
}

/// Writes the template, a file system compressed with zstd, to an empty disk.
pub(super) fn prepare(device: &Path, template: impl Read) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(device)?;
    file.write_all_at(MARKER, 0)?;
    file.sync_all()?;
    let mut template = zstd::stream::read::Decoder::new(template)?.take(LARGEST_TEMPLATE);
    let mut first = Vec::new();
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    // Where blocks without content begin that have yet to be made zero.
    let mut zeros = None;
    while fill(&mut template, &mut block)? {
        let is_zero = block.iter().all(|&byte| byte == 0);
        if at == 0 {
            first.clone_from(&block);
        } else if is_zero {
            zeros.get_or_insert(at);
        } else {
            zero(&file, zeros.take(), at)?;
            file.write_all_at(&block, at)?;
        }
        at += BLOCK as u64;
    }
    zero(&file, zeros, at)?;
    if first.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the template is empty"));
    }
    file.sync_all()?;
    file.write_all_at(&first, 0)?;
    file.sync_all()
}

/// Fills a block; `false` at the end.
fn fill(from: &mut impl Read, block: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(block) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a range zero that may hold something, if it has a beginning; without writing it where the disk can do that by itself.
fn zero(file: &File, from: Option<u64>, to: u64) -> io::Result<()> {
    let Some(from) = from else { return Ok(()) };
    if fallocate(file, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, from, to - from).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let length = (to - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Vec<u8> {
        let mut image = vec![0; 64 * BLOCK];
        image[1080..1082].copy_from_slice(&[0x53, 0xef]);
        image[1144..1149].copy_from_slice(b"VARVE");
        image[10 * BLOCK] = 7;
        zstd::bulk::compress(&image, 3).unwrap()
    }

    fn disk(scratch: &varve_testkit::Scratch, name: &str) -> BlockDevice {
        let path = scratch.join(name);
        File::create(&path).unwrap().set_len(SMALLEST).unwrap();
        BlockDevice { path, size: SMALLEST, read_only: false, part_of: None, has_parts: false }
    }

    #[test]
    fn an_empty_disk_becomes_ours() {
        let scratch = varve_testkit::Scratch::new();
        let device = disk(&scratch, "disk");
        assert_eq!(standing(&device), Standing::Empty);
        prepare(&device.path, template().as_slice()).unwrap();
        assert_eq!(standing(&device), Standing::Ours);
        let mut byte = [0];
        File::open(&device.path).unwrap().read_exact_at(&mut byte, 10 * BLOCK as u64).unwrap();
        assert_eq!(byte, [7]);
    }

    #[test]
    fn a_power_cut_while_it_is_prepared_leaves_it_empty() {
        let scratch = varve_testkit::Scratch::new();
        let device = disk(&scratch, "disk");
        let half = template();
        assert!(prepare(&device.path, &half[..half.len() / 2]).is_err());
        assert_eq!(standing(&device), Standing::Empty);
        prepare(&device.path, template().as_slice()).unwrap();
        assert_eq!(standing(&device), Standing::Ours);
    }

    #[test]
    fn whatever_holds_something_is_left_alone() {
        let scratch = varve_testkit::Scratch::new();
        for (at, bytes) in [
            (0, &b"LUKS\xba\xbe"[..]),
            (512, b"LABELONE"),
            (65536 + 64, b"_BHRfS_M"),
            (SMALLEST - 512, b"EFI PART"),
            (1144, b"VARVE"),
        ] {
            let device = disk(&scratch, "disk");
            File::options().write(true).open(&device.path).unwrap().write_all_at(bytes, at).unwrap();
            assert_eq!(standing(&device), Standing::Unusable("it holds data"), "{at}");
        }
        let mut device = disk(&scratch, "disk");
        device.has_parts = true;
        assert!(matches!(standing(&device), Standing::Unusable(_)));
        let device = BlockDevice { read_only: true, ..disk(&scratch, "disk") };
        assert!(matches!(standing(&device), Standing::Unusable(_)));
        let device = BlockDevice { size: SMALLEST - 1, ..disk(&scratch, "disk") };
        assert!(matches!(standing(&device), Standing::Unusable(_)));
    }
}
