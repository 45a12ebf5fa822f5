//! The holder's side: namespaces, connections, the end.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use nix::sched::CloneFlags;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::SocketFlags;

use super::door::Door;
use super::slots::{Mounter, Share, Slots, locked};
use super::{Answer, Join};
use crate::bare::{self, Doubled};
use crate::channel::Channel;
use crate::error::SandboxError;
use crate::limits;
use crate::mounts::{Attributes, Detached};
use crate::namespaces;

/// A holder that nobody speaks to ends after this: who started it was killed.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };
/// Nobody may keep it longer.
const LONGEST_LINGER: u64 = 24 * 3600;

/// Becomes a holder, which this process, with a single thread, is started for. `directory` is where it mounts: an existing
/// directory that nobody else uses.
///
/// # Errors
/// [`SandboxError`] if there can't be one; its clients see that it ends.
pub fn serve(
    door: &Door,
    listener: &OwnedFd,
    directory: &Path,
    mounter: &dyn Mounter,
) -> Result<(), SandboxError> {
    // Fails only if this process leads its group already, which is as good.
    let _ = rustix::process::setsid();
    let user = namespaces::make_own()?;
    let failed = |source| SandboxError::Holder { action: "start", source };
    // All processes behind the mounts are to end with this one.
    match bare::double(CloneFlags::CLONE_NEWPID.bits()).map_err(failed)? {
        Doubled::Parent(_) => return Ok(()),
        Doubled::Child => {}
    }
    bare::forget_children().map_err(failed)?;
    Detached::new("tmpfs", &[("mode", "700"), ("source", "varve")], Attributes::PLAIN)
        .and_then(|memory| memory.show_at(directory))
        .map_err(SandboxError::io("mount memory on", directory))?;
    // What a sandbox shows of the host is to be without this.
    mount_change(directory, MountPropagationFlags::UNBINDABLE)
        .map_err(SandboxError::io("change the mount", directory))?;
    let scaffold = directory.join("scaffold");
    std::fs::create_dir(&scaffold).map_err(SandboxError::io("create", &scaffold))?;
    let open = |name: &str| File::open(format!("/proc/self/ns/{name}")).map_err(failed);
    let namespaces =
        std::iter::once("mnt").chain(user.then_some("user")).map(open).collect::<Result<_, _>>()?;
    let holder = Holder {
        door,
        slots: Slots::new(directory, mounter),
        namespaces,
        scaffold: &scaffold,
        connections: Mutex::new(Some(0)),
    };
    std::thread::scope(|scope| {
        loop {
            let mut polled = [PollFd::new(listener, PollFlags::IN)];
            match rustix::event::poll(&mut polled, Some(&PATIENCE)) {
                Ok(0) if *locked(&holder.connections) == Some(0) => holder.end(),
                Ok(0) | Err(_) => continue,
                Ok(_) => {}
            }
            let Ok(connection) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC) else { continue };
            let own = rustix::process::geteuid().as_raw();
            let is_ours = bare::peer_user(&connection).is_ok_and(|peer| peer == own);
            let mut connections = locked(&holder.connections);
            // Without a number it is about to end: the client tries again.
            if let (true, Some(count)) = (is_ours, connections.as_mut()) {
                *count += 1;
                scope.spawn(|| holder.attend(&Channel::of(connection)));
            }
        }
    })
}

struct Holder<'a> {
    door: &'a Door,
    slots: Slots<'a>,
    /// The mount namespace, and the user namespace if there is one.
    namespaces: Vec<File>,
    scaffold: &'a Path,
    /// How many there are; none once the holder ends.
    connections: Mutex<Option<usize>>,
}

impl Holder<'_> {
    /// Answers a connection, and keeps what it wanted until its end.
    fn attend(&self, channel: &Channel) {
        if let Ok(Some((join, _))) = channel.receive::<Join>() {
            let shares: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    join.wanted.iter().map(|wanted| scope.spawn(|| self.slots.share(wanted))).collect();
                let panicked = |_| Err("the thread that mounts panicked".to_owned());
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
            });
            let failed = join.wanted.iter().zip(&shares).find_map(|(wanted, share)| {
                let message = share.as_ref().err()?.clone();
                Some(Answer::Failed { target: wanted.target.clone(), message })
            });
            match failed {
                Some(failed) => {
                    // A client that is gone needs no answer.
                    let _ = channel.send(&failed, &[]);
                }
                None => self.keep(channel, &shares, join.linger),
            }
        }
        let mut connections = locked(&self.connections);
        match connections.as_mut() {
            Some(1) => {
                *connections = None;
                drop(connections);
                self.end();
            }
            Some(count) => *count -= 1,
            None => {}
        }
    }

    fn keep(&self, channel: &Channel, shares: &[Result<Share<'_, '_>, String>], linger: u64) {
        let trees = shares.iter().flatten().map(|share| share.directory().to_owned()).collect();
        let descriptors: Vec<_> = self.namespaces.iter().map(|namespace| namespace.as_fd()).collect();
        let answer = Answer::Joined { trees, scaffold: self.scaffold.to_owned() };
        if channel.send(&answer, &descriptors).is_ok() {
            let mut groups = vec![];
            while let Ok(Some((group, _))) = channel.receive::<PathBuf>() {
                groups.push(group);
            }
            groups.iter().for_each(|group| limits::remove(group));
            std::thread::sleep(Duration::from_secs(linger.min(LONGEST_LINGER)));
        }
    }

    /// Ends this process, and with it all others of its process namespace and all that is mounted.
    fn end(&self) -> ! {
        match self.door.lock() {
            Ok(_lock) => {
                let _ = std::fs::remove_file(self.door.socket());
                bare::end(0)
            }
            Err(_) => bare::end(1),
        }
    }
}
