//! From files to objects: read once, cut, compressed and hashed on all cores within a memory budget, put into the store.
//!
//! The pipeline does not know which files changed or what an entry is: its producer submits files and gets tickets, and
//! at the end exchanges tickets for contents. What is no file, such as a member of an archive, is streamed: the producer
//! reads and cuts it itself and queues its pieces.
//!
//! ```text
//!  producer ──submit──▶ queue of files ──▶ N workers ──small file──▶ compress, hash, put
//!                                             │  ▲
//!                                  large file │  │ chunks first: they hold memory
//!                                             ▼  │
//!                                        queue of chunks  (their bytes count against the budget)
//! ```
//!
//! A worker that reads a large file and finds the budget used up compresses queued chunks itself until there is room, so
//! the pipeline can't stand still: whoever holds memory is either in the queue or being compressed.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use varve_content::{Algorithm, ChunkSizes, Compression, CompressionError, Effort};
use varve_repository::{Chunk, EntryName, FileContent, FileData, Mtime, RepositoryPath};
use varve_store::{ObjectStore, StoreError};

use crate::progress::Progress;

mod file;
mod object;
mod queue;
mod stream;

pub(crate) use object::ObjectWriter;
pub use object::{ObjectError, ObjectTally};
use queue::Queue;
pub(crate) use stream::ContentStream;

/// How contents are turned into objects.
#[derive(Clone, Debug)]
pub(crate) struct PipelineConfig {
    /// The algorithm that names the objects.
    pub(crate) algorithm: Algorithm,
    /// How they are stored.
    pub(crate) compression: Compression,
    /// Which encoder compresses them.
    pub(crate) effort: Effort,
    /// Where large files are cut.
    pub(crate) chunks: ChunkSizes,
    /// How many threads work.
    pub(crate) threads: NonZeroUsize,
    /// How many bytes of chunks may wait in memory; one chunk is always admitted.
    pub(crate) budget: u64,
}

/// Stands for a submitted file until its content is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u32);

/// Size and time of a file: as long as they stay, its content is taken to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) size: u64,
    /// Time of last modification.
    pub(crate) mtime: Mtime,
}

/// A file to be read.
#[derive(Clone, Debug)]
pub(crate) struct FileSource {
    /// The directory that the file is opened in.
    pub(crate) directory: Arc<OwnedFd>,
    /// That directory's path in the repository, for messages.
    pub(crate) path: Arc<RepositoryPath>,
    /// The file's name.
    pub(crate) name: EntryName,
    /// What the file looked like when it was chosen.
    pub(crate) stamp: Stamp,
    /// Fewer blocks are allocated than the size needs: there are holes.
    pub(crate) sparse: bool,
}

impl FileSource {
    fn full_path(&self) -> RepositoryPath {
        self.path.join(&self.name)
    }
}

/// The contents that a run of the pipeline made, by ticket.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    outcomes: Vec<Option<(Stamp, FileContent)>>,
}

impl Contents {
    /// The content of a submitted file and the stamp that it had while it was read; `None` if the file had vanished.
    pub(crate) fn get(&self, ticket: Ticket) -> Option<&(Stamp, FileContent)> {
        self.outcomes.get(ticket.0 as usize)?.as_ref()
    }

    /// How many files had vanished before they were read.
    pub(crate) fn vanished(&self) -> u64 {
        self.outcomes.iter().filter(|outcome| outcome.is_none()).count() as u64
    }
}

/// What the pipeline did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PipelineTally {
    /// Files read.
    pub(crate) files: u64,
    /// Bytes read from them.
    pub(crate) bytes_read: u64,
    /// Objects made.
    pub(crate) objects: ObjectTally,
}

/// Why contents could not be stored. All of them end the publish; objects that were already put do no harm.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// `open` or `read`.
        action: &'static str,
        /// The file, as a path in the repository.
        path: RepositoryPath,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file changed each time while it was read.
    #[error("{path} keeps changing while it is read")]
    Changing {
        /// The file.
        path: RepositoryPath,
    },
    /// What was a regular file has become something else.
    #[error("{path} was replaced by something else while the tree was read")]
    Replaced {
        /// The file.
        path: RepositoryPath,
    },
    /// The store failed.
    #[error("cannot store the content of {path}")]
    Store {
        /// The file.
        path: RepositoryPath,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// The encoder failed.
    #[error("cannot compress the content of {path}")]
    Compression {
        /// The file.
        path: RepositoryPath,
        /// What the encoder said.
        #[source]
        source: CompressionError,
    },
    /// More files than tickets, 2³² − 1.
    #[error("more than {} files in one publish", u32::MAX)]
    TooManyFiles,
}

