//! A run's side: finds or starts the holder, says what it wants, gets the namespaces in which that is mounted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::door::Door;
use super::{Answer, Join, Wanted};
use crate::channel::Channel;
use crate::error::SandboxError;
use crate::launch::{Namespaces, Place};

/// So often a holder may end just when it is asked.
const MOST_ENDINGS: usize = 20;

/// What the holder keeps for this run, as long as this lives.
#[derive(Debug)]
pub struct Joined {
    /// Where the sandbox is to be put together.
    pub place: Place,
    /// Where what was wanted is mounted, in the same order, as seen in that place.
    pub trees: Vec<PathBuf>,
    connection: Channel,
    door: Door,
}

/// Asks the holder behind a door to mount, and starts one with `start` if there is none: it gets a listening socket, and is to
/// call [`super::serve`] with it.
///
/// # Errors
/// [`SandboxError::Mount`] if something can't be mounted, [`SandboxError::Holder`].
pub fn join(
    door: &Door,
    wanted: &[Wanted],
    linger: u64,
    start: impl Fn(OwnedFd) -> io::Result<()>,
) -> Result<Joined, SandboxError> {
    let request = Join { wanted: wanted.to_vec(), linger };
    let mut last = io::Error::from(io::ErrorKind::ConnectionAborted);
    for _ in 0..MOST_ENDINGS {
        let connection =
            door.knock(&start).map_err(|source| SandboxError::Holder { action: "start", source })?;
        let answered = connection.send(&request, &[]).and_then(|()| connection.receive::<Answer>());
        match answered {
            Ok(Some((Answer::Joined { trees, scaffold }, descriptors))) => {
                let mut descriptors = descriptors.into_iter();
                let mounts = descriptors.next().ok_or_else(malformed)?;
                let namespaces = Namespaces { user: descriptors.next(), mounts };
                let place = Place { scaffold, namespaces: Some(namespaces) };
                return Ok(Joined { place, trees, connection, door: door.clone() });
            }
            Ok(Some((Answer::Failed { target, message }, _))) => {
                return Err(SandboxError::Mount { target, message });
            }
            // It ended before it heard of us.
            Ok(None) => {}
            // It ended while it was asked.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                last = error;
            }
            Err(source) => return Err(SandboxError::Holder { action: "ask", source }),
        }
    }
    Err(SandboxError::Holder { action: "ask", source: last })
}

impl Joined {
    /// The place, and what keeps it there: to be dropped when the run is over.
    pub fn into_parts(self) -> (Place, Kept) {
        (self.place, Kept { connection: self.connection, door: self.door })
    }
}

/// A run's hold on what is mounted for it.
#[derive(Debug)]
pub struct Kept {
    connection: Channel,
    door: Door,
}

impl Kept {
    /// Has the holder remove a control group at the end of this run.
    pub(crate) fn remove_at_end(&self, group: &Path) -> Result<(), SandboxError> {
        self.connection
            .send(&group, &[])
            .map_err(|source| SandboxError::Holder { action: "speak to", source })
    }

    /// After the holder has ended: takes its socket away.
    pub(crate) fn clear(&self) {
        self.door.clear();
    }
}

impl AsFd for Kept {
    /// Readable once the holder has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

fn malformed() -> SandboxError {
    let source = io::Error::new(io::ErrorKind::InvalidData, "its answer is malformed");
    SandboxError::Holder { action: "ask", source }
}
