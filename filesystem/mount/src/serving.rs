//! What a worker does with a plan: opens it, serves it, follows it.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use crate::control;
use crate::error::{MountError, chain};
use crate::follow::{self, Announcer};
use crate::fuse::filesystem::RepositoryFilesystem;
use crate::fuse::notify::Notifications;
use crate::fuse::{attach, session, tunnel};
use crate::order::{Access, MountOrder};
use crate::plan::MountPlan;
use crate::process::journal::Journal;
use crate::process::worker::{Prepared, work};
use crate::tree::Tree;

/// Becomes a worker: the program's hidden command. `plan` makes the plan of the order's settings.
///
/// # Errors
/// [`MountError`], after the supervisor was told.
pub fn worker(
    plan: impl FnOnce(&serde_json::Value) -> Result<MountPlan, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<(), MountError> {
    work(|order, journal| prepare(order, journal, plan))
}

fn prepare(
    order: &MountOrder,
    journal: Arc<Journal>,
    plan: impl FnOnce(&serde_json::Value) -> Result<MountPlan, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<Prepared<RepositoryFilesystem>, MountError> {
    let failed = |error: &dyn std::error::Error| MountError::Worker { message: chain(error) };
    let plan = plan(&order.settings).map_err(|error| failed(error.as_ref()))?;
    let (control, directory, tidying) = (plan.control.clone(), order.directory.clone(), plan.tidying);
    let threads = threads(&plan);
    let tree = Tree::open(plan, journal).map_err(|failure| failed(&failure))?;
    let tree = Arc::new(tree);
    let filesystem =
        RepositoryFilesystem::new(Arc::clone(&tree), order.without_attributes, attach::LARGEST_REQUEST);
    Ok(Prepared {
        filesystem,
        threads,
        begun: Box::new(move |kernel, notifications| {
            tidy_up_every(tidying, Arc::clone(&tree));
            let nudge = follow::start(Arc::clone(&tree), Announcer::new(kernel, notifications));
            if let Some(path) = &control
                && let Err(error) = control::listen(path, directory, tree, nudge)
            {
                tracing::warn!(path = %path.display(), %error, "no control socket");
            }
        }),
    })
}

/// A plan that is to be served to a machine, at this host's end of a tunnel.
pub struct Tunnelled {
    tree: Arc<Tree>,
    journal: Journal,
    threads: usize,
    tidying: Duration,
    without_attributes: bool,
}

impl Tunnelled {
    /// Opens what is planned; it may use the network. `without_attributes`: as [`MountOrder`] has it.
    ///
    /// # Errors
    /// [`MountError`].
    pub fn open(plan: MountPlan, without_attributes: bool) -> Result<Self, MountError> {
        let failed = |source| MountError::Link { action: "make a journal", source };
        let journal = Arc::new(Journal::create().map_err(failed)?);
        let connection = Journal::create().map_err(failed)?;
        let (threads, tidying) = (threads(&plan), plan.tidying);
        let tree =
            Tree::open(plan, journal).map_err(|failure| MountError::Worker { message: chain(&failure) })?;
        Ok(Self { tree: Arc::new(tree), journal: connection, threads, tidying, without_attributes })
    }

    /// Answers the machine's kernel until the stream ends.
    ///
    /// # Errors
    /// [`MountError`] if it never asks.
    pub fn serve(self, stream: UnixStream) -> Result<(), MountError> {
        let Self { tree, journal, threads, tidying, without_attributes } = self;
        let connection = tunnel::Exit::open(stream, threads)?.connection;
        let notifications = Notifications::new(attach::copy(&connection)?);
        let filesystem =
            RepositoryFilesystem::new(Arc::clone(&tree), without_attributes, tunnel::LARGEST_REQUEST);
        let (session, kernel) =
            session::begin(filesystem, &connection, &journal, false, Access::Everyone, threads)?;
        drop(connection);
        tidy_up_every(tidying, Arc::clone(&tree));
        follow::start(tree, Announcer::new(kernel, notifications));
        // However it ends, the stream did before.
        let _ = session.run();
        Ok(())
    }
}

/// How many threads read requests.
fn threads(plan: &MountPlan) -> usize {
    let usual =
        || 2 * std::thread::available_parallelism().map_or(4, std::num::NonZeroUsize::get).clamp(2, 64);
    plan.threads.unwrap_or_else(usual)
}

/// Looks after the catalogs in memory for as long as the process lives.
fn tidy_up_every(pause: Duration, tree: Arc<Tree>) {
    let started = std::thread::Builder::new().name("tidy".into()).spawn(move || {
        loop {
            std::thread::sleep(pause);
            tree.tidy_up();
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "catalogs stay in memory: no thread to look after them");
    }
}
