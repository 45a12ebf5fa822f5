//! `[repositories]`: software below `/cvmfs`, and the ways to it.
//!
//! Each repository is mounted by a unit of its own, whose command says everything; the same stands in `client.toml`, for who
//! runs `varve` in the machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later};
use crate::plan::{Planner, unit_name};
use crate::quote;
use crate::text::{Line, RepositoryName, TargetPath, Word};

/// The program in the machine that mounts.
const PROGRAM: &str = "/run/varve/varve-guest";

/// Repositories and how they are reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Repositories {
    /// Where repositories are served, best first; `@fqrn@` stands for the name.
    pub servers: Vec<Word>,
    /// Proxies: groups between `;`, members between `|`, `DIRECT` for none.
    pub proxy: Option<Line>,
    /// How large the cache may become, such as 4GiB.
    pub cache_quota: Option<Word>,
    /// Where the cache is.
    pub cache: Option<TargetPath>,
    /// The repositories that are mounted.
    pub mount: Vec<Repository>,
}

/// A repository that is mounted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Repository {
    /// Its name.
    pub name: RepositoryName,
    /// Where it is served, best first; `@fqrn@` stands for its name. Those for all without.
    #[serde(default)]
    pub servers: Vec<Word>,
    /// Public master keys, as PEM. What the machine has for its domain without.
    #[serde(default)]
    pub keys: Vec<String>,
    /// A tag, a root hash or a date; the latest, followed, without.
    pub revision: Option<Word>,
    /// Where it is mounted; `/cvmfs/NAME` without.
    pub directory: Option<TargetPath>,
    /// Proxies; those for all without.
    pub proxy: Option<Line>,
}

impl Repository {
    /// A repository with what is configured for it elsewhere.
    pub fn named(name: RepositoryName) -> Self {
        Self { name, servers: Vec::new(), keys: Vec::new(), revision: None, directory: None, proxy: None }
    }

    fn merge(&mut self, other: Self) {
        if !other.servers.is_empty() {
            self.servers = other.servers;
        }
        if !other.keys.is_empty() {
            self.keys = other.keys;
        }
        later(&mut self.revision, other.revision);
        later(&mut self.directory, other.directory);
        later(&mut self.proxy, other.proxy);
    }

    fn directory(&self) -> TargetPath {
        self.directory.clone().unwrap_or_else(|| TargetPath::of(format!("/cvmfs/{}", self.name)))
    }

    fn key_paths(&self) -> Vec<String> {
        let path = |number: usize| match number {
            0 => format!("/etc/varve/keys/{}.pub", self.name),
            _ => format!("/etc/varve/keys/{}-{}.pub", self.name, number + 1),
        };
        (0..self.keys.len()).map(path).collect()
    }
}

impl Repositories {
    /// The mount of a name, made if there is none.
    pub fn named(&mut self, name: RepositoryName) -> &mut Repository {
        let at = self.mount.iter().position(|other| other.name == name);
        let at = at.unwrap_or_else(|| {
            self.mount.push(Repository::named(name));
            self.mount.len() - 1
        });
        &mut self.mount[at]
    }
}

impl Section for Repositories {
    fn merge(&mut self, other: Self) {
        if !other.servers.is_empty() {
            self.servers = other.servers;
        }
        later(&mut self.proxy, other.proxy);
        later(&mut self.cache_quota, other.cache_quota);
        later(&mut self.cache, other.cache);
        for repository in other.mount {
            self.named(repository.name.clone()).merge(repository);
        }
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() {
            return;
        }
        planner.file("/etc/varve/client.toml", self.client_settings());
        for repository in &self.mount {
            for (path, key) in repository.key_paths().iter().zip(&repository.keys) {
                planner.file(path, key.as_str());
            }
            planner.directory(&repository.directory(), 0o755);
            let unit = unit_name(format!("varve-repository-{}.service", repository.name));
            planner.own_unit(&unit, self.unit(repository));
        }
    }
}

impl Repositories {
    fn unit(&self, repository: &Repository) -> String {
        let name = &repository.name;
        let directory = repository.directory().to_string();
        let target = match &repository.revision {
            Some(revision) => format!("{name}@{revision}"),
            None => name.to_string(),
        };
        let mut start = vec![PROGRAM.to_owned(), "mount".to_owned(), target, directory.clone()];
        let mut option = |name: &str, value: &str| start.extend([format!("--{name}"), value.to_owned()]);
        let servers = if repository.servers.is_empty() { &self.servers } else { &repository.servers };
        servers.iter().for_each(|server| option("server", server));
        repository.key_paths().iter().for_each(|path| option("key", path));
        let own = [
            ("proxy", repository.proxy.as_deref().or(self.proxy.as_deref())),
            ("cache", self.cache.as_deref()),
            ("cache-quota", self.cache_quota.as_deref()),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                option(name, value);
            }
        }
        let words = |words: &[String]| {
            words.iter().map(|word| quote::systemd_argument(word)).collect::<Vec<_>>().join(" ")
        };
        let end = words(&[PROGRAM.to_owned(), "umount".to_owned(), directory]);
        format!(
            "[Unit]\nDescription=Repository {name}\nWants=network-online.target\nAfter=network-online.target\nBefore=remote-fs.target\n\n\
             [Service]\nType=forking\nExecStart={}\nExecStop={end}\nRestart=on-failure\nRestartSec=5\n\n\
             [Install]\nWantedBy=multi-user.target\n",
            words(&start)
        )
    }

    fn client_settings(&self) -> String {
        let mut text = String::from("# Written by Varve.\n[default]\n");
        text += &settings(
            &self.servers,
            &[],
            &[
                ("proxy", self.proxy.as_deref()),
                ("cache-quota", self.cache_quota.as_deref()),
                ("cache", self.cache.as_deref()),
            ],
        );
        for repository in &self.mount {
            text += &format!("\n[repository.{}]\n", quote::toml(&repository.name));
            let pairs =
                [("proxy", repository.proxy.as_deref()), ("revision", repository.revision.as_deref())];
            text += &settings(&repository.servers, &repository.key_paths(), &pairs);
        }
        text
    }
}

fn settings(servers: &[Word], keys: &[String], pairs: &[(&str, Option<&str>)]) -> String {
    let array = |texts: Vec<String>| format!("[{}]", texts.join(", "));
    let mut text = String::new();
    if !servers.is_empty() {
        text += &format!("servers = {}\n", array(servers.iter().map(|server| quote::toml(server)).collect()));
    }
    if !keys.is_empty() {
        text += &format!("keys = {}\n", array(keys.iter().map(|key| quote::toml(key)).collect()));
    }
    for (name, value) in pairs {
        if let Some(value) = value {
            text += &format!("{name} = {}\n", quote::toml(value));
        }
    }
    text
}
