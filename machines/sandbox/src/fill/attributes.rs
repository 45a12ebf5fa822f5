//! The attributes of what isn't filled yet, in the forms of `stat` and `statx`.

use rustix::fs::Stat;
use varve_repository::{EntryKind, EntryView};

/// What a program is told of a file or directory.
pub(super) struct Attributes {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) special: u64,
    pub(super) size: u64,
    pub(super) block_size: u32,
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// `struct stat` of the architecture, but for the fields that are 0.
const STAT_SIZE: usize = size_of::<libc::stat>();
/// `struct statx`.
const STATX_SIZE: usize = 256;

/// The fields of `statx` that are told: type, mode, links, user, group, times but that of birth, inode, size, blocks.
const STATX_BASIC: u32 = 0x7ff;

impl Attributes {
    /// What the catalog says of an entry, with the place on the disk that it has or will have.
    ///
    /// The owner is the disk's. Of symbolic links only those have to be told that lead nowhere.
    pub(super) fn of(entry: &EntryView<'_>, disk: &Stat) -> Self {
        let mtime = entry.mtime();
        Self {
            device: disk.st_dev,
            inode: disk.st_ino,
            mode: entry.mode(),
            links: entry.link_count(),
            user: disk.st_uid,
            group: disk.st_gid,
            special: entry.device(),
            size: match entry.kind() {
                EntryKind::Directory => disk.st_size.cast_unsigned(),
                EntryKind::Symlink => 0,
                _ => entry.size(),
            },
            block_size: u32::try_from(disk.st_blksize).unwrap_or(4096),
            seconds: mtime.seconds,
            nanoseconds: mtime.nanoseconds.unwrap_or(0),
        }
    }

    fn blocks(&self) -> u64 {
        self.size.div_ceil(512)
    }

    /// As `struct stat`.
    pub(super) fn to_stat(&self) -> Vec<u8> {
        use std::mem::offset_of;
        let mut bytes = vec![0; STAT_SIZE];
        let mut put = |offset: usize, value: &[u8]| {
            bytes[offset..offset + value.len()].copy_from_slice(value);
        };
        put(offset_of!(libc::stat, st_dev), &self.device.to_ne_bytes());
        put(offset_of!(libc::stat, st_ino), &self.inode.to_ne_bytes());
        put(offset_of!(libc::stat, st_mode), &self.mode.to_ne_bytes());
        if size_of::<libc::nlink_t>() == 8 {
            put(offset_of!(libc::stat, st_nlink), &u64::from(self.links).to_ne_bytes());
        } else {
            put(offset_of!(libc::stat, st_nlink), &self.links.to_ne_bytes());
        }
        put(offset_of!(libc::stat, st_uid), &self.user.to_ne_bytes());
        put(offset_of!(libc::stat, st_gid), &self.group.to_ne_bytes());
        put(offset_of!(libc::stat, st_rdev), &self.special.to_ne_bytes());
        put(offset_of!(libc::stat, st_size), &self.size.to_ne_bytes());
        put(offset_of!(libc::stat, st_blksize), &self.block_size.to_ne_bytes());
        put(offset_of!(libc::stat, st_blocks), &self.blocks().to_ne_bytes());
        for (seconds, nanoseconds) in [
            (offset_of!(libc::stat, st_atime), offset_of!(libc::stat, st_atime_nsec)),
            (offset_of!(libc::stat, st_mtime), offset_of!(libc::stat, st_mtime_nsec)),
            (offset_of!(libc::stat, st_ctime), offset_of!(libc::stat, st_ctime_nsec)),
        ] {
            put(seconds, &self.seconds.to_ne_bytes());
            put(nanoseconds, &i64::from(self.nanoseconds).to_ne_bytes());
        }
        bytes
    }

    /// As `struct statx`.
    pub(super) fn to_statx(&self) -> Vec<u8> {
        use std::mem::offset_of;
        let mut bytes = vec![0; STATX_SIZE];
        let mut put = |offset: usize, value: &[u8]| {
            bytes[offset..offset + value.len()].copy_from_slice(value);
        };
        put(offset_of!(libc::statx, stx_mask), &STATX_BASIC.to_ne_bytes());
        put(offset_of!(libc::statx, stx_blksize), &self.block_size.to_ne_bytes());
        put(offset_of!(libc::statx, stx_nlink), &self.links.to_ne_bytes());
        put(offset_of!(libc::statx, stx_uid), &self.user.to_ne_bytes());
        put(offset_of!(libc::statx, stx_gid), &self.group.to_ne_bytes());
        put(offset_of!(libc::statx, stx_mode), &(self.mode as u16).to_ne_bytes());
        put(offset_of!(libc::statx, stx_ino), &self.inode.to_ne_bytes());
        put(offset_of!(libc::statx, stx_size), &self.size.to_ne_bytes());
        put(offset_of!(libc::statx, stx_blocks), &self.blocks().to_ne_bytes());
        for time in [
            offset_of!(libc::statx, stx_atime),
            offset_of!(libc::statx, stx_mtime),
            offset_of!(libc::statx, stx_ctime),
        ] {
            put(time + offset_of!(libc::statx_timestamp, tv_sec), &self.seconds.to_ne_bytes());
            put(time + offset_of!(libc::statx_timestamp, tv_nsec), &self.nanoseconds.to_ne_bytes());
        }
        let (major, minor) = (rustix::fs::major(self.special), rustix::fs::minor(self.special));
        put(offset_of!(libc::statx, stx_rdev_major), &major.to_ne_bytes());
        put(offset_of!(libc::statx, stx_rdev_minor), &minor.to_ne_bytes());
        let (major, minor) = (rustix::fs::major(self.device), rustix::fs::minor(self.device));
        put(offset_of!(libc::statx, stx_dev_major), &major.to_ne_bytes());
        put(offset_of!(libc::statx, stx_dev_minor), &minor.to_ne_bytes());
        bytes
    }

    /// Whether a caller with these numbers may do this, as `access` asks: 4 read, 2 write, 1 execute.
    pub(super) fn permits(&self, user: u32, groups: &[u32], wanted: u32) -> bool {
        if user == 0 {
            return wanted & 1 == 0 || self.mode & 0o111 != 0;
        }
        let shift = match () {
            () if user == self.user => 6,
            () if groups.contains(&self.group) => 3,
            () => 0,
        };
        wanted & !(self.mode >> shift) & 7 == 0
    }
}
