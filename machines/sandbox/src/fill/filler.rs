//! The filler: the process outside of a sandbox that has its trees, and supervises it.
//!
//! ```text
//! run ──Open {orders}──▶ filler opens the trees
//!  │ ◀── Opened {views} ──┘
//!  │ ──Serve {paths}, with the listener──▶ answers until nobody is left inside, then makes all of it last
//! ```
//!
//! It is a process of its own since a sandbox is started by one with a single thread, and since what the command's calls wait
//! for must not end with the terminal. When it ends before the command, the run sees its end of the channel closed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::FillError;
use super::filter::Listener;
use super::resolve::Mounted;
use super::supervisor::{Service, Supervisor};
use super::tree::Tree;
use crate::channel::Channel;

/// A tree that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// What people call it.
    pub target: String,
    /// What the [`Opener`] makes of it.
    pub order: Value,
    /// Whether all of it has to be in place before anything is started.
    pub whole: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Open(Vec<Order>),
    /// Where the trees are, and whether all of them are whole.
    Opened {
        views: Vec<PathBuf>,
        whole: bool,
    },
    Failed {
        target: String,
        message: String,
    },
    /// With the listener: where the trees are seen.
    Serve(Vec<PathBuf>),
}

/// Opens trees for a filler.
pub trait Opener {
    /// Opens the tree of an order.
    ///
    /// # Errors
    /// A text for people.
    fn open(&self, order: &Value) -> Result<Arc<Tree>, String>;

    /// Fills a tree as a whole.
    ///
    /// # Errors
    /// A text for people.
    fn fill(&self, tree: &Tree) -> Result<(), String>;
}

/// A run's side.
#[derive(Debug)]
pub struct Filler {
    channel: Channel,
    /// Where the trees are, in the order in which they were wanted.
    pub views: Vec<PathBuf>,
    /// Whether nothing is left to be filled, so that nothing has to be watched.
    pub is_whole: bool,
}

impl Filler {
    /// Has trees opened by a process that `start` starts: it gets a socket, and is to call [`serve`] with it.
    ///
    /// # Errors
    /// [`FillError::Open`] with what can't be opened, [`FillError::Filler`].
    pub fn start(
        orders: Vec<Order>,
        start: impl FnOnce(OwnedFd) -> io::Result<()>,
    ) -> Result<Self, FillError> {
        let failed = |source| FillError::Filler { source };
        let (ours, theirs) = Channel::pair().map_err(failed)?;
        start(theirs.into_socket()).map_err(failed)?;
        ours.send(&Word::Open(orders), &[]).map_err(failed)?;
        match ours.receive().map_err(failed)? {
            Some((Word::Opened { views, whole }, _)) => Ok(Self { channel: ours, views, is_whole: whole }),
            Some((Word::Failed { target, message }, _)) => Err(FillError::Open { target, message }),
            _ => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Hands over what the calls are received from, and where the trees are seen inside, in the same order as [`Self::views`].
    ///
    /// # Errors
    /// If the filler is gone.
    pub fn supervise(&self, listener: BorrowedFd<'_>, paths: &[PathBuf]) -> io::Result<()> {
        self.channel.send(&Word::Serve(paths.to_vec()), &[listener])
    }
}

impl AsFd for Filler {
    /// Readable once the filler has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// Becomes a filler. Returns when nobody is left in the sandbox that it served, or when the run ends before there is any.
///
/// # Errors
/// [`FillError`].
pub fn serve(socket: OwnedFd, opener: &dyn Opener, service: &Service) -> Result<(), FillError> {
    // Signals of the run's terminal are not for it; fails only where they aren't anyway.
    let _ = rustix::process::setsid();
    let failed = |source| FillError::Filler { source };
    let channel = Channel::of(socket);
    let Some((Word::Open(orders), _)) = channel.receive().map_err(failed)? else { return Ok(()) };
    let mut trees = vec![];
    for order in &orders {
        let opened = opener.open(&order.order).and_then(|tree| {
            if order.whole && !tree.is_whole() {
                opener.fill(&tree)?;
            }
            Ok(tree)
        });
        match opened {
            Ok(tree) => trees.push(tree),
            Err(message) => {
                let target = order.target.clone();
                return channel.send(&Word::Failed { target, message }, &[]).map_err(failed);
            }
        }
    }
    let views = trees.iter().map(|tree| tree.view()).collect();
    let whole = trees.iter().all(|tree| tree.is_whole());
    channel.send(&Word::Opened { views, whole }, &[]).map_err(failed)?;
    if let Some((Word::Serve(paths), descriptors)) = channel.receive().map_err(failed)? {
        let missing = || failed(io::ErrorKind::InvalidData.into());
        let listener = Listener::from_descriptor(descriptors.into_iter().next().ok_or_else(missing)?);
        let mounts = paths.iter().map(|path| path.components().collect()).zip(&trees);
        let mounts = mounts.map(|(path, tree)| Mounted { path, tree: Arc::clone(tree) }).collect();
        Supervisor::start(listener, mounts, service)?.wait();
        // The run is told by the end of its command, not by that of this process.
        while let Ok(Some(_)) = channel.receive::<Word>() {}
    }
    drop(channel);
    for tree in &trees {
        tree.note_if_whole()?;
        tree.settle()?;
    }
    Ok(())
}
