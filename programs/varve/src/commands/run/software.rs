//! Which repositories a run shows, at which versions, and which of them is its operating system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use varve_environment::{Entry, Source};
use varve_mount::MountOrder;
use varve_repository::{KeyFingerprint, RepositoryName};

use crate::client::Section;
use crate::commands::mount;
use crate::environments::Environments;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::namespace;

/// What is shown.
#[derive(Args, Debug, Default)]
pub(crate) struct SoftwareOptions {
    /// Show a repository at /cvmfs/NAME; behind @ a tag, a root hash or a date; may be repeated
    #[arg(short, long = "repository", value_name = "NAME[@REVISION]")]
    repositories: Vec<String>,
    /// The environment: a name, an id or the beginning of one, or the path of a document
    #[arg(short, long, value_name = "ENV", conflicts_with_all = ["repositories", "system"])]
    env: Option<String>,
    /// Take a repository with an operating system for the root directory, instead of the host's own
    #[arg(long, value_name = "NAME[@REVISION]")]
    system: Option<String>,
    /// Where the repositories are served, with @fqrn@ for their names; may be repeated, best first
    #[arg(long = "server", value_name = "URL")]
    servers: Vec<String>,
    /// A file with public master keys, or a directory of them
    #[arg(long = "key", value_name = "PATH")]
    keys: Vec<PathBuf>,
    /// Proxies: groups separated by ;, each of several separated by |, DIRECT for none
    #[arg(long, value_name = "LIST")]
    proxy: Option<String>,
    /// The directory that keeps what was fetched
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// What was chosen.
pub(crate) struct Chosen {
    /// The operating system; the host's own without it.
    pub(crate) system: Option<Software>,
    pub(crate) software: Vec<Software>,
    pub(crate) entry: Option<Entry>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// A repository to be shown.
pub(crate) struct Software {
    pub(crate) name: RepositoryName,
    pub(crate) order: MountOrder,
}

impl SoftwareOptions {
    /// An environment's document and nothing else.
    pub(crate) fn of_document(document: &Path) -> Self {
        Self { env: Some(document.to_string_lossy().into_owned()), ..Self::default() }
    }

    pub(crate) fn choose(mut self, invocation: &Invocation) -> Result<Chosen, Failure> {
        let section = self.section()?;
        let in_user_namespace = !namespace::may_mount();
        let order = |target: String, hinted: &[String], signed_by: Option<KeyFingerprint>| {
            let software = mount::Software {
                target,
                section: section.clone(),
                hinted: hinted.to_vec(),
                signed_by,
                in_user_namespace,
            };
            let (name, order, client) = mount::software_order(&invocation.places()?, software)?;
            client.warnings().for_each(|warning| invocation.output.warn(warning));
            Ok::<_, Failure>(Software { name, order })
        };
        // An overlay lies over a system; there, capabilities mean nothing anyway.
        let below_overlay = |Software { name, order }: Software| Software {
            name,
            order: MountOrder { without_attributes: true, ..order },
        };
        if let Some(argument) = &self.env {
            let environment = Environments::of(&invocation.places()?).find(argument)?;
            let parts = environment.into_parts();
            let of = |source: &Source| {
                let hinted = parts.hints.servers.get(&source.repository).map_or(&[][..], Vec::as_slice);
                order(format!("{}@{}", source.repository, source.root), hinted, Some(source.key))
            };
            return Ok(Chosen {
                system: parts.system.as_ref().map(of).transpose()?.map(below_overlay),
                software: parts.software.iter().map(of).collect::<Result<_, _>>()?,
                entry: parts.entry,
                variables: parts.variables,
            });
        }
        let plain = |target: String| order(target, &[], None);
        let software: Vec<Software> = self.repositories.into_iter().map(plain).collect::<Result<_, _>>()?;
        for (at, one) in software.iter().enumerate() {
            if software[..at].iter().any(|other| other.name == one.name) {
                return Err(Failure::usage(format!("{} is named twice", one.name)));
            }
        }
        Ok(Chosen {
            system: self.system.map(plain).transpose()?.map(below_overlay),
            software,
            entry: None,
            variables: BTreeMap::new(),
        })
    }

    /// What the options say of servers and what is fetched.
    fn section(&mut self) -> Result<Section, Failure> {
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(|error| Failure::io("find", path, error));
        let servers = std::mem::take(&mut self.servers);
        let keys = self.keys.iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
        Ok(Section {
            servers: Some(servers).filter(|servers| !servers.is_empty()),
            keys: Some(keys).filter(|keys| !keys.is_empty()),
            proxy: self.proxy.take(),
            cache: self.cache.as_ref().map(absolute).transpose()?,
            ..Section::default()
        })
    }
}
