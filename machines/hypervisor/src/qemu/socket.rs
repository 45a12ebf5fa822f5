//! Sockets in a machine's directory. Their paths may be longer than an address can be, so that they are reached through an
//! open directory.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Connects to the socket at `path`, however long that is.
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    UnixStream::connect(short)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn long_paths_are_reached() {
        let scratch = varve_testkit::Scratch::new();
        let directory = scratch.directory(&"x".repeat(150));
        let _listener = {
            let directory = File::open(&directory).expect("because it was made");
            UnixListener::bind(format!("/proc/self/fd/{}/s", directory.as_raw_fd()))
                .expect("because it is short this way")
        };
        assert!(UnixStream::connect(directory.join("s")).is_err());
        connect(&directory.join("s")).expect("because somebody listens");
    }
}
