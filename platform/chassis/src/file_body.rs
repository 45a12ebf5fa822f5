//! A part of a file on its way to a client: pieces that the page cache holds are taken at once, others are read by a
//! thread that may wait for the disk. The threads that answer requests never do.

use std::fs::File;
use std::future::Future as _;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::JoinHandle;

/// The most that is read at once: large enough that the calls don't matter, small enough for many clients.
const PIECE: u64 = 256 * 1024;

/// A range of an open file. Exactly so many bytes are sent; a file that turns out shorter breaks the transfer off.
#[derive(Debug)]
pub struct FileBody {
    file: Arc<File>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    /// The bytes of `range`, which the caller made from the file's size.
    pub fn new(file: File, range: Range<u64>) -> Self {
        Self { file: Arc::new(file), next: range.start, end: range.end.max(range.start), reading: None }
    }

    /// The bytes of `range` if the page cache holds all of them: without waiting, in one piece.
    pub fn if_cached(file: &File, range: Range<u64>) -> Option<Bytes> {
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let bytes = read_cached(file, range.start, length).ok()?;
        (bytes.len() == length).then_some(bytes)
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.next
    }

    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.next == self.end {
            return Poll::Ready(None);
        }
        let piece = match &mut self.reading {
            Some(reading) => {
                let piece = ready!(Pin::new(reading).poll(context));
                self.reading = None;
                piece.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            None => {
                let length = PIECE.min(self.remaining()) as usize;
                match read_cached(&self.file, self.next, length) {
                    Ok(piece) => Ok(piece),
                    Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                        let (file, offset) = (Arc::clone(&self.file), self.next);
                        self.reading =
                            Some(tokio::task::spawn_blocking(move || read_waiting(&file, offset, length)));
                        return self.poll_piece(context);
                    }
                    Err(errno) => Err(errno.into()),
                }
            }
        };
        match piece {
            Ok(piece) if piece.is_empty() => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Ok(piece) => {
                self.next += piece.len() as u64;
                Poll::Ready(Some(Ok(piece)))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

/// What the page cache holds of these bytes, from their begin; `EAGAIN` if that is nothing.
fn read_cached(file: &File, offset: u64, length: usize) -> Result<Bytes, Errno> {
    let mut buffer = vec![0; length];
    let flags = ReadWriteFlags::NOWAIT;
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut buffer)], offset, flags)?;
    buffer.truncate(read);
    Ok(buffer.into())
}

fn read_waiting(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    loop {
        match file.read_at(&mut buffer, offset) {
            Ok(read) => {
                buffer.truncate(read);
                return Ok(buffer.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn collect(mut body: FileBody) -> io::Result<Vec<u8>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async move {
            let mut all = Vec::new();
            while let Some(piece) = std::future::poll_fn(|context| body.poll_piece(context)).await {
                all.extend_from_slice(&piece?);
            }
            Ok(all)
        })
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn ranges_arrive_whole() {
        let bytes: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
        for range in [0..700_001, 5..6, 262_144..524_288, 700_000..700_001, 9..9] {
            let expected = &bytes[range.start as usize..range.end as usize];
            assert_eq!(collect(FileBody::new(file(&bytes), range.clone())).expect("read"), expected);
            if let Some(cached) = FileBody::if_cached(&file(&bytes), range) {
                assert_eq!(cached, expected);
            }
        }
    }

    #[test]
    fn a_file_that_became_shorter_breaks_off() {
        let error = collect(FileBody::new(file(b"short"), 0..100)).expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
