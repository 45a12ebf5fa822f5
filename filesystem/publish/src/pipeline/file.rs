//! One worker: reads files, cuts large ones, stores whole files and chunks.

use std::io;

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use varve_content::{Chunker, ObjectKind};
use varve_repository::{Chunk, Mtime};
use varve_store::ObjectStore;

use super::object::{ObjectError, ObjectWriter};
use super::queue::{ChunkJob, Part, Queue, Reservation, Work};
use super::{FileSource, Outcome, PipelineConfig, PipelineError, PipelineTally, Stamp, Ticket};
use crate::progress::Progress;

/// How often a file that changes while it is read is read.
const ATTEMPTS: u32 = 3;

/// Bytes per read of a large file; also the most that is copied behind a cut.
const PIECE: usize = 1 << 20;

pub(super) struct Worker<'a> {
    config: &'a PipelineConfig,
    progress: &'a dyn Progress,
    queue: &'a Queue,
    objects: ObjectWriter<'a>,
    buffer: Vec<u8>,
    outcomes: Vec<Outcome>,
    tally: PipelineTally,
}

/// How an attempt to read a file ended.
enum Reading {
    Done,
    /// Read it again: it looks like this now.
    Changed(Stamp),
    /// Someone else failed.
    Stopped,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        config: &'a PipelineConfig,
        store: &'a dyn ObjectStore,
        progress: &'a dyn Progress,
        queue: &'a Queue,
    ) -> Self {
        let objects = ObjectWriter::new(store, config.algorithm, config.compression, config.effort);
        let tally = PipelineTally::default();
        Self { config, progress, queue, objects, buffer: Vec::new(), outcomes: Vec::new(), tally }
    }

    /// Works until there is nothing left or something failed.
    pub(super) fn run(mut self) -> (Vec<Outcome>, PipelineTally) {
        let guard = AbandonOnPanic(self.queue);
        while let Some(work) = self.queue.next() {
            let result = match work {
                Work::Chunk(job) => self.store_chunk(&job),
                Work::File(ticket, source) => {
                    let result = self.file(ticket, &source);
                    self.queue.reader_done();
                    result
                }
            };
            if let Err(failure) = result {
                self.queue.fail(failure);
            }
        }
        drop(guard);
        self.tally.objects = self.objects.tally;
        (self.outcomes, self.tally)
    }

    fn file(&mut self, ticket: Ticket, source: &FileSource) -> Result<(), PipelineError> {
        let mut stamp = source.stamp;
        for attempt in 0..ATTEMPTS {
            let flags =
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
            let fd =
                match rustix::fs::openat(&*source.directory, source.name.as_bytes(), flags, Mode::empty()) {
                    Ok(fd) => fd,
                    Err(Errno::NOENT) => return Ok(()),
                    Err(Errno::LOOP | Errno::NXIO) => {
                        return Err(PipelineError::Replaced { path: source.full_path() });
                    }
                    Err(errno) => return Err(failed("open", source, errno)),
                };
            let reading = if stamp.size <= self.config.chunks.minimum() as u64 {
                self.small(ticket, source, &fd, stamp)?
            } else {
                self.large(ticket, source, &fd, stamp, attempt)?
            };
            match reading {
                Reading::Done => {
                    self.tally.files += 1;
                    self.progress.stored(&source.path, &source.name, stamp.size);
                    return Ok(());
                }
                Reading::Stopped => return Ok(()),
                Reading::Changed(now) => stamp = now,
            }
        }
        Err(PipelineError::Changing { path: source.full_path() })
    }

    /// A file of at most the smallest chunk's size: one object.
    fn small(
        &mut self,
        ticket: Ticket,
        source: &FileSource,
        fd: &rustix::fd::OwnedFd,
        stamp: Stamp,
    ) -> Result<Reading, PipelineError> {
        self.buffer.clear();
        // One byte more than expected, so that growth shows.
        self.buffer.reserve(stamp.size as usize + 1);
        while (self.buffer.len() as u64) <= stamp.size {
            let read = read_more(fd, &mut self.buffer).map_err(|errno| failed("read", source, errno))?;
            if read == 0 || self.buffer.len() as u64 == stamp.size {
                break;
            }
        }
        self.tally.bytes_read += self.buffer.len() as u64;
        let now = stat(fd, source)?;
        if now != stamp || self.buffer.len() as u64 != stamp.size {
            return Ok(Reading::Changed(now));
        }
        let hash = self
            .objects
            .write(ObjectKind::File, &self.buffer)
            .map_err(|error| object_failed(error, source.full_path()))?;
        self.outcomes.push(Outcome::Whole { ticket, stamp, hash });
        Ok(Reading::Done)
    }

    /// A file that may have several chunks. Without a cut it becomes one object as well.
    fn large(
        &mut self,
        ticket: Ticket,
        source: &FileSource,
        fd: &rustix::fd::OwnedFd,
        stamp: Stamp,
        attempt: u32,
    ) -> Result<Reading, PipelineError> {
        let maximum = self.config.chunks.maximum();
        let piece = self.config.chunks.minimum().clamp(64 << 10, PIECE);
        let mut chunker = Chunker::new(self.config.chunks);
        let mut tail = Vec::new();
        let mut offset = 0;
        let mut pieces = 0u32;
        // One turn per chunk.
        loop {
            if source.sparse {
                let behind = self.skip_hole(ticket, source, fd, stamp, attempt, offset)?;
                if behind != offset {
                    tail.clear();
                    pieces += 1;
                }
                offset = behind;
                let position = SeekFrom::Start(offset + tail.len() as u64);
                rustix::fs::seek(fd, position).map_err(|errno| failed("read", source, errno))?;
            }
            let room = stamp.size.saturating_sub(offset).min(maximum as u64) + PIECE as u64;
            if !self.reserve(room)? {
                return Ok(Reading::Stopped);
            }
            let mut bytes = Vec::with_capacity(room as usize);
            bytes.append(&mut tail);
            let mut scanned = 0;
            let cut = loop {
                if let Some(cut) = chunker.find_cut(&bytes[scanned..]) {
                    break Some(scanned + cut);
                }
                scanned = bytes.len();
                let read = match read_piece(fd, &mut bytes, piece) {
                    Ok(read) => read,
                    Err(errno) => {
                        self.queue.release(room);
                        return Err(failed("read", source, errno));
                    }
                };
                self.tally.bytes_read += read as u64;
                if read == 0 || offset + bytes.len() as u64 > stamp.size {
                    break None;
                }
            };
            if let Some(cut) = cut {
                tail = bytes.split_off(cut);
            }
            let length = bytes.len() as u64;
            if cut.is_none() {
                let now = stat(fd, source).inspect_err(|_| self.queue.release(room))?;
                if now != stamp || offset + length != stamp.size {
                    self.queue.release(room);
                    return Ok(Reading::Changed(now));
                }
                if pieces == 0 {
                    let hash = self.objects.write(ObjectKind::File, &bytes);
                    self.queue.release(room);
                    let hash = hash.map_err(|error| object_failed(error, source.full_path()))?;
                    self.outcomes.push(Outcome::Whole { ticket, stamp, hash });
                    return Ok(Reading::Done);
                }
                self.outcomes.push(Outcome::Cut { ticket, attempt, stamp });
            }
            let path = source.full_path();
            let part = Part::Chunk;
            self.queue.push_chunk(ChunkJob { ticket, attempt, path, offset, bytes, part, reserved: room });
            if cut.is_none() {
                return Ok(Reading::Done);
            }
            pieces += 1;
            offset += length;
        }
    }

    /// Chunks of the largest size that lie wholly in a hole, from the start of a chunk at `offset`: they are not read.
    ///
    /// Zeros never make the checksum cut, so such a chunk ends exactly at the maximum, if more of the file follows.
    fn skip_hole(
        &mut self,
        ticket: Ticket,
        source: &FileSource,
        fd: &rustix::fd::OwnedFd,
        stamp: Stamp,
        attempt: u32,
        mut offset: u64,
    ) -> Result<u64, PipelineError> {
        let maximum = self.config.chunks.maximum();
        let data = match rustix::fs::seek(fd, SeekFrom::Data(offset)) {
            Ok(data) => data,
            Err(Errno::NXIO) => stamp.size,
            // Not every file system knows holes.
            Err(_) => offset,
        };
        while offset + maximum as u64 <= data && offset + (maximum as u64) < stamp.size {
            let hash = self
                .objects
                .write_zeros(maximum)
                .map_err(|error| object_failed(error, source.full_path()))?;
            let chunk = Chunk { offset, size: maximum as u64, hash };
            self.outcomes.push(Outcome::Chunk { ticket, attempt, chunk });
            offset += maximum as u64;
        }
        Ok(offset)
    }

    fn store_chunk(&mut self, job: &ChunkJob) -> Result<(), PipelineError> {
        let (result, size) = match job.part {
            Part::Chunk => (self.objects.write(ObjectKind::Chunk, &job.bytes), job.bytes.len()),
            Part::Whole(_) => (self.objects.write(ObjectKind::File, &job.bytes), job.bytes.len()),
            Part::Zeros(length) => (self.objects.write_zeros(length), length),
        };
        self.queue.release(job.reserved);
        let hash = result.map_err(|error| object_failed(error, job.path.clone()))?;
        let &ChunkJob { ticket, attempt, offset, .. } = job;
        self.outcomes.push(match job.part {
            Part::Whole(stamp) => Outcome::Whole { ticket, stamp, hash },
            Part::Chunk | Part::Zeros(_) => {
                Outcome::Chunk { ticket, attempt, chunk: Chunk { offset, size: size as u64, hash } }
            }
        });
        Ok(())
    }

    /// Waits for memory, compressing other chunks meanwhile; `false` if someone else failed.
    fn reserve(&mut self, bytes: u64) -> Result<bool, PipelineError> {
        loop {
            match self.queue.reserve(bytes) {
                Reservation::Granted => return Ok(true),
                Reservation::Help(job) => self.store_chunk(&job)?,
                Reservation::Failed => return Ok(false),
            }
        }
    }
}

