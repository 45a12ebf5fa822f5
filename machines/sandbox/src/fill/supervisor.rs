//! Receives the calls of a sandbox, answers at once what needs no waiting, and has the rest done by threads that may wait.
//!
//! ```text
//!  a call ──▶ receiving thread ── everything is in place ──▶ the kernel goes on
//!                   │
//!                   └── has to be filled ──▶ a worker ── filled ──▶ the kernel goes on
//!                                               └── failed, or late ──▶ errno
//! ```

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use varve_store::Deadline;

use super::answer::Answers;
use super::calls::{Call, watched};
use super::error::FillError;
use super::filter::Listener;
use super::kernel::{self, Answer, Notification};
use super::patience::{Patience, Stop};
use super::pending::PendingCall;
use super::resolve::{Mounted, Resolver};
use super::target::Target;
use super::workers::Workers;

/// How a sandbox is served.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// A call that has no answer by then gets an error.
    pub deadline: Duration,
    /// How many threads receive calls.
    pub receivers: usize,
    /// How many calls may wait for the network at a time; further ones wait for those.
    pub waiting: usize,
}

impl Default for Service {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), receivers: 2, waiting: 32 }
    }
}

/// Serves the calls of one sandbox, until nobody is left in it.
///
/// Once it is gone, calls in the sandbox that take a path fail with ENOSYS.
pub struct Supervisor {
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    listener: OwnedFd,
    calls: HashMap<i64, Call>,
    answers: Answers,
    workers: Arc<Workers>,
    deadline: Duration,
}

impl Supervisor {
    /// Begins to answer the calls that come through a listener.
    ///
    /// # Errors
    /// [`FillError::Watch`] if no thread can be started.
    pub fn start(listener: Listener, mounts: Vec<Mounted>, service: &Service) -> Result<Self, FillError> {
        let listener = listener.into_descriptor();
        kernel::wake_up_synchronously(&listener);
        let shared = Arc::new(Shared {
            listener,
            calls: watched().collect(),
            answers: Answers::new(Resolver::new(mounts)),
            workers: Workers::new(service.waiting.max(1)),
            deadline: service.deadline,
        });
        let mut threads = vec![];
        for _ in 0..service.receivers.max(1) {
            let shared = Arc::clone(&shared);
            let started = std::thread::Builder::new()
                .name("receive".into())
                .spawn(move || receive_all(&shared))
                .map_err(|source| FillError::Watch { action: "start a thread", source })?;
            threads.push(started);
        }
        Ok(Self { threads })
    }

    /// Returns when nobody is left in the sandbox.
    pub fn wait(self) {
        for thread in self.threads {
            // A panic was told by the thread itself; the sandbox then fails with ENOSYS.
            let _ = thread.join();
        }
    }
}

fn receive_all(shared: &Arc<Shared>) {
    loop {
        match kernel::receive(&shared.listener) {
            Ok(notification) => shared.serve(notification),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The caller is gone, or everybody is.
            Err(_) if !has_ended(&shared.listener) => {}
            Err(_) => return,
        }
    }
}

fn has_ended(listener: &OwnedFd) -> bool {
    let mut descriptors = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut descriptors, Some(&now));
    polled.is_err() || descriptors[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

impl Shared {
    fn serve(self: &Arc<Self>, notification: Notification) {
        match self.answer(&notification, Patience::None) {
            Ok(answer) => self.respond(&notification, answer),
            Err(Stop::Failed(error)) => self.fail(&notification, &error),
            Err(Stop::Wait) => {
                let (shared, deadline) = (Arc::clone(self), Deadline::after(self.deadline));
                self.workers.run(move || shared.serve_patiently(&notification, deadline));
            }
        }
    }

    fn serve_patiently(&self, notification: &Notification, deadline: Deadline) {
        if deadline.has_passed() {
            return self.respond(notification, Answer::Fail(libc::ETIMEDOUT));
        }
        match self.answer(notification, Patience::Until(deadline)) {
            Ok(answer) => self.respond(notification, answer),
            Err(Stop::Failed(error)) => self.fail(notification, &error),
            Err(Stop::Wait) => self.respond(notification, Answer::Fail(libc::EIO)),
        }
    }

    fn answer(&self, notification: &Notification, patience: Patience) -> Result<Answer, Stop> {
        let Some(&call) = self.calls.get(&notification.number) else { return Ok(Answer::Continue) };
        let (listener, target) = (&self.listener, Target { notification });
        self.answers.answer(&PendingCall { listener, target, call, patience })
    }

    fn fail(&self, notification: &Notification, error: &FillError) {
        let reason: &dyn std::error::Error = error;
        tracing::warn!(reason, "a file could not be filled");
        self.respond(notification, Answer::Fail(error.errno()));
    }

    fn respond(&self, notification: &Notification, answer: Answer) {
        // Fails if the caller is gone, who then needs no answer.
        let _ = kernel::respond(&self.listener, notification.id, answer);
    }
}
