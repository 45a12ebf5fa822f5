//! Channels to the host: ports of virtio's serial device, found by their names.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::GuestError;

/// Where the kernel lists them.
const PORTS: &str = "/sys/class/virtio-ports";
/// How long they may take to appear once their driver is there.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(3);

/// The channels of this machine.
pub(super) struct Channels {
    until: Instant,
}

impl Channels {
    /// They may still be appearing.
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + PATIENCE }
    }

    /// The device of a channel.
    pub(super) fn find(&self, name: &str) -> Result<PathBuf, GuestError> {
        self.wait(name, || {
            let ports = fs::read_dir(PORTS).into_iter().flatten().flatten();
            let found = ports.into_iter().find(|port| {
                fs::read_to_string(port.path().join("name")).is_ok_and(|text| text.trim() == name)
            })?;
            let device = Path::new("/dev").join(found.file_name());
            device.exists().then_some(device)
        })
    }

    /// Opens a channel whose other end is open: before that, it would seem to have ended.
    pub(super) fn open(&self, name: &str) -> Result<File, GuestError> {
        let device = self.find(name)?;
        let file = File::options().read(true).write(true).open(&device);
        let file = file.map_err(GuestError::io("open", &device))?;
        self.wait(name, || is_connected(&file).then_some(()))?;
        Ok(file)
    }

    fn wait<T>(&self, name: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, GuestError> {
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if Instant::now() > self.until {
                return Err(GuestError::NoChannel { name: name.to_owned() });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn is_connected(port: &File) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(port.as_fd(), PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok() && !polled[0].revents().contains(PollFlags::HUP)
}
