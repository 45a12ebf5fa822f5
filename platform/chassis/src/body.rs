//! What a response carries: nothing, bytes in memory, a part of a file, pieces that come by and by, from this server or from
//! another, or what a router's response has.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::{mpsc, watch};

use crate::file_body::FileBody;
use crate::pieces::{PieceSender, Pieces};
use crate::shutdown::Phase;

/// The body of a response. Its length is known, unless it comes in pieces.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    Whole(Bytes),
    File(FileBody),
    Pieces(Pieces),
    Stream(UnsyncBoxBody<Bytes, io::Error>),
    Relayed { left: u64, pieces: mpsc::Receiver<io::Result<Bytes>> },
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

    /// Pieces that are sent when the sender gets them, until it is dropped or the server drains. At most `waiting` of them
    /// wait for a slow client.
    pub fn pieces(waiting: usize) -> (PieceSender, Self) {
        let (sender, pieces) = Pieces::new(waiting);
        (sender, Self(Kind::Pieces(pieces)))
    }

    /// What another body has, as that gives it.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        Self(Kind::Stream(body.map_err(io::Error::other).boxed_unsync()))
    }

    /// Tells a body that would never end by itself when the server drains.
    pub(crate) fn end_with(&mut self, shutdown: &watch::Receiver<Phase>) {
        if let Kind::Pieces(pieces) = &mut self.0 {
            pieces.end_with(shutdown.clone());
        }
    }

    /// Pieces of `length` bytes together, sent as they arrive. If fewer or more arrive, or an error does, the transfer breaks
    /// off, which the client sees.
    pub fn relayed(length: u64, pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self(if length == 0 { Kind::Empty } else { Kind::Relayed { left: length, pieces } })
    }

    /// Bytes still to be sent, as far as that is known.
    pub fn remaining(&self) -> u64 {
        match &self.0 {
            Kind::Empty | Kind::Pieces(_) => 0,
            Kind::Stream(body) => http_body::Body::size_hint(body).lower(),
            Kind::Whole(bytes) => bytes.len() as u64,
            Kind::File(file) => file.remaining(),
            Kind::Relayed { left, .. } => *left,
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
            Kind::Pieces(pieces) => {
                pieces.poll_piece(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
            Kind::Stream(body) => Pin::new(body).poll_frame(context),
            Kind::Relayed { left: 0, .. } => Poll::Ready(None),
            Kind::Relayed { left, pieces } => pieces.poll_recv(context).map(|piece| {
                let piece = piece.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
                let within = |piece: Bytes| match left.checked_sub(piece.len() as u64) {
                    Some(rest) => {
                        *left = rest;
                        Ok(Frame::data(piece))
                    }
                    None => Err(io::Error::other("more bytes came than were announced")),
                };
                Some(piece.and_then(within))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Pieces(_) => false,
            Kind::Stream(body) => body.is_end_stream(),
            _ => self.remaining() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Pieces(_) => SizeHint::default(),
            Kind::Stream(body) => body.size_hint(),
            _ => SizeHint::with_exact(self.remaining()),
        }
    }
}