/// What a worker found out; assembled into [`Contents`] once all workers have ended.
enum Outcome {
    Whole { ticket: Ticket, stamp: Stamp, hash: varve_content::ContentHash },
    Cut { ticket: Ticket, attempt: u32, stamp: Stamp },
    Chunk { ticket: Ticket, attempt: u32, chunk: Chunk },
}

/// The producer's end of a running pipeline.
pub(crate) struct Feeder<'a> {
    queue: &'a Queue,
    chunks: ChunkSizes,
    submitted: u32,
    /// What became of streamed files, apart from their pieces.
    outcomes: Vec<Outcome>,
    tally: PipelineTally,
}

impl Feeder<'_> {
    /// Hands over a file. Blocks while enough others wait.
    ///
    /// # Errors
    /// [`Stopped`] once a worker has failed: the run reports that failure, the producer just ends.
    pub(crate) fn submit(&mut self, source: FileSource) -> Result<Ticket, Stopped> {
        let ticket = self.ticket()?;
        if self.queue.submit(ticket, source) { Ok(ticket) } else { Err(Stopped) }
    }

    fn ticket(&mut self) -> Result<Ticket, Stopped> {
        let ticket = Ticket(self.submitted);
        let Some(next) = self.submitted.checked_add(1) else {
            self.queue.fail(PipelineError::TooManyFiles);
            return Err(Stopped);
        };
        self.submitted = next;
        Ok(ticket)
    }
}

/// The pipeline has ended because a worker failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Runs `produce` beside the workers and returns what it returned, with the contents of everything that it submitted.
///
/// The result of `produce` comes back as it is, also if it is an error of the producer's own.
///
/// # Errors
/// The first [`PipelineError`] of any worker.
pub(crate) fn run<T>(
    config: &PipelineConfig,
    store: &dyn ObjectStore,
    progress: &dyn Progress,
    produce: impl FnOnce(&mut Feeder<'_>) -> T,
) -> Result<(T, Contents, PipelineTally), PipelineError> {
    let queue = Queue::new(config.budget);
    let (produced, fed, finished) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..config.threads.get())
            .map(|_| scope.spawn(|| file::Worker::new(config, store, progress, &queue).run()))
            .collect();
        let mut feeder = Feeder {
            queue: &queue,
            chunks: config.chunks,
            submitted: 0,
            outcomes: Vec::new(),
            tally: PipelineTally::default(),
        };
        // Closed in any case, also if the producer panics: the workers must not wait for it.
        let closing = queue.close_on_drop();
        let produced = produce(&mut feeder);
        drop(closing);
        let fed = (feeder.submitted, feeder.outcomes, feeder.tally);
        let finished: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        (produced, fed, finished)
    });
    let (submitted, mut outcomes, mut tally) = fed;
    for result in finished {
        let (part, counted) = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        outcomes.extend(part);
        tally.files += counted.files;
        tally.bytes_read += counted.bytes_read;
        tally.objects.add(counted.objects);
    }
    match queue.take_failure() {
        Some(failure) => Err(failure),
        None => Ok((produced, assemble(config, submitted, outcomes), tally)),
    }
}

/// Sorts what the workers found by ticket; chunks of attempts that were given up are dropped.
fn assemble(config: &PipelineConfig, submitted: u32, outcomes: Vec<Outcome>) -> Contents {
    let content = |size, data| FileContent {
        size,
        compression: config.compression,
        data,
        external: false,
        direct_io: false,
    };
    let mut contents: Vec<Option<(Stamp, FileContent)>> = vec![None; submitted as usize];
    let mut attempts = std::collections::HashMap::new();
    let mut chunks = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Whole { ticket, stamp, hash } => {
                contents[ticket.0 as usize] = Some((stamp, content(stamp.size, FileData::Whole(hash))));
            }
            Outcome::Cut { ticket, attempt, stamp } => {
                attempts.insert(ticket, attempt);
                let data = FileData::Chunked { algorithm: config.algorithm, chunks: Vec::new(), whole: None };
                contents[ticket.0 as usize] = Some((stamp, content(stamp.size, data)));
            }
            Outcome::Chunk { ticket, attempt, chunk } => chunks.push((ticket, attempt, chunk)),
        }
    }
    chunks.retain(|(ticket, attempt, _)| attempts.get(ticket) == Some(attempt));
    chunks.sort_unstable_by_key(|(ticket, _, chunk)| (ticket.0, chunk.offset));
    for (ticket, _, chunk) in chunks {
        if let Some((_, FileContent { data: FileData::Chunked { chunks, .. }, .. })) =
            &mut contents[ticket.0 as usize]
        {
            chunks.push(chunk);
        }
    }
    Contents { outcomes: contents }
}

#[cfg(test)]
mod tests;
