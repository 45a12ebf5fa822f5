//! What a worker is to serve: one repository, or a tree of them. Made by the program from its configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use varve_repository::{Reference, Repository, RepositoryName};
use varve_store::{HttpConfig, HttpSource};

use crate::variant_link::Variables;

/// What a worker is to serve, and how.
pub struct MountPlan {
    /// What is at the root of the mount.
    pub root: PlanRoot,
    /// A request that has no answer by then gets an error.
    pub deadline: Duration,
    /// How many threads read the kernel's requests; `None` for twice the number of cores.
    pub threads: Option<usize>,
    /// How many requests may wait for the network at a time; further ones wait for those.
    pub slow_requests: usize,
    /// How often it is looked which catalogs are in use; the fifth time that one isn't, it goes out of memory.
    pub tidying: Duration,
    /// Where the socket is that tells the state of the mount; no socket without it.
    pub control: Option<PathBuf>,
    /// The clock.
    pub now: fn() -> SystemTime,
}

impl MountPlan {
    /// A plan with the usual limits, by this clock.
    pub fn new(root: PlanRoot, now: fn() -> SystemTime) -> Self {
        Self {
            root,
            deadline: Duration::from_secs(30),
            threads: None,
            slow_requests: 128,
            tidying: Duration::from_secs(60),
            control: None,
            now,
        }
    }
}

/// What is at the root of the mount.
pub enum PlanRoot {
    /// One repository.
    One(Box<MountedRepository>),
    /// A directory per repository, attached when its name is looked up.
    Tree(Box<dyn RepositorySource>),
}

/// Finds the repositories of a tree.
pub trait RepositorySource: Send + Sync + 'static {
    /// The repository of that name, `None` if there is none. May use the network; called by a thread that may wait.
    ///
    /// # Errors
    /// What is wrong with its configuration.
    fn find(
        &self,
        name: &RepositoryName,
    ) -> Result<Option<MountedRepository>, Box<dyn std::error::Error + Send + Sync>>;

    /// The names that a listing of the tree shows besides the attached ones.
    fn listed(&self) -> Vec<RepositoryName> {
        Vec::new()
    }
}

/// A repository that is to be seen in a mount.
pub struct MountedRepository {
    /// The repository.
    pub repository: Arc<Repository>,
    /// Where the content of external files is, below their paths; reading them fails without it.
    pub external: Option<Arc<HttpSource>>,
    /// Which revision. [`Reference::Latest`] follows new ones.
    pub reference: Reference,
    /// Who owns every file, whoever owned it when it was published; `None` shows the owners as they were published.
    pub owner: Option<(u32, u32)>,
    /// The variables of symbolic links; `None` shows the links as they were published.
    pub variables: Option<Variables>,
    /// What extended attributes tell of this client.
    pub client: ClientFacts,
    /// Ask for a new revision at least this often, even if the manifest's time to live is longer.
    pub refresh_at_least_every: Option<Duration>,
    /// Servers that may announce new revisions: they are listened to. Without any, it is only asked now and then.
    pub announced_by: Option<HttpConfig>,
}

/// What extended attributes tell of the client, in the words of CernVM-FS.
#[derive(Clone, Debug, Default)]
pub struct ClientFacts {
    /// `user.host_list`, the first of them `user.host`.
    pub hosts: Vec<String>,
    /// `user.proxy_list`, the first of them `user.proxy`.
    pub proxies: Vec<String>,
    /// `user.timeout`, with a proxy.
    pub timeout: Duration,
    /// `user.timeout_direct`.
    pub timeout_direct: Duration,
    /// `user.pubkeys`: the master keys in PEM.
    pub public_keys: Vec<String>,
    /// `user.version`.
    pub version: String,
    /// Whether listings show the magic attributes.
    pub visibility: MagicVisibility,
}

/// Where listings of extended attributes show the magic ones. They can be read by name everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MagicVisibility {
    /// Nowhere.
    Never,
    /// At the repository's root.
    #[default]
    RootOnly,
    /// Everywhere.
    Always,
}
