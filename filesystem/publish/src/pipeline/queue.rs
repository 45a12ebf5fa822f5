//! What waits for a worker, and how much memory it may hold.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use super::{FileSource, PipelineError, Stamp, Ticket};

/// Files that may wait: each holds its directory open.
const FILES_WAITING: usize = 256;

/// Pieces of a stream that may wait, however small they are.
const PIECES_WAITING: usize = 1024;

/// The two queues, the memory budget and the end of the run, under one lock. It is taken a few times per file.
pub(super) struct Queue {
    state: Mutex<State>,
    /// For workers: something to do, room in the budget, or the end.
    work: Condvar,
    /// For the producer: room for another file, or the end.
    room: Condvar,
    /// For a producer of streamed contents: room in the budget, or the end.
    memory: Condvar,
    budget: u64,
}

struct State {
    files: VecDeque<(Ticket, FileSource)>,
    chunks: VecDeque<ChunkJob>,
    /// Workers that are reading a file and may still add chunks.
    readers: usize,
    /// Bytes reserved by chunks that are read, wait or are compressed.
    reserved: u64,
    closed: bool,
    failure: Option<PipelineError>,
    failed: bool,
}

/// Something for a worker to do.
pub(super) enum Work {
    /// Read a file; ends with [`Queue::reader_done`].
    File(Ticket, FileSource),
    /// Store a chunk; ends with [`Queue::release`].
    Chunk(ChunkJob),
}

/// Content in memory, waiting to be compressed.
pub(super) struct ChunkJob {
    pub(super) ticket: Ticket,
    pub(super) attempt: u32,
    pub(super) path: varve_repository::RepositoryPath,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) part: Part,
    /// How much of the budget to give back.
    pub(super) reserved: u64,
}

/// What a piece of content becomes.
pub(super) enum Part {
    /// A chunk of a file.
    Chunk,
    /// A chunk of so many zeros; the job has no bytes.
    Zeros(usize),
    /// All of a file.
    Whole(Stamp),
}

/// The answer to a wish for memory.
pub(super) enum Reservation {
    Granted,
    /// The budget is used up; compress this meanwhile.
    Help(ChunkJob),
    Failed,
}

impl Queue {
    pub(super) fn new(budget: u64) -> Self {
        Self {
            state: Mutex::new(State {
                files: VecDeque::new(),
                chunks: VecDeque::new(),
                readers: 0,
                reserved: 0,
                closed: false,
                failure: None,
                failed: false,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            memory: Condvar::new(),
            budget,
        }
    }

    /// Adds a file, waiting for room; `false` if the run has failed.
    pub(super) fn submit(&self, ticket: Ticket, source: FileSource) -> bool {
        let mut state = self.state.lock();
        while state.files.len() >= FILES_WAITING && !state.failed {
            self.room.wait(&mut state);
        }
        if state.failed {
            return false;
        }
        state.files.push_back((ticket, source));
        self.work.notify_one();
        true
    }

    /// The next thing to do, `None` at the end.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.failed {
                return None;
            }
            if let Some(chunk) = state.chunks.pop_front() {
                return Some(Work::Chunk(chunk));
            }
            if let Some((ticket, source)) = state.files.pop_front() {
                state.readers += 1;
                // Half empty before the producer is woken, so that it doesn't run for one file at a time.
                if state.files.len() <= FILES_WAITING / 2 {
                    self.room.notify_one();
                }
                return Some(Work::File(ticket, source));
            }
            if state.closed && state.readers == 0 {
                return None;
            }
            self.work.wait(&mut state);
        }
    }

    /// A file given out by [`Self::next`] has been read.
    pub(super) fn reader_done(&self) {
        let mut state = self.state.lock();
        state.readers -= 1;
        if state.readers == 0 {
            self.work.notify_all();
        }
    }

    /// Asks for `bytes` of memory. The caller holds none while it asks.
    pub(super) fn reserve(&self, bytes: u64) -> Reservation {
        let mut state = self.state.lock();
        loop {
            if state.failed {
                return Reservation::Failed;
            }
            if state.reserved == 0 || state.reserved + bytes <= self.budget {
                state.reserved += bytes;
                return Reservation::Granted;
            }
            if let Some(chunk) = state.chunks.pop_front() {
                return Reservation::Help(chunk);
            }
            self.work.wait(&mut state);
        }
    }

    /// Asks for `bytes` of memory as the producer does, who waits until the workers have given enough back; `false` if
    /// the run has failed. The caller holds none while it asks.
    pub(super) fn reserve_waiting(&self, bytes: u64) -> bool {
        let mut state = self.state.lock();
        let full = |state: &State| {
            state.chunks.len() >= PIECES_WAITING
                || (state.reserved > 0 && state.reserved + bytes > self.budget)
        };
        while full(&state) && !state.failed {
            self.memory.wait(&mut state);
        }
        if !state.failed {
            state.reserved += bytes;
        }
        !state.failed
    }

    /// Gives memory back.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.reserved -= bytes;
        // Half empty before the producer is woken, so that it doesn't run for one piece at a time.
        if state.chunks.len() <= PIECES_WAITING / 2 {
            self.memory.notify_one();
        }
        drop(state);
        self.work.notify_all();
    }

    pub(super) fn push_chunk(&self, chunk: ChunkJob) {
        self.state.lock().chunks.push_back(chunk);
        self.work.notify_one();
    }

    /// Ends the run; the first failure is kept.
    pub(super) fn fail(&self, failure: PipelineError) {
        let mut state = self.state.lock();
        state.failed = true;
        state.failure.get_or_insert(failure);
        self.work.notify_all();
        self.room.notify_all();
        self.memory.notify_all();
    }

    /// Ends the run without a failure to report: a worker panics.
    pub(super) fn abandon(&self) {
        self.state.lock().failed = true;
        self.work.notify_all();
        self.room.notify_all();
        self.memory.notify_all();
    }

    pub(super) fn take_failure(&self) -> Option<PipelineError> {
        self.state.lock().failure.take()
    }

    /// No more files will be submitted once the result is dropped.
    pub(super) fn close_on_drop(&self) -> impl Drop {
        struct Closing<'a>(&'a Queue);
        impl Drop for Closing<'_> {
            fn drop(&mut self) {
                self.0.state.lock().closed = true;
                self.0.work.notify_all();
            }
        }
        Closing(self)
    }
}
