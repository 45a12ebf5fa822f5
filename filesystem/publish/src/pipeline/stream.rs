//! Contents that come in order and once, such as those of an archive's members: the producer reads and cuts them, the
//! workers compress and store. The cuts are those that the same bytes get as a file.

use varve_content::Chunker;
use varve_repository::RepositoryPath;

use super::queue::{ChunkJob, Part};
use super::{Feeder, Outcome, Stamp, Stopped, Ticket};

/// What a queued piece holds beside its bytes.
const OVERHEAD: u64 = 256;

/// Bytes per read; also the most that is copied behind a cut.
const PIECE: usize = 1 << 20;

/// The content of one file, read once from its beginning to its end.
pub(crate) trait ContentStream {
    /// Why it can't be read; also says that the pipeline has stopped.
    type Error: From<Stopped>;

    /// Appends the next bytes, at least one and at most `limit`. Called only while there are more.
    fn read(&mut self, into: &mut Vec<u8>, limit: usize) -> Result<(), Self::Error>;

    /// How many of the next bytes are known to be zeros.
    fn zeros(&self) -> u64;

    /// Passes over some of them.
    fn skip_zeros(&mut self, bytes: u64);
}

impl Feeder<'_> {
    /// Stores a content of `stamp.size` bytes. Waits while enough others wait to be compressed.
    ///
    /// # Errors
    /// Those of the content, and [`Stopped`] once a worker has failed.
    pub(crate) fn stream<C: ContentStream>(
        &mut self,
        path: &RepositoryPath,
        stamp: Stamp,
        content: &mut C,
    ) -> Result<Ticket, C::Error> {
        let ticket = self.ticket()?;
        if stamp.size <= self.chunks.minimum() as u64 {
            let room = self.reserve(stamp.size)?;
            let mut bytes = Vec::with_capacity(stamp.size as usize);
            while (bytes.len() as u64) < stamp.size {
                let limit = stamp.size as usize - bytes.len();
                content.read(&mut bytes, limit)?;
            }
            self.push(ticket, path, 0, bytes, Part::Whole(stamp), room);
        } else {
            self.large(ticket, path, stamp, content)?;
        }
        self.tally.files += 1;
        self.tally.bytes_read += stamp.size;
        Ok(ticket)
    }

    /// A content that may have several chunks. Without a cut it becomes one object as well.
    fn large<C: ContentStream>(
        &mut self,
        ticket: Ticket,
        path: &RepositoryPath,
        stamp: Stamp,
        content: &mut C,
    ) -> Result<(), C::Error> {
        let maximum = self.chunks.maximum();
        let piece = self.chunks.minimum().clamp(64 << 10, PIECE);
        let mut chunker = Chunker::new(self.chunks);
        let mut tail: Vec<u8> = Vec::new();
        let mut offset = 0;
        // One turn per chunk.
        loop {
            // Zeros never make the checksum cut: a chunk of them ends exactly at the maximum, if more of the file follows.
            while tail.len() <= maximum
                && content.zeros() > 0
                && tail.len() as u64 + content.zeros() >= maximum as u64
                && offset + (maximum as u64) < stamp.size
                && tail.iter().all(|&byte| byte == 0)
            {
                content.skip_zeros((maximum - tail.len()) as u64);
                tail.clear();
                let room = self.reserve(0)?;
                self.push(ticket, path, offset, Vec::new(), Part::Zeros(maximum), room);
                offset += maximum as u64;
            }
            let room = self.reserve((stamp.size - offset).min(maximum as u64) + piece as u64)?;
            let mut bytes = Vec::with_capacity(room as usize);
            bytes.append(&mut tail);
            let mut scanned = 0;
            let cut = loop {
                if let Some(cut) = chunker.find_cut(&bytes[scanned..]) {
                    break Some(scanned + cut);
                }
                scanned = bytes.len();
                let left = stamp.size - offset - bytes.len() as u64;
                if left == 0 {
                    break None;
                }
                content.read(&mut bytes, left.min(piece as u64) as usize)?;
            };
            if let Some(cut) = cut {
                tail = bytes.split_off(cut);
            }
            let length = bytes.len() as u64;
            let part = if cut.is_none() && offset == 0 { Part::Whole(stamp) } else { Part::Chunk };
            if cut.is_none() && offset > 0 {
                self.outcomes.push(Outcome::Cut { ticket, attempt: 0, stamp });
            }
            self.push(ticket, path, offset, bytes, part, room);
            if cut.is_none() {
                return Ok(());
            }
            offset += length;
        }
    }

    fn reserve(&self, bytes: u64) -> Result<u64, Stopped> {
        let room = bytes + OVERHEAD;
        if self.queue.reserve_waiting(room) { Ok(room) } else { Err(Stopped) }
    }

    fn push(
        &self,
        ticket: Ticket,
        path: &RepositoryPath,
        offset: u64,
        bytes: Vec<u8>,
        part: Part,
        reserved: u64,
    ) {
        let path = path.clone();
        self.queue.push_chunk(ChunkJob { ticket, attempt: 0, path, offset, bytes, part, reserved });
    }
}
