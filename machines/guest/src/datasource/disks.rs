//! User data on disks: every disk with a file system that clouds use for it is mounted, read, and unmounted again.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{UserData, config_drive, no_cloud, open_nebula, ovf_environment};
use crate::block_device::{self, FileSystem};
use crate::console::Console;

/// Where they are mounted meanwhile.
const AT: &str = "/media";

/// The first that has something.
pub(super) fn read(console: &Console) -> Option<UserData> {
    block_device::all().into_iter().find_map(|device| {
        let volume = device.volume()?;
        let kind = match volume.kind {
            FileSystem::Iso9660 => "iso9660",
            FileSystem::Fat => "vfat",
            FileSystem::Udf => "udf",
            _ => return None,
        };
        console.detail(format_args!("{} is {kind} '{}'", device.path.display(), volume.label));
        let mounted = Mounted::new(&device.path, kind)?;
        of_directory(&volume.label, &mounted.0)
    })
}

/// What is in a directory, by the disk's label.
fn of_directory(label: &str, directory: &Path) -> Option<UserData> {
    let labelled = |wanted: &str| label.eq_ignore_ascii_case(wanted);
    let (source, found) = if labelled(no_cloud::LABEL) {
        ("NoCloud disk", no_cloud::read(directory))
    } else if labelled(config_drive::LABEL) {
        ("configuration drive", config_drive::read(directory))
    } else if labelled(open_nebula::LABEL) {
        ("OpenNebula context", open_nebula::read(directory))
    } else {
        ("OVF environment", ovf_environment::read(directory))
    };
    Some(UserData { source: source.to_owned(), found: found? })
}

/// A disk that is mounted for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn new(device: &Path, kind: &str) -> Option<Self> {
        let at = PathBuf::from(AT);
        fs::create_dir_all(&at).ok()?;
        let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        mount(device, &at, kind, flags, c"").ok()?;
        Some(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
