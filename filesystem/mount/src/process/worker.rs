//! The worker: prepares what is to be served, takes the kernel's connection, answers until the directory is unmounted.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::caller::messages_of;
use super::journal::Journal;
use super::link::{Link, Message};
use super::presence::Presence;
use crate::error::{MountError, chain};
use crate::fuse::attach::{self, Device};
use crate::fuse::notify::Notifications;
use crate::fuse::session::{self, Kernel, Served};
use crate::order::MountOrder;

/// So many supervisors within so much time, then the worker goes on without.
const MOST_SUPERVISORS: usize = 5;
const SUPERVISORS_WITHIN: Duration = Duration::from_secs(60);

/// What is about to be served.
pub(crate) struct Prepared<F> {
    /// Answers the kernel.
    pub(crate) filesystem: F,
    /// How many threads read requests.
    pub(crate) threads: usize,
    /// Called once the kernel's connection is taken.
    pub(crate) begun: Box<dyn FnOnce(Kernel, Notifications)>,
}

/// Becomes a worker. `prepare` makes the file system; it may use the network, for nothing is mounted yet, or the kernel
/// keeps the requests.
pub(crate) fn work<F: Served>(
    prepare: impl FnOnce(&MountOrder, Arc<Journal>) -> Result<Prepared<F>, MountError>,
) -> Result<(), MountError> {
    let link = Link::from_standard_input()?;
    let Some((Message::Begin(order), mut descriptors)) = link.receive()? else {
        return Err(MountError::Malformed { what: "order" });
    };
    let journal = descriptors.pop().ok_or(MountError::Malformed { what: "order" })?;
    let journal = Journal::new(journal)
        .map_err(|source| MountError::Link { action: "take over the journal", source })?;
    let journal = Arc::new(journal);
    let result =
        prepare(&order, Arc::clone(&journal)).and_then(|prepared| serve(*order, prepared, &journal, &link));
    if let Err(error) = &result {
        let _ = link.send(&Message::Failed { message: chain(error) }, &[]);
    }
    result
}

fn serve<F: Served>(
    order: MountOrder,
    prepared: Prepared<F>,
    journal: &Arc<Journal>,
    link: &Link,
) -> Result<(), MountError> {
    link.send(&Message::Prepared, &[])?;
    let Some((Message::Serve { device, restarted }, descriptors)) = link.receive()? else {
        return Err(MountError::Malformed { what: "message" });
    };
    let mut descriptors = descriptors.into_iter();
    let connection = descriptors.next().ok_or(MountError::Malformed { what: "message" })?;
    let notifications = Notifications::new(attach::copy(&connection)?);
    let guardian = Arc::new(Guardian {
        connection: attach::copy(&connection)?,
        link: Mutex::new(Some(link.try_clone()?)),
        order,
        device,
        journal: Arc::clone(journal),
        presence: descriptors.next().map(Presence::taken_over),
    });
    let order = &guardian.order;
    let (session, kernel) =
        session::begin(prepared.filesystem, &connection, journal, restarted, order.access, prepared.threads)?;
    (prepared.begun)(kernel, notifications);
    guardian.listen_to_signals()?;
    link.send(&Message::Ready, &[])?;
    let watching = Arc::clone(&guardian);
    std::thread::spawn(move || watching.watch_supervisor());
    let result = session.run();
    if let Some(link) = guardian.link.lock().as_ref() {
        let _ = link.send(&Message::Ended, &[]);
    }
    result.map_err(|source| MountError::Link { action: "talk to the kernel", source })
}

/// Keeps a supervisor running, as the supervisor keeps a worker running.
struct Guardian {
    order: MountOrder,
    device: Device,
    connection: OwnedFd,
    journal: Arc<Journal>,
    /// Held until this process ends.
    presence: Option<Presence>,
    /// To the supervisor; `None` while there is none.
    link: Mutex<Option<Link>>,
}

impl Guardian {
    fn watch_supervisor(&self) {
        let mut started = VecDeque::new();
        loop {
            let link = self.link.lock().as_ref().and_then(|link| link.try_clone().ok());
            if let Some(link) = link {
                while let Ok(Some((message, _))) = link.receive() {
                    if matches!(message, Message::Leave) {
                        std::process::exit(0);
                    }
                }
            }
            *self.link.lock() = None;
            let now = Instant::now();
            while started.front().is_some_and(|&at| now.duration_since(at) > SUPERVISORS_WITHIN) {
                started.pop_front();
            }
            started.push_back(now);
            if started.len() > MOST_SUPERVISORS {
                tracing::error!("supervisors end again and again: the mount goes on without");
                return;
            }
            tracing::warn!("the supervisor is gone, starting another");
            match self.start_supervisor() {
                Ok(link) => *self.link.lock() = Some(link),
                Err(error) => {
                    tracing::error!(error = chain(&error), "the mount goes on without a supervisor");
                    return;
                }
            }
        }
    }

    fn start_supervisor(&self) -> Result<Link, MountError> {
        let (link, theirs) = Link::pair()?;
        let mut child = self
            .order
            .relaunch
            .command(&self.order.relaunch.supervisor, theirs)
            .stderr(messages_of(&self.order)?)
            .spawn()
            .map_err(MountError::io("start", &self.order.relaunch.program))?;
        std::thread::spawn(move || child.wait());
        let message = Message::Adopt(Box::new(self.order.clone()), self.device);
        let presence = self.presence.as_ref().map(Presence::as_fd);
        let descriptors: Vec<_> =
            [self.connection.as_fd(), self.journal.as_fd()].into_iter().chain(presence).collect();
        link.send(&message, &descriptors)?;
        Ok(link)
    }

    fn listen_to_signals(self: &Arc<Self>) -> Result<(), MountError> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
            .map_err(|source| MountError::Link { action: "listen to signals", source })?;
        let guardian = Arc::clone(self);
        std::thread::spawn(move || {
            for signal in signals.forever() {
                tracing::info!(signal, "told to end: unmounting");
                let told = guardian
                    .link
                    .lock()
                    .as_ref()
                    .is_some_and(|link| link.send(&Message::Detach, &[]).is_ok());
                if !told && let Err(error) = attach::detach(&guardian.order.directory, guardian.device) {
                    tracing::error!(error = chain(&error), "cannot unmount");
                }
            }
        });
        Ok(())
    }
}
