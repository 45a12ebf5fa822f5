//! What a response carries: nothing, bytes in memory, or a part of a file.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::file_body::FileBody;

/// The body of a response. Its length is always known.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    Whole(Bytes),
    File(FileBody),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Bytes that are sent in one piece together with the header.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Whole(bytes) })
    }

    /// Part of a file, read while it is sent.
    pub fn file(file: FileBody) -> Self {
        Self(Kind::File(file))
    }

    /// Bytes still to be sent.
    pub fn remaining(&self) -> u64 {
        match &self.0 {
            Kind::Empty => 0,
            Kind::Whole(bytes) => bytes.len() as u64,
            Kind::File(file) => file.remaining(),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::File(file) => {
                file.poll_piece(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}
