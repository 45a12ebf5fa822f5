//! What a client sends beside its request's header: at most so many bytes, within so much time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::limits::Limits;

/// The body of a request. What isn't read is not waited for.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    left: u64,
    limit: u64,
    patience: std::time::Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Why a body broke off on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// It is longer than anything that is expected.
    #[error("the request is longer than {0} bytes")]
    TooLong(u64),
    /// It did not come in time.
    #[error("the request took too long to arrive")]
    TooSlow,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, limits: &Limits) -> Self {
        Self {
            incoming,
            left: limits.body_bytes,
            limit: limits.body_bytes,
            patience: limits.body,
            deadline: None,
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| {
                let frame = frame.map_err(io::Error::other)?;
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.left.checked_sub(length) {
                    Some(left) => self.left = left,
                    None => return Err(io::Error::other(RequestBodyError::TooLong(self.limit))),
                }
                Ok(frame)
            }));
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(io::Error::other(RequestBodyError::TooSlow)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
