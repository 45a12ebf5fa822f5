//! `varve replicate`: a copy of a repository on this machine, for `varve serve` to give to others.

mod follow;
mod place;
mod report;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use varve_content::Algorithm;
use varve_replicate::{Mirror, MirrorProgress, MirrorRequest, Mirrored, TagPattern, TagSelection};
use varve_repository::{PublicKeys, RepositoryName, Trust};
use varve_store::{ByteSize, HttpConfig, HttpSource};

use self::place::Place;
use self::report::Shown;
use super::repo::gc::date;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// How often a server that fails is asked again, with pauses.
const RETRIES: u32 = 4;

/// Copy a repository from its server, to serve it from here
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  varve replicate http://stratum0/cvmfs/software.example.org --key software.example.org.pub\n  \
                  varve serve\nEverything is verified up to the master key before it is stored. The replica shows a \
                  revision when all of it is there; stopped at any time, it shows the one before, and the next call goes \
                  on. See docs/operate/replicate.md."
)]
pub(crate) struct Replicate {
    /// Where the repository is served; its name is what stands behind the last slash. Several repositories one after the
    /// other
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Another server of the same repository, for when the first fails, with @fqrn@ for its name; may be repeated
    #[arg(long = "server", value_name = "URL")]
    servers: Vec<String>,
    /// A file with public master keys, or a directory of them
    ///
    /// Without any, NAME.pub among the keys of this machine. The first time it is kept there.
    #[arg(long = "key", value_name = "PATH")]
    keys: Vec<PathBuf>,
    /// Proxies: groups separated by ;, each of several separated by |
    #[arg(long, value_name = "LIST", default_value = "DIRECT")]
    proxy: String,
    /// Make the replica DIRECTORY/NAME instead of a repository of this machine; serve it by `varve serve --root`
    ///
    /// Settings for it, such as another place for its objects, are read from DIRECTORY/NAME.toml.
    #[arg(long, value_name = "DIRECTORY")]
    to: Option<PathBuf>,
    /// Copy the newest revision alone, without those that have tags
    #[arg(long, conflicts_with_all = ["tags", "tags_since"])]
    newest_only: bool,
    /// Of the revisions that have tags only those that match; * and ? stand for any characters; may be repeated
    #[arg(long = "tag", value_name = "PATTERN")]
    tags: Vec<TagPattern>,
    /// Of the revisions that have tags only those published since then: 2026-11-21 or 2026-11-21T00:36:09Z
    #[arg(long, value_name = "DATE", value_parser = date)]
    tags_since: Option<u64>,
    /// The most requests at a time; where a server does not know batches, up to eight times as many
    #[arg(long, value_name = "NUMBER", default_value = "16")]
    parallel: NonZeroUsize,
    /// The most memory for objects on their way
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    memory: ByteSize,
    /// Copy also from a source that is not marked as replicatable by .cvmfs_master_replica, nor a replica itself
    #[arg(long)]
    unmarked_source: bool,
    /// Store nothing, only tell what would be fetched
    #[arg(long)]
    dry_run: bool,
    /// Behind each new revision, remove what no revision needs that has a tag or was shown in the last 3 days
    #[arg(long, conflicts_with = "dry_run")]
    collect: bool,
    /// Go on copying each new revision, when its server announces it or the time to live of the one before is over
    #[arg(short, long, conflicts_with = "dry_run")]
    follow: bool,
    /// Look for new revisions at least this often
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    refresh: Option<u64>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// A repository that is copied here, with all that is needed for it.
struct Replica {
    name: RepositoryName,
    config: HttpConfig,
    source: HttpSource,
    trust: Trust,
    place: Place,
}

impl Replicate {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let replicas: Vec<Replica> =
            self.urls.iter().map(|url| self.replica(invocation, url)).collect::<Result<_, _>>()?;
        if self.follow {
            return follow::follow(&self, invocation, &replicas);
        }
        // One that fails does not keep the others from being copied.
        let mut failed = None;
        for replica in &replicas {
            if let Err(failure) = self.copy(invocation, replica)
                && let Some(earlier) = failed.replace(failure)
            {
                Failure::report(&earlier, &invocation.output);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn copy(&self, invocation: &Invocation, replica: &Replica) -> Result<(), Failure> {
        let progress = Shown::start(invocation);
        let mirrored = self.update(invocation, replica, &progress)?;
        progress.finish();
        report::tell(invocation, &replica.name, &mirrored, self.dry_run, self.json)
    }

    fn replica(&self, invocation: &Invocation, url: &str) -> Result<Replica, Failure> {
        let name = name_in(url)?;
        let servers: Vec<String> = std::iter::once(url)
            .chain(self.servers.iter().map(String::as_str))
            .map(|server| server.replace("@fqrn@", name.as_str()))
            .collect();
        let mut config = HttpConfig::new(&servers.join(";"), &self.proxy).map_err(Failure::usage_error)?;
        config.retries = RETRIES;
        let source = HttpSource::new(config.clone()).map_err(Failure::usage_error)?;
        let place = Place::new(invocation, &name, self.to.as_deref())?;
        let trust = Trust::in_keys(self.public_keys(invocation, &name)?);
        Ok(Replica { name, config, source, trust, place })
    }

    /// The given keys, which this machine then knows; without any, those that it knows.
    fn public_keys(&self, invocation: &Invocation, name: &RepositoryName) -> Result<PublicKeys, Failure> {
        let places = invocation.places()?;
        let known = places.keys().join(format!("{name}.pub"));
        if self.keys.is_empty() {
            if !known.exists() {
                return Err(Failure::new(ExitCode::Usage, format!("no public key of {name} is known here"))
                    .hint(format!("say where it is with --key, or put it to {}", known.display())));
            }
            return PublicKeys::load(&[known]).map_err(Failure::usage_error);
        }
        let keys = PublicKeys::load(&self.keys).map_err(Failure::usage_error)?;
        if !known.exists() && !self.dry_run {
            place::keep_keys(&known, &keys)?;
        }
        Ok(keys)
    }

    /// Copies what is new.
    fn update(
        &self,
        invocation: &Invocation,
        replica: &Replica,
        progress: &dyn MirrorProgress,
    ) -> Result<Mirrored, Failure> {
        let opened = replica.place.open()?;
        let mirror = Mirror {
            name: &replica.name,
            source: &replica.source,
            replica: &*opened.store,
            trust: &replica.trust,
        };
        let mirrored = mirror.run(&self.request(invocation), progress)?;
        if self.collect && mirrored.is_new {
            // The copy is complete and shown, whatever becomes of this.
            if let Err(failure) = opened.collect(invocation) {
                failure.report(&invocation.output);
            }
        }
        for gone in &mirrored.gone {
            invocation.output.warn(format!("tag '{}' is left out: {}", gone.name, gone.reason));
        }
        Ok(mirrored)
    }

    fn request(&self, invocation: &Invocation) -> MirrorRequest {
        MirrorRequest {
            tags: self.selection(),
            workers: self.parallel,
            memory: self.memory.get(),
            now: invocation.now(),
            boot: boot(),
            unmarked_source: self.unmarked_source,
            dry_run: self.dry_run,
        }
    }

    fn selection(&self) -> TagSelection {
        match (self.newest_only, self.tags.is_empty() && self.tags_since.is_none()) {
            (true, _) => TagSelection::None,
            (false, true) => TagSelection::All,
            (false, false) => TagSelection::Some { patterns: self.tags.clone(), since: self.tags_since },
        }
    }
}

/// What stands behind the last slash of an address.
fn name_in(url: &str) -> Result<RepositoryName, Failure> {
    let name = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    name.parse().map_err(|error: varve_repository::NameError| {
        Failure::usage_error(error)
            .hint("the address ends in the repository's name: http://host/cvmfs/software.example.org")
    })
}

/// Tells one start of the operating system from another. Hashed, since the replica's status is served to everybody.
fn boot() -> Option<String> {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    Some(Algorithm::Sha1.hash(&id).to_string())
}
