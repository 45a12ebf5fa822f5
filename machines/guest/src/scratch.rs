//! Where the machine keeps what it fetches and what is changed in it: a scratch disk, or memory.
//!
//! ```text
//!  cache/       objects of the operating system's repository
//!  upper/       what was changed in its tree; work/ is the overlay's own
//!  persistent/  for whoever needs room that no overlay is in the way of
//!  aux/         the version (see `update`), and `reserve`: room that is given up when the disk is full, so that it can be mended
//! ```

mod disk;
mod ext4;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};

use self::disk::Standing;
use crate::block_device::{self, BlockDevice};
use crate::command_line::CommandLine;
use crate::console::Console;
use crate::error::GuestError;

/// The template in the image.
pub const TEMPLATE: &str = "/lib/varve/scratch.ext4.zst";
/// What a disk is used of, unless all of it is asked for.
const USUAL_SIZE: u64 = 20 << 30;
/// The room that is given up when the disk is full.
const RESERVE: u64 = 50 << 20;
/// With less room than this the disk counts as full.
const FULL: u64 = 20 << 20;
const BLOCK: u64 = 4096;

/// Writable room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scratch {
    /// Where it is mounted.
    pub directory: PathBuf,
    /// The disk; `None` for memory, which forgets everything when the machine stops.
    pub device: Option<PathBuf>,
    /// How many bytes fetched objects may take.
    pub cache_quota: u64,
}

/// Which scratch somebody asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `memory`, a disk's file, or nothing for the first one that can be used.
    pub place: Option<String>,
    /// Whether the whole disk is used.
    pub whole_disk: bool,
}

impl Wanted {
    /// What the kernel's command line asks for.
    pub fn of_line(line: &CommandLine) -> Self {
        Self {
            place: line.value(&["varve.scratch"]).map(str::to_owned),
            whole_disk: line.has(&["varve.whole-disk", "resize_rootfs"]),
        }
    }
}

impl Scratch {
    /// Takes the disk that is ours, else the first empty one, else memory.
    ///
    /// # Errors
    /// [`GuestError::Scratch`] if a disk that is ours or was asked for can't be used: what was kept there would be missing.
    pub fn prepare(at: &Path, wanted: &Wanted, memory: u64, console: &Console) -> Result<Self, GuestError> {
        if wanted.place.as_deref() == Some("memory") {
            return Self::in_memory(at, memory);
        }
        let devices = block_device::all();
        let asked = wanted.place.as_ref().map(PathBuf::from);
        if let Some(path) = &asked
            && !devices.iter().any(|device| device.path == *path)
        {
            return Err(unusable(path, "there is no such disk"));
        }
        let standings: Vec<(BlockDevice, Standing)> = devices
            .into_iter()
            .filter(|device| asked.as_ref().is_none_or(|path| device.path == *path))
            .map(|device| (device.clone(), disk::standing(&device)))
            .collect();
        for (device, standing) in &standings {
            if let Standing::Unusable(reason) = standing {
                console.detail(format_args!("{} is no scratch disk: {reason}", device.path.display()));
                if asked.is_some() {
                    return Err(unusable(&device.path, reason));
                }
            }
        }
        if let Some((device, _)) = standings.iter().find(|(_, standing)| *standing == Standing::Ours) {
            console.say(format_args!("scratch disk {}", device.path.display()));
            return Self::on_disk(at, device, wanted.whole_disk, console);
        }
        // A part of a disk is somebody's, also when nothing is in it, unless they say that it is for this.
        let empty = standings.iter().find(|(device, standing)| {
            *standing == Standing::Empty && (device.part_of.is_none() || asked.is_some())
        });
        if let Some((device, _)) = empty {
            match File::open(TEMPLATE) {
                Ok(template) => {
                    console.say(format_args!("scratch disk {}, which was empty", device.path.display()));
                    disk::prepare(&device.path, template)
                        .map_err(|source| GuestError::io("prepare the scratch disk", &device.path)(source))?;
                    return Self::on_disk(at, device, wanted.whole_disk, console);
                }
                Err(_) => console.warn(format_args!(
                    "{} is empty, and this image has nothing to prepare it with ({TEMPLATE})",
                    device.path.display()
                )),
            }
        }
        console.say("no scratch disk: changes are kept in memory, and gone when the machine stops");
        Self::in_memory(at, memory)
    }

