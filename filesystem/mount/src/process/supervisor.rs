//! The supervisor: holds the kernel's connection and the journal, keeps a worker running, unmounts at the end.
//!
//! ```text
//!            Prepared             Ready
//!  Starting ──────────▶ Mounting ───────▶ Serving ──▶ Ended (the directory was unmounted)
//!     ▲                                    │
//!     └──────────── worker gone ───────────┘        too often: unmount, end
//! ```
//!
//! One thread decides, over a queue of events; the others only listen: to the worker, to the caller, to signals.

use std::os::fd::AsFd as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::caller::messages_of;
use super::journal::Journal;
use super::link::{Link, Message};
use super::presence::Presence;
use crate::error::MountError;
use crate::fuse::attach::{self, Attached, Device};
use crate::fuse::session;
use crate::order::MountOrder;

/// So many workers in a row that died young end the mount: what they were asked kills each of them.
const MOST_YOUNG_DEATHS: usize = 10;
/// A worker that served longer did not die young.
const YOUNG: Duration = Duration::from_secs(1);
/// The pause before the next worker, per young death.
const PAUSE: Duration = Duration::from_millis(10);

/// Who waits for the mount to be ready.
pub(crate) enum Caller {
    /// Another process.
    There(Link),
    /// This process.
    Here(Box<dyn FnOnce() + Send>),
    /// Nobody any more.
    Nobody,
}

/// Becomes a supervisor: the program's hidden command. The order comes over the standard input.
///
/// # Errors
/// [`MountError`], after the caller was told.
pub fn supervisor() -> Result<(), MountError> {
    // Fails only if this process leads its group already, which is as good.
    let _ = rustix::process::setsid();
    let link = Link::from_standard_input()?;
    match link.receive()? {
        Some((Message::Launch(order), _)) => launch(*order, Caller::There(link)),
        Some((Message::Adopt(order, device), descriptors)) => {
            let mut descriptors = descriptors.into_iter();
            let (Some(connection), Some(journal)) = (descriptors.next(), descriptors.next()) else {
                return Err(MountError::Malformed { what: "message" });
            };
            let journal = Journal::new(journal)
                .map_err(|source| MountError::Link { action: "take over the journal", source })?;
            tracing::info!(directory = %order.directory.display(), "a new supervisor took over");
            let mut supervisor = Supervisor::new(*order, journal, Caller::Nobody)?;
            supervisor.attached = Some(Attached { connection, device });
            supervisor.presence = descriptors.next().map(Presence::taken_over);
            supervisor.served_since = Some(Instant::now());
            supervisor.listen_to(&link)?;
            supervisor.worker = Some(Worker { link, child: None });
            supervisor.run()
        }
        _ => Err(MountError::Malformed { what: "order" }),
    }
}

/// Mounts what is ordered, and stays until it is unmounted.
pub(crate) fn launch(order: MountOrder, caller: Caller) -> Result<(), MountError> {
    let journal =
        Journal::create().map_err(|source| MountError::Link { action: "make a journal", source })?;
    let mut supervisor = Supervisor::new(order, journal, caller)?;
    supervisor.start_worker()?;
    supervisor.run()
}

enum Event {
    /// From the worker that was started as this one.
    Worker(usize, Message),
    /// That worker is gone.
    WorkerGone(usize),
    CallerGone,
    Signal(i32),
}

/// Who said that the mount is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    Signal,
    /// The worker, which got a signal.
    Worker,
}

struct Worker {
    link: Link,
    /// `None` if another supervisor started it.
    child: Option<Child>,
}

