//! Threads for what may wait: requests that need the network. The threads that read the kernel's requests never do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

type Job = Box<dyn FnOnce() + Send>;

/// A thread with nothing to do ends after this time.
const IDLE: Duration = Duration::from_secs(10);

/// A pool that grows with its queue and shrinks when idle.
pub(crate) struct Pool {
    sender: Sender<Job>,
    queue: Receiver<Job>,
    counts: Arc<Counts>,
    most: usize,
}

#[derive(Default)]
struct Counts {
    threads: AtomicUsize,
    idle: AtomicUsize,
}

impl Pool {
    /// A pool of at most this many threads, none of them started yet.
    pub(crate) fn new(most: usize) -> Self {
        let (sender, queue) = crossbeam_channel::unbounded();
        Self { sender, queue, counts: Arc::default(), most }
    }

    /// Runs a job on a thread of its own, or when one becomes free.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // Never fails: this pool keeps a receiver.
        let _ = self.sender.send(Box::new(job));
        if self.queue.len() > self.counts.idle.load(Ordering::SeqCst)
            && self.counts.threads.load(Ordering::SeqCst) < self.most
        {
            self.start_thread();
        }
    }

    /// How many jobs wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn start_thread(&self) {
        let (queue, counts) = (self.queue.clone(), Arc::clone(&self.counts));
        counts.threads.fetch_add(1, Ordering::SeqCst);
        let in_thread = Arc::clone(&counts);
        let started = std::thread::Builder::new().name("slow".into()).spawn(move || {
            loop {
                in_thread.idle.fetch_add(1, Ordering::SeqCst);
                let job = queue.recv_timeout(IDLE);
                in_thread.idle.fetch_sub(1, Ordering::SeqCst);
                match job {
                    Ok(job) => job(),
                    Err(_) => break,
                }
            }
            in_thread.threads.fetch_sub(1, Ordering::SeqCst);
            // A job that came between the wait's end and here finds its thread in the next one that comes.
            while let Ok(job) = queue.try_recv() {
                job();
            }
        });
        if started.is_err() {
            counts.threads.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_jobs_do_not_hold_up_others() {
        let pool = Pool::new(8);
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        let (done, finished) = crossbeam_channel::unbounded();
        for _ in 0..7 {
            let wait = wait.clone();
            pool.run(move || {
                let _ = wait.recv();
            });
        }
        for number in 0..100 {
            let done = done.clone();
            pool.run(move || done.send(number).unwrap());
        }
        let mut numbers: Vec<u32> = finished.iter().take(100).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        drop(release);
    }
}
