//! Threads for calls that have to wait: for the network, or for the disk. As many as needed, up to a limit; the rest queues.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

/// A thread with nothing to do ends after this time.
const IDLE: Duration = Duration::from_secs(5);

/// The threads.
pub(super) struct Workers {
    queue: Mutex<Queue>,
    more: Condvar,
    most: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Workers {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), more: Condvar::new(), most })
    }

    /// Runs a job on a thread of its own, or when one becomes free. A caller has one job at most, so the queue is no longer
    /// than there are threads inside of the sandbox.
    pub(super) fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let mut queue = self.queue.lock();
        queue.jobs.push_back(Box::new(job));
        if queue.jobs.len() > queue.idle && queue.threads < self.most {
            let workers = Arc::clone(self);
            let started = std::thread::Builder::new().name("fill".into()).spawn(move || workers.work());
            queue.threads += usize::from(started.is_ok());
            if started.is_err() && queue.threads == 0 {
                // Without any thread it is done here: slow, but done.
                let job = queue.jobs.pop_back();
                drop(queue);
                if let Some(job) = job {
                    job();
                }
                return;
            }
        }
        self.more.notify_one();
    }

    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = self.queue.lock();
                continue;
            }
            queue.idle += 1;
            let late = self.more.wait_for(&mut queue, IDLE).timed_out();
            queue.idle -= 1;
            if late && queue.jobs.is_empty() {
                queue.threads -= 1;
                return;
            }
        }
    }
}