struct Supervisor {
    order: MountOrder,
    journal: Journal,
    caller: Caller,
    /// Whether this process does nothing else, and ends with the mount.
    own_process: bool,
    attached: Option<Attached>,
    /// Of what is attached.
    presence: Option<Presence>,
    worker: Option<Worker>,
    /// Which worker, counted from 1, is the present one.
    started: usize,
    served_since: Option<Instant>,
    young_deaths: usize,
    told: Vec<Teller>,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

impl Supervisor {
    fn new(order: MountOrder, journal: Journal, caller: Caller) -> Result<Self, MountError> {
        let (sender, events) = crossbeam_channel::unbounded();
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
            .map_err(|source| MountError::Link { action: "listen to signals", source })?;
        let to_queue = sender.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if to_queue.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        });
        if let Caller::There(link) = &caller {
            let (link, to_queue) = (link.try_clone()?, sender.clone());
            std::thread::spawn(move || {
                while let Ok(Some(_)) = link.receive() {}
                let _ = to_queue.send(Event::CallerGone);
            });
        }
        Ok(Self {
            own_process: !matches!(caller, Caller::Here(_)),
            order,
            journal,
            caller,
            attached: None,
            presence: None,
            worker: None,
            started: 0,
            served_since: None,
            young_deaths: 0,
            told: Vec::new(),
            sender,
            events,
        })
    }

    fn run(mut self) -> Result<(), MountError> {
        let result = self.decide();
        if let Err(error) = &result {
            tracing::error!(directory = %self.order.directory.display(), error = crate::error::chain(error), "the mount ends");
            if let Some(Attached { device, .. }) = self.attached {
                let _ = attach::detach(&self.order.directory, device);
            }
            if let Caller::There(link) = &self.caller {
                let _ = link.send(&Message::Failed { message: crate::error::chain(error) }, &[]);
            }
            self.end_worker();
        }
        if let Some(presence) = self.presence.take()
            && self.own_process
        {
            presence.hold_to_the_end();
        }
        result
    }

    fn decide(&mut self) -> Result<(), MountError> {
        while let Ok(event) = self.events.recv() {
            match event {
                Event::Worker(number, message) if number == self.started => match message {
                    Message::Prepared => self.serve()?,
                    Message::Ready => self.ready(),
                    Message::Failed { message } => return Err(MountError::Worker { message }),
                    Message::Detach => {
                        if self.told_to_end(Teller::Worker)? {
                            return Ok(());
                        }
                    }
                    Message::Ended => {
                        self.end_worker();
                        return Ok(());
                    }
                    _ => return Err(MountError::Malformed { what: "message" }),
                },
                Event::WorkerGone(number) if number == self.started => self.replace_worker()?,
                Event::Worker(..) | Event::WorkerGone(_) => {}
                Event::CallerGone => {
                    if matches!(self.caller, Caller::There(_)) {
                        tracing::info!("the caller left before the mount was ready");
                        return Err(MountError::Vanished { directory: self.order.directory.clone() });
                    }
                }
                Event::Signal(signal) => {
                    tracing::info!(signal, "told to end");
                    if self.told_to_end(Teller::Signal)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn start_worker(&mut self) -> Result<(), MountError> {
        self.started += 1;
        let (link, theirs) = Link::pair()?;
        let foreground = matches!(self.caller, Caller::Here(_)) && self.order.log.is_none();
        let messages = if foreground { Stdio::inherit() } else { messages_of(&self.order)? };
        let child = self
            .order
            .relaunch
            .command(&self.order.relaunch.worker, theirs)
            .stderr(messages)
            .spawn()
            .map_err(MountError::io("start", &self.order.relaunch.program))?;
        // A worker that is dead already shows as the end of the link.
        let _ = link.send(&Message::Begin(Box::new(self.order.clone())), &[self.journal.as_fd()]);
        self.listen_to(&link)?;
        self.worker = Some(Worker { link, child: Some(child) });
        Ok(())
    }

    fn listen_to(&self, link: &Link) -> Result<(), MountError> {
        let (link, to_queue, number) = (link.try_clone()?, self.sender.clone(), self.started);
        std::thread::spawn(move || {
            while let Ok(Some((message, _))) = link.receive() {
                if to_queue.send(Event::Worker(number, message)).is_err() {
                    return;
                }
            }
            let _ = to_queue.send(Event::WorkerGone(number));
        });
        Ok(())
    }

    /// The worker has what it needs: mounts, or gives it the connection of its predecessor.
    fn serve(&mut self) -> Result<(), MountError> {
        let restarted = self.attached.is_some();
        if self.attached.is_none() {
            let attached = attach::attach(&self.order)?;
            let declared = Presence::declare(&self.order.directory, attached.device);
            if let Err(error) = &declared {
                tracing::debug!(%error, "an unmount will not wait for this process");
            }
            self.presence = declared.ok();
            self.attached = Some(attached);
        }
        if let (Some(attached), Some(worker)) = (&self.attached, &self.worker) {
            let message = Message::Serve { device: attached.device, restarted };
            let presence = self.presence.as_ref().map(Presence::as_fd);
            let descriptors: Vec<_> = std::iter::once(attached.connection.as_fd()).chain(presence).collect();
            let _ = worker.link.send(&message, &descriptors);
        }
        Ok(())
    }

    fn ready(&mut self) {
        self.served_since = Some(Instant::now());
        if let Some(attached) = &self.attached {
            attach::widen_readahead(attached.device);
        }
        match std::mem::replace(&mut self.caller, Caller::Nobody) {
            Caller::There(link) => {
                let _ = link.send(&Message::Ready, &[]);
            }
            Caller::Here(ready) => ready(),
            Caller::Nobody => tracing::info!("the new worker serves"),
        }
    }

    fn replace_worker(&mut self) -> Result<(), MountError> {
        let status =
            self.worker.take().and_then(|worker| worker.child).and_then(|mut child| child.wait().ok());
        let Some(device) = self.attached.as_ref().map(|attached| attached.device) else {
            return Err(MountError::Vanished { directory: self.order.directory.clone() });
        };
        tracing::warn!(
            status = status.map(|status| status.to_string()),
            "the worker is gone, starting another"
        );
        match self.served_since.take() {
            Some(since) if since.elapsed() >= YOUNG => self.young_deaths = 0,
            _ => self.young_deaths += 1,
        }
        if self.young_deaths >= MOST_YOUNG_DEATHS {
            let directory = self.order.directory.clone();
            return Err(MountError::CrashLoop { directory, count: self.young_deaths });
        }
        std::thread::sleep(PAUSE * (self.young_deaths as u32).saturating_sub(1).pow(2));
        if !self.can_resend() {
            self.attach_anew(device)?;
        }
        self.start_worker()
    }

    fn can_resend(&self) -> bool {
        !self.order.without_resend
            && !matches!(session::kernel_of(&self.journal), Ok(Some(kernel)) if !kernel.resends)
    }

    /// Without resending, requests in flight would wait for ever: they are ended with the connection.
    fn attach_anew(&mut self, device: Device) -> Result<(), MountError> {
        attach::detach(&self.order.directory, device)?;
        self.attached = None;
        self.presence = None;
        self.journal
            .forget_connection()
            .map_err(|source| MountError::Link { action: "write the journal", source })
    }

    /// Unmounts; told so again in the same way, gives up files that are still open. Returns whether the mount is over. A
    /// signal that reaches both processes at a time, as from a terminal, counts once.
    fn told_to_end(&mut self, by: Teller) -> Result<bool, MountError> {
        if self.told.contains(&by) {
            tracing::info!("told twice to end: open files are given up");
            self.end_worker();
            return Ok(true);
        }
        self.told.push(by);
        let Some(attached) = &self.attached else {
            return Err(MountError::Vanished { directory: self.order.directory.clone() });
        };
        attach::detach(&self.order.directory, attached.device)?;
        Ok(false)
    }

    fn end_worker(&mut self) {
        if let Some(Worker { link, child }) = self.worker.take() {
            // Ours is killed below; one that another supervisor started knows by this that nobody is to come after us.
            let _ = link.send(&Message::Leave, &[]);
            drop(link);
            if let Some(mut child) = child {
                if !self.has_ended(&mut child) {
                    let _ = child.kill();
                }
                let _ = child.wait();
            }
        }
    }

    /// Gives a worker that said its last word a moment to leave by itself.
    fn has_ended(&self, child: &mut Child) -> bool {
        (0..100).any(|_| match child.try_wait() {
            Ok(None) => {
                std::thread::sleep(Duration::from_millis(2));
                false
            }
            _ => true,
        })
    }
}
