//! Follows new revisions: asks for the manifest when its time to live is over, or when a server announces another revision,
//! shows the new revision, tells the kernel.
//!
//! The order matters: the new root catalog is loaded and verified first, then shown, then the kernel is told to ask again. Open
//! files and working directories keep their inodes, and these keep their content. What can't be fetched changes nothing: the
//! old revision stays, and the next attempt comes later and later, up to the time to live.

mod listening;
mod schedule;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use varve_repository::RepositoryName;
use varve_store::{Deadline, Freshness};

use self::listening::Listening;
use self::schedule::Schedule;
use crate::attached::Attached;
use crate::error::chain;
use crate::failure::Failure;
use crate::fuse::notify::Notifications;
use crate::fuse::session::Kernel;
use crate::inodes::ROOT;
use crate::pool::Pool;
use crate::tree::Tree;

/// Manifests are not asked for more often, whatever they say.
const SHORTEST: Duration = Duration::from_secs(1);
/// So many repositories are asked for at a time.
const MOST_AT_A_TIME: usize = 8;
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for repositories that were attached meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the kernel that what it remembers is out of date.
pub(crate) struct Announcer {
    notifications: Notifications,
    kernel: Kernel,
}

impl Announcer {
    pub(crate) fn new(kernel: Kernel, notifications: Notifications) -> Self {
        Self { notifications, kernel }
    }

    /// The root directory shows another revision. All of its children are new inodes, so nothing below them needs to be told.
    fn announce(&self, tree: &Tree, attached: &Attached, before: &varve_repository::Catalog) {
        let root = attached.root_inode;
        if self.kernel.has_epochs() && !tree.is_tree() && self.notifications.next_epoch().is_ok() {
            let _ = self.notifications.invalidate_inode(root);
            return;
        }
        let current = attached.current.load();
        for catalog in [before, current.catalog.as_ref()] {
            let index = catalog.index();
            for row in index.children(0).chain(index.hidden_children(0)) {
                let Some(entry) = index.entry(row) else { continue };
                if self.notifications.invalidate_entry(root, entry.name(), true).is_err() {
                    let _ = self.notifications.invalidate_entry(root, entry.name(), false);
                }
            }
        }
        let _ = self.notifications.invalidate_inode(root);
        if root != ROOT {
            let _ = self.notifications.invalidate_inode(ROOT);
        }
    }
}

/// Wakes the follower: everything is to be asked for now.
#[derive(Clone)]
pub(crate) struct Nudge(Sender<Sender<()>>);

impl Nudge {
    /// Returns when every repository has been asked for.
    pub(crate) fn wait(&self) {
        let (done, wait) = crossbeam_channel::bounded(1);
        if self.0.send(done).is_ok() {
            let _ = wait.recv();
        }
    }
}

/// Starts the thread that follows.
pub(crate) fn start(tree: Arc<Tree>, announcer: Announcer) -> Nudge {
    let (nudge, nudges) = crossbeam_channel::unbounded();
    let announcer = Arc::new(announcer);
    let _ = std::thread::Builder::new().name("follow".into()).spawn(move || run(&tree, &announcer, &nudges));
    Nudge(nudge)
}

/// What came of asking for a repository; nothing if that panicked.
struct Answer {
    name: RepositoryName,
    freshness: Freshness,
    pause: Option<Duration>,
}

