//! The command's standard streams, between this process' own and the channels to the machine.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// How much is handed on at a time.
const PIECE: usize = 64 << 10;

/// The channels.
pub(super) struct Streams {
    pub(super) input: UnixStream,
    pub(super) output: UnixStream,
    pub(super) errors: UnixStream,
    pub(super) written: Option<UnixStream>,
}

/// How much came through a channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    ended: bool,
}

impl Counted {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.state.1.notify_all();
    }

    /// Waits until so much has come, or no more will.
    pub(super) fn wait_for(&self, bytes: u64) {
        let state = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State| state.bytes < bytes && !state.ended;
        drop(self.state.1.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Hands on what this process is given, until that ends.
pub(super) fn give(mut channel: UnixStream) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        loop {
            match input.read(&mut piece) {
                Ok(length @ 1..) if channel.write_all(&piece[..length]).is_ok() => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        // The other half stays open: QEMU would leave what is on its way.
        let _ = channel.shutdown(Shutdown::Write);
        thread::park();
    });
    Ok(())
}

/// Hands on what comes through a channel to one of this process' descriptors. `closed` is called once that takes no more; what
/// comes afterwards is counted and dropped, for the machine must be able to go on.
pub(super) fn take(
    mut channel: UnixStream,
    to: impl AsFd,
    closed: impl FnOnce() + Send + 'static,
) -> io::Result<Counted> {
    let to: OwnedFd = to.as_fd().try_clone_to_owned()?;
    let counted = Counted::default();
    let counting = counted.clone();
    thread::spawn(move || {
        let mut output = Some(File::from(to));
        let mut closed = Some(closed);
        let mut piece = vec![0; PIECE];
        while let Some(length) = read(&mut channel, &mut piece) {
            if output.as_mut().is_some_and(|output| output.write_all(&piece[..length]).is_err()) {
                output = None;
                if let Some(closed) = closed.take() {
                    closed();
                }
            }
            counting.change(|state| state.bytes += length as u64);
        }
        counting.change(|state| state.ended = true);
    });
    Ok(counted)
}

fn read(channel: &mut impl Read, piece: &mut [u8]) -> Option<usize> {
    loop {
        match channel.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(length @ 1..) => return Some(length),
            _ => return None,
        }
    }
}