/// Lets the other workers and the producer end if this one panics; the panic itself is passed on when it is joined.
struct AbandonOnPanic<'a>(&'a Queue);

impl Drop for AbandonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}

/// Appends up to the buffer's capacity; 0 at the end of the file.
fn read_more(fd: &rustix::fd::OwnedFd, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    loop {
        match rustix::io::read(fd, spare_capacity(buffer)) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Appends at most `piece` bytes; 0 at the end of the file.
fn read_piece(fd: &rustix::fd::OwnedFd, buffer: &mut Vec<u8>, piece: usize) -> Result<usize, Errno> {
    let start = buffer.len();
    buffer.resize(start + piece, 0);
    let result = loop {
        match rustix::io::read(fd, &mut buffer[start..]) {
            Err(Errno::INTR) => {}
            result => break result,
        }
    };
    buffer.truncate(start + *result.as_ref().unwrap_or(&0));
    result
}

fn stat(fd: &rustix::fd::OwnedFd, source: &FileSource) -> Result<Stamp, PipelineError> {
    let stat = rustix::fs::fstat(fd).map_err(|errno| failed("read", source, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(PipelineError::Replaced { path: source.full_path() });
    }
    Ok(Stamp::of(&stat))
}

impl Stamp {
    pub(crate) fn of(stat: &rustix::fs::Stat) -> Self {
        let mtime = Mtime { seconds: stat.st_mtime, nanoseconds: Some(stat.st_mtime_nsec as u32) };
        Self { size: stat.st_size as u64, mtime }
    }
}

fn failed(action: &'static str, source: &FileSource, errno: Errno) -> PipelineError {
    PipelineError::Io { action, path: source.full_path(), source: io::Error::from(errno) }
}

fn object_failed(error: ObjectError, path: varve_repository::RepositoryPath) -> PipelineError {
    match error {
        ObjectError::Store(source) => PipelineError::Store { path, source },
        ObjectError::Compression(source) => PipelineError::Compression { path, source },
    }
}
