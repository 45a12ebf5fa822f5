//! What this server tells the kernel on its own account: the notifications that fuser has no words for.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

/// Sent as if it were an error: the number of the notification, with no request to answer.
const NOTIFY_INVALIDATE_INODE: i32 = 2;
const NOTIFY_INVALIDATE_ENTRY: i32 = 3;
const NOTIFY_RESEND: i32 = 7;
const NOTIFY_NEXT_EPOCH: i32 = 8;
/// The entry is asked for again when it is used next, instead of being dropped at once.
const EXPIRE_ONLY: u32 = 1;

/// Writes notifications to the kernel's connection. All of them may be sent at any time, by any thread that answers no
/// request: while the kernel drops pages or entries, it may wait for requests to be answered.
#[derive(Debug)]
pub(crate) struct Notifications(OwnedFd);

impl Notifications {
    pub(crate) fn new(connection: OwnedFd) -> Self {
        Self(connection)
    }

    /// Asks for every request that was read but never answered. Linux 6.9.
    pub(crate) fn resend(&self) -> io::Result<()> {
        self.send(NOTIFY_RESEND, &[])
    }

    /// Makes every entry that the kernel remembers out of date: the next use asks again. Linux 6.16.
    pub(crate) fn next_epoch(&self) -> io::Result<()> {
        self.send(NOTIFY_NEXT_EPOCH, &[])
    }

    /// Drops the attributes, and the remembered listing or pages, of an inode.
    pub(crate) fn invalidate_inode(&self, inode: u64) -> io::Result<()> {
        let mut body = inode.to_ne_bytes().to_vec();
        body.extend(0i64.to_ne_bytes());
        body.extend(0i64.to_ne_bytes());
        forgive_unknown(self.send(NOTIFY_INVALIDATE_INODE, &body))
    }

    /// Makes one entry out of date; `expire` keeps it in use meanwhile (Linux 6.2).
    pub(crate) fn invalidate_entry(&self, directory: u64, name: &[u8], expire: bool) -> io::Result<()> {
        let mut body = directory.to_ne_bytes().to_vec();
        body.extend((name.len() as u32).to_ne_bytes());
        body.extend(if expire { EXPIRE_ONLY } else { 0 }.to_ne_bytes());
        body.extend_from_slice(name);
        body.push(0);
        forgive_unknown(self.send(NOTIFY_INVALIDATE_ENTRY, &body))
    }

    /// `struct fuse_out_header`: length, code, unique 0.
    fn send(&self, code: i32, body: &[u8]) -> io::Result<()> {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&(16 + body.len() as u32).to_ne_bytes());
        header[4..8].copy_from_slice(&code.to_ne_bytes());
        loop {
            match rustix::io::writev(self.0.as_fd(), &[IoSlice::new(&header), IoSlice::new(body)]) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// The kernel does not remember what was to be dropped: that is as good.
fn forgive_unknown(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