/// Each repository is asked for on a thread of its own: one whose server does not answer delays no other.
fn run(tree: &Arc<Tree>, announcer: &Arc<Announcer>, nudges: &Receiver<Sender<()>>) {
    let pool = Pool::new(MOST_AT_A_TIME);
    let (answer, answers) = crossbeam_channel::unbounded::<Answer>();
    let mut schedule = Schedule::default();
    let mut listening = Listening::new();
    let mut announced = HashSet::new();
    loop {
        let following: Vec<_> = tree.attached().into_iter().filter(|attached| attached.follows()).collect();
        for attached in following {
            listening.add(&attached);
            let now = Instant::now();
            schedule.add(&attached.name, now, || {
                // A worker that took over has no manifest yet.
                let known = attached.current.load().manifest.as_ref().map(|manifest| manifest.ttl);
                known.map_or(Duration::ZERO, |ttl| pause_of(&attached, ttl))
            });
            if schedule.begin(&attached.name, now) {
                let (tree, announcer, answer) = (Arc::clone(tree), Arc::clone(announcer), answer.clone());
                let freshness = match announced.remove(&attached.name) {
                    true => Freshness::Revalidated,
                    false => Freshness::Cached,
                };
                pool.run(move || ask(&tree, &attached, freshness, &announcer, &answer));
            }
        }
        let wait = schedule.pause(Instant::now()).unwrap_or(LOOK).min(LOOK);
        crossbeam_channel::select! {
            recv(answers) -> answer => if let Ok(Answer { name, freshness, pause }) = answer {
                if pause.is_none() && freshness == Freshness::Revalidated {
                    announced.insert(name.clone());
                }
                let longest = || longest_pause(tree, &name);
                schedule.ended(&name, Instant::now(), pause.unwrap_or_else(longest), pause.is_some());
            },
            recv(listening.heard()) -> heard => if let Ok(name) = heard {
                schedule.hurry_one(&name, Instant::now());
                // What caches on the way have is older than that.
                announced.insert(name);
            },
            recv(nudges) -> nudge => match nudge {
                Ok(done) => {
                    // Those that were attached since the last look are to be asked for, too.
                    for attached in tree.attached().iter().filter(|attached| attached.follows()) {
                        schedule.add(&attached.name, Instant::now(), || Duration::ZERO);
                    }
                    schedule.hurry(Instant::now(), done);
                }
                Err(_) => return,
            },
            default(wait) => {}
        }
    }
}

fn ask(
    tree: &Arc<Tree>,
    attached: &Arc<Attached>,
    freshness: Freshness,
    announcer: &Announcer,
    answer: &Sender<Answer>,
) {
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| refresh(tree, attached, freshness, announcer)));
    if let Ok(Err(failure)) = &result {
        tracing::warn!(
            repository = %attached.name,
            error = chain(failure),
            "cannot ask for a new revision, the present one stays"
        );
    }
    let pause = result.ok().and_then(Result::ok).map(|ttl| pause_of(attached, ttl));
    let _ = answer.send(Answer { name: attached.name.clone(), freshness, pause });
}

/// How late a repository that can't be reached is tried again at the latest.
fn longest_pause(tree: &Tree, name: &RepositoryName) -> Duration {
    let attached = tree.attached().into_iter().find(|attached| attached.name == *name);
    attached.map_or(PATIENCE, |attached| {
        let ttl = attached.current.load().manifest.as_ref().map(|manifest| manifest.ttl);
        pause_of(&attached, ttl.unwrap_or(PATIENCE))
    })
}

fn pause_of(attached: &Attached, ttl: Duration) -> Duration {
    attached.mounted.refresh_at_least_every.map_or(ttl, |every| ttl.min(every)).max(SHORTEST)
}

/// Asks for the manifest, shows its revision if that is a later one, and says how long it lives.
fn refresh(
    tree: &Arc<Tree>,
    attached: &Arc<Attached>,
    freshness: Freshness,
    announcer: &Announcer,
) -> Result<Duration, Failure> {
    let deadline = Deadline::after(PATIENCE);
    let fetched = attached.mounted.repository.fetch_manifest(freshness, (tree.plan.now)(), deadline)?;
    if let Some(error) = fetched.offline {
        return Err(error.into());
    }
    let manifest = fetched.manifest;
    let ttl = manifest.ttl;
    let current = attached.current.load_full();
    if manifest.root_catalog == current.reference.hash {
        if current.manifest.is_none() {
            let reference = current.reference.clone();
            let mut same = tree.revision(&attached.name, &attached.loader, reference, deadline)?;
            same.manifest = Some(manifest);
            attached.current.store(Arc::new(same));
        }
        return Ok(ttl);
    }
    if manifest.revision < current.number() {
        return Ok(ttl);
    }
    let reference = attached.mounted.repository.select(&manifest, &attached.mounted.reference, deadline)?;
    let mut revision = tree.revision(&attached.name, &attached.loader, reference, deadline)?;
    let number = revision.number();
    revision.manifest = Some(manifest);
    tree.show(attached, revision)?;
    announcer.announce(tree, attached, &current.catalog);
    tracing::info!(repository = %attached.name, from = current.number(), to = number, "shows a new revision");
    Ok(ttl)
}
