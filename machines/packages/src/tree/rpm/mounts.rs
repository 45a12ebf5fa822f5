//! What the scripts of packages find mounted below the new root: their own processes, and devices without hardware.

use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::tree::error::TreeError;

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// The mounts; gone when dropped, and in any case with the sandbox.
#[derive(Debug)]
pub(super) struct Mounts {
    points: Vec<PathBuf>,
}

impl Mounts {
    /// Mounts `proc` and the devices below a root.
    pub(super) fn make(root: &Path) -> Result<Self, TreeError> {
        let mut mounts = Self { points: Vec::new() };
        let made = mounts.fill(root);
        made.map_err(TreeError::io("mount what scripts need in", root))?;
        Ok(mounts)
    }

    fn fill(&mut self, root: &Path) -> io::Result<()> {
        let (proc, dev) = (root.join("proc"), root.join("dev"));
        std::fs::create_dir(&proc)?;
        std::fs::create_dir(&dev)?;
        mount("proc", &proc, "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?;
        self.points.push(proc);
        for device in DEVICES {
            let point = dev.join(device);
            std::fs::File::create(&point)?;
            mount_bind(Path::new("/dev").join(device), &point)?;
            self.points.push(point);
        }
        for (name, target) in
            [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
        {
            std::os::unix::fs::symlink(target, dev.join(name))?;
        }
        Ok(())
    }

    /// Unmounts everything.
    pub(super) fn remove(mut self) -> Result<(), TreeError> {
        while let Some(point) = self.points.pop() {
            unmount(&point, UnmountFlags::empty())
                .map_err(|errno| TreeError::io("unmount", &point)(errno.into()))?;
        }
        Ok(())
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for point in self.points.iter().rev() {
            // Nothing else can be done; the sandbox's end unmounts it.
            let _ = unmount(point, UnmountFlags::DETACH);
        }
    }
}
