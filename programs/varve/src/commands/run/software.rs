//! Which repositories a run shows, at which versions, and which of them is its operating system, or has a container image that
//! takes its place.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use varve_environment::{Entry, Image, Source};
use varve_mount::MountOrder;
use varve_repository::{KeyFingerprint, RepositoryName, RepositoryPath};

use super::image;
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
    /// Take a repository with an operating system for the root directory, or a directory in one, instead of the host's own
    #[arg(long, value_name = "NAME[@REVISION][:/DIR]")]
    system: Option<String>,
    /// Take a container image in a repository for the root directory, and do as it says
    #[arg(long, value_name = "NAME[@REVISION]:IMAGE", conflicts_with_all = ["env", "system"])]
    image: Option<String>,
    /// Start this instead of the image's entry point; the command alone if it is empty
    #[arg(long, value_name = "PROGRAM", requires = "image")]
    entrypoint: Option<OsString>,
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
    pub(crate) started: Started,
    /// What a machine boots.
    pub(crate) image: Option<Image>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// What an environment or an image says of what is started in it.
#[derive(Default)]
pub(crate) struct Started {
    /// What every command is preceded by.
    pub(crate) entry_point: Vec<OsString>,
    /// What is started if nobody says what.
    pub(crate) command: Vec<OsString>,
    pub(crate) directory: Option<PathBuf>,
}

impl Started {
    /// What is started, given what the caller says; a shell where nobody says anything.
    pub(crate) fn words(self, command: Vec<OsString>, shell: impl FnOnce() -> OsString) -> Vec<OsString> {
        let mut words = self.entry_point;
        words.extend(if command.is_empty() { self.command } else { command });
        if words.is_empty() {
            words.push(shell());
        }
        words
    }
}

/// A repository to be shown.
pub(crate) struct Software {
    pub(crate) name: RepositoryName,
    pub(crate) order: MountOrder,
    /// The directory of it that is shown.
    pub(crate) directory: RepositoryPath,
}

impl Software {
    /// Where the directory is, given where the whole repository is.
    pub(crate) fn below(&self, tree: PathBuf) -> PathBuf {
        let relative = self.directory.as_bytes().strip_prefix(b"/").unwrap_or_default();
        if relative.is_empty() { tree } else { tree.join(OsStr::from_bytes(relative)) }
    }

    /// For messages.
    pub(crate) fn shown(&self) -> String {
        match self.directory.is_root() {
            true => self.order.source.clone(),
            false => format!("{}:{}", self.order.source, self.directory),
        }
    }
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
            Ok::<_, Failure>(Software { name, order, directory: RepositoryPath::ROOT })
        };
        // An overlay lies over a system; there, capabilities mean nothing anyway.
        let below_overlay = |software: Software| Software {
            order: MountOrder { without_attributes: true, ..software.order },
            ..software
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
                started: parts.entry.map(Started::from).unwrap_or_default(),
                image: parts.image,
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
        let nothing = (Started::default(), BTreeMap::new());
        let (system, (started, variables)) = match (self.system, self.image) {
            (Some(argument), _) => {
                let (target, directory) = image::of_system(&argument);
                let system = match directory {
                    None => plain(target)?,
                    Some(directory) => image::find(invocation, &plain, &target, directory)?.software,
                };
                (Some(system), nothing)
            }
            (None, Some(argument)) => {
                let (target, name) = image::of_image(&argument)?;
                let image = image::find(invocation, &plain, &target, name)?;
                let said = image.said(invocation, &argument, self.entrypoint)?;
                (Some(image.software), said)
            }
            (None, None) => (None, nothing),
        };
        Ok(Chosen { system: system.map(below_overlay), software, started, image: None, variables })
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

impl From<Entry> for Started {
    fn from(entry: Entry) -> Self {
        Self {
            entry_point: vec![],
            command: entry.command.into_iter().map(OsString::from).collect(),
            directory: entry.directory.map(PathBuf::from),
        }
    }
}
