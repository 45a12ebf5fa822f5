//! `[boot]`: which operating system is booted. The guest reads it before there is a root directory, so that nothing of it
//! is ever applied to one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::Planner;
use crate::text::{Line, RepositoryName, Word};

/// Which operating system is booted. What is not given is what the image says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Boot {
    /// The repository with the operating system.
    pub repository: Option<RepositoryName>,
    /// Where it is served, best first; `@fqrn@` stands for its name.
    pub servers: Vec<Word>,
    /// The tag to boot.
    pub tag: Option<Line>,
    /// The root hash to boot.
    pub hash: Option<Word>,
    /// The date to boot: the revision that was the latest then.
    pub date: Option<Line>,
    /// The directory in the repository that is the root directory; `/` without.
    pub directory: Option<Word>,
    /// Proxies for the operating system: groups between `;`, members between `|`, `DIRECT`.
    pub proxy: Option<Line>,
    /// Addresses of proxy configuration files.
    pub proxy_scripts: Vec<Word>,
    /// Seconds to wait for the proxies to come up.
    pub proxy_wait: Option<u32>,
    /// Use the whole disk for what is written, not only its first 20 GiB.
    pub whole_disk: Option<bool>,
    /// The address of the service by which the machines of a cluster find each other, and this cluster's PIN.
    pub cluster: Option<Cluster>,
}

/// How the machines of a cluster find each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Cluster {
    /// The service's address.
    pub service: Option<Word>,
    /// The cluster's PIN.
    pub pin: Option<Word>,
    /// Whether this is the head.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub head: bool,
}

impl Section for Boot {
    fn merge(&mut self, other: Self) {
        later(&mut self.repository, other.repository);
        if !other.servers.is_empty() {
            self.servers = other.servers;
        }
        // The three name one thing: the later one counts.
        if other.tag.is_some() || other.hash.is_some() || other.date.is_some() {
            (self.tag, self.hash, self.date) = (other.tag, other.hash, other.date);
        }
        later(&mut self.directory, other.directory);
        later(&mut self.proxy, other.proxy);
        longer(&mut self.proxy_scripts, other.proxy_scripts);
        later(&mut self.proxy_wait, other.proxy_wait);
        later(&mut self.whole_disk, other.whole_disk);
        later(&mut self.cluster, other.cluster);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        let revisions = [self.tag.is_some(), self.hash.is_some(), self.date.is_some()];
        if revisions.iter().filter(|given| **given).count() > 1 {
            planner.warn("of tag, hash and date only one counts: hash before tag before date", None);
        }
    }
}
