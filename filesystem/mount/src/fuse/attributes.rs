//! What `stat` shows of an entry.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo};
use varve_repository::{EntryKind, EntryView, Mtime};

use crate::failure::Failure;
use crate::tree::{Place, inode_of};
use crate::variant_link::expand_link;

const BLOCK: u64 = 512;

/// The attributes of the place.
pub(crate) fn attributes_of(place: &Place) -> Result<FileAttr, Failure> {
    entry_attributes(place, &place.entry()?)
}

/// The attributes of an entry of the place's catalog.
pub(crate) fn entry_attributes(place: &Place, entry: &EntryView<'_>) -> Result<FileAttr, Failure> {
    let loaded = place.loaded().ok_or(Failure::NoEntry)?;
    let size = match entry.kind() {
        // Readers take the size for the length of the target, so it has to be that of the target they will read.
        EntryKind::Symlink => {
            expand_link(entry.link_target(), loaded.attached.mounted.variables.as_ref()).len() as u64
        }
        _ => entry.size(),
    };
    let time = time_of(entry.mtime());
    let (uid, gid) = loaded.attached.mounted.owner.unwrap_or((entry.uid(), entry.gid()));
    Ok(FileAttr {
        ino: INodeNo(inode_of(loaded, entry)),
        size,
        blocks: size.div_ceil(BLOCK),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: kind_of(entry.kind()),
        perm: entry.permissions() as u16,
        nlink: entry.link_count(),
        uid,
        gid,
        // The kernel's 32-bit form, which equals the catalog's for every number that Linux uses.
        rdev: entry.device() as u32,
        blksize: 4096,
        flags: 0,
    })
}

/// The root of a tree of repositories.
pub(crate) fn tree_root_attributes(repositories: usize) -> FileAttr {
    FileAttr {
        ino: INodeNo::ROOT,
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: FileType::Directory,
        perm: 0o755,
        nlink: 2 + repositories as u32,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn kind_of(kind: EntryKind) -> FileType {
    match kind {
        EntryKind::Directory => FileType::Directory,
        EntryKind::File => FileType::RegularFile,
        EntryKind::Symlink => FileType::Symlink,
        EntryKind::Fifo => FileType::NamedPipe,
        EntryKind::Socket => FileType::Socket,
        EntryKind::CharacterDevice => FileType::CharDevice,
        EntryKind::BlockDevice => FileType::BlockDevice,
    }
}

/// Times that the system's clock can't represent are shown as 1970.
fn time_of(mtime: Mtime) -> SystemTime {
    let whole = Duration::from_secs(mtime.seconds.unsigned_abs());
    let seconds = if mtime.seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    let part = Duration::from_nanos(u64::from(mtime.nanoseconds.unwrap_or(0)));
    seconds.and_then(|time| time.checked_add(part)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_beyond_reason_are_shown() {
        let at = |seconds, nanoseconds| time_of(Mtime { seconds, nanoseconds });
        assert_eq!(at(-1, Some(500_000_000)), SystemTime::UNIX_EPOCH - Duration::from_millis(500));
        assert_eq!(at(2, None), SystemTime::UNIX_EPOCH + Duration::from_secs(2));
        assert_eq!(at(i64::MIN, None), at(i64::MIN, Some(0)));
    }
}
