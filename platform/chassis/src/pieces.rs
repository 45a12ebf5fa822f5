//! The body of a response that never ends by itself: pieces are sent when there are some.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::shutdown::{Phase, reached};

/// The sending side of a body; the response ends when it is dropped.
#[derive(Debug)]
pub struct PieceSender(mpsc::Sender<Bytes>);

/// Why a piece was not taken: the client is gone, or so slow that as many pieces wait for it as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone or too slow")]
pub struct NotTaken;

impl PieceSender {
    /// Hands a piece over, without waiting.
    ///
    /// # Errors
    /// [`NotTaken`]; whoever gets it drops the sender, as a rule.
    pub fn send(&self, piece: impl Into<Bytes>) -> Result<(), NotTaken> {
        self.0.try_send(piece.into()).map_err(|_| NotTaken)
    }
}

/// The receiving side. Ends with its sender, and as soon as the server drains.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    draining: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").finish_non_exhaustive()
    }
}

impl Pieces {
    /// Of which at most `waiting` wait for the client.
    pub(crate) fn new(waiting: usize) -> (PieceSender, Self) {
        let (sender, receiver) = mpsc::channel(waiting.max(1));
        (PieceSender(sender), Self { receiver, draining: None })
    }

    pub(crate) fn end_with(&mut self, mut shutdown: watch::Receiver<Phase>) {
        self.draining = Some(Box::pin(async move { reached(&mut shutdown, Phase::Draining).await }));
    }

    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(draining) = &mut self.draining
            && draining.as_mut().poll(context).is_ready()
        {
            self.draining = None;
            self.receiver.close();
        }
        self.receiver.poll_recv(context).map(|piece| piece.map(Ok))
    }
}