    fn in_memory(at: &Path, memory: u64) -> Result<Self, GuestError> {
        fs::create_dir_all(at).map_err(GuestError::io("create", at))?;
        let size = memory / 2;
        let options = CString::new(format!("mode=0755,size={size}")).unwrap_or_default();
        mount("varve-scratch", at, "tmpfs", MountFlags::NODEV, options.as_c_str())
            .map_err(|errno| GuestError::io("mount memory on", at)(errno.into()))?;
        let scratch = Self { directory: at.to_owned(), device: None, cache_quota: size / 2 };
        scratch.make_directories()?;
        Ok(scratch)
    }

    fn on_disk(at: &Path, device: &BlockDevice, whole: bool, console: &Console) -> Result<Self, GuestError> {
        fs::create_dir_all(at).map_err(GuestError::io("create", at))?;
        mount(&device.path, at, "ext4", MountFlags::NODEV | MountFlags::NOATIME, c"").map_err(|errno| {
            unusable(&device.path, &format!("it can't be mounted: {}", io::Error::from(errno)))
        })?;
        let size = if whole { device.size } else { device.size.min(USUAL_SIZE) };
        let mut scratch =
            Self { directory: at.to_owned(), device: Some(device.path.clone()), cache_quota: 0 };
        scratch.grow(size, console);
        scratch.keep_reserve(console);
        scratch.make_directories()?;
        let total = statvfs(at).map_or(size, |room| room.f_blocks * room.f_frsize);
        scratch.cache_quota = quota(total);
        Ok(scratch)
    }

    /// Makes the file system as large as it may be. One that stays small is of use, too.
    fn grow(&self, size: u64, console: &Console) {
        let Ok(root) = File::open(&self.directory) else { return };
        let before = statvfs(&self.directory).map_or(0, |room| room.f_blocks * room.f_frsize);
        // What the file system itself takes is not counted in there.
        if before >= size - size / 10 {
            return;
        }
        let is_new = !self.directory.join("aux").exists();
        if is_new && let Err(error) = ext4::set_uuid(&root, uuid()) {
            console.detail(format_args!("the scratch disk keeps the template's identity: {error}"));
        }
        if let Err(error) = ext4::resize(&root, size / BLOCK) {
            console.warn(format_args!("the scratch disk stays small: {error}"));
        }
    }

    /// Gives the reserve up when the disk is full, and sets it aside again when there is room.
    fn keep_reserve(&self, console: &Console) {
        let path = self.auxiliary().join("reserve");
        let free = statvfs(&self.directory).map_or(0, |room| room.f_bavail * room.f_frsize);
        if free < FULL && fs::remove_file(&path).is_ok() {
            console.warn("the scratch disk is full: its reserve is given up, so that room can be made");
        } else if free > 4 * RESERVE && !path.exists() {
            let made = fs::create_dir_all(self.auxiliary())
                .and_then(|()| File::create(&path))
                .and_then(|file| Ok(fallocate(&file, FallocateFlags::empty(), 0, RESERVE)?));
            if let Err(error) = made {
                console.detail(format_args!("no reserve on the scratch disk: {error}"));
            }
        }
    }

    /// Where fetched objects are kept.
    pub fn cache(&self) -> PathBuf {
        self.directory.join("cache")
    }

    /// Where what is changed in the operating system's tree is kept.
    pub fn upper(&self) -> PathBuf {
        self.directory.join("upper")
    }

    /// The overlay's own directory.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// What the guest itself remembers.
    pub fn auxiliary(&self) -> PathBuf {
        self.directory.join("aux")
    }

    fn make_directories(&self) -> Result<(), GuestError> {
        let persistent = self.directory.join("persistent");
        for directory in [self.cache(), self.upper(), self.work(), self.auxiliary(), persistent] {
            fs::create_dir_all(&directory).map_err(GuestError::io("create", &directory))?;
        }
        Ok(())
    }
}

/// Half of a small disk, a fifth of a large one.
fn quota(total: u64) -> u64 {
    (total / 2).min((total / 5).max(2 << 30))
}

/// A random identifier (RFC 9562, version 4).
fn uuid() -> [u8; 16] {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

fn unusable(device: &Path, reason: &str) -> GuestError {
    GuestError::Scratch { device: device.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_leaves_room() {
        assert_eq!(quota(1 << 30), 1 << 29);
        assert_eq!(quota(6 << 30), 2 << 30);
        assert_eq!(quota(20 << 30), 4 << 30);
    }
}
