//! `varve repo ingest`: the content of a tar archive, or a container image, becomes a part of the next revision.

mod image;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use varve_publish::{IngestRequest, MEMORY_BUDGET, ingest, ingest_container};
use varve_repository::{RepositoryName, RepositoryPath, TagName};
use varve_store::ByteSize;

use self::image::ImageOptions;
use super::local::{self, PublishProgress};
use super::publish::{path, tell};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Bytes that are read at a time.
const BUFFER: usize = 256 << 10;

/// Publish the content of a tar archive, or a container image, without unpacking it
#[derive(Args, Debug)]
#[command(
    after_help = "The archive may be compressed with gzip, bzip2, xz or zstd. What is in the repository stays, \
                  unless the archive has the same names or --delete names it. The archive is read once, in order \
                  and without keeping it: it may come from a pipe. Nothing is mounted, no privileges are needed.\n\nWith \
                  --image, ARCHIVE is a container image: a directory in the OCI image layout, an archive of one, or one of \
                  `docker save`. See docs/operate/containers.md."
)]
pub(crate) struct Ingest {
    /// The repository
    name: RepositoryName,
    /// The archive, or - for the standard input; may be missing if something is deleted
    #[arg(required_unless_present = "delete")]
    archive: Option<PathBuf>,
    /// The directory of the repository that it is put into, made if missing
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    at: RepositoryPath,
    /// Remove this path of the repository before, with everything below it; may be given several times
    #[arg(long, value_name = "PATH", value_parser = path)]
    delete: Vec<RepositoryPath>,
    #[command(flatten)]
    image: ImageOptions,
    /// A name for the revision
    #[arg(long, short, value_name = "TAG")]
    tag: Option<TagName>,
    /// A description of the tag
    #[arg(long, short, value_name = "TEXT", requires = "tag", default_value = "", hide_default_value = true)]
    message: String,
    /// Threads; one per core if not given
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// The most memory for contents that wait to be stored
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::bytes(MEMORY_BUDGET))]
    memory: ByteSize,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl Ingest {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok());
        let tag = self.tag.map(|tag| (tag, self.message));
        let request = IngestRequest {
            at: self.at,
            delete: self.delete,
            tag,
            threads: threads.unwrap_or(NonZeroUsize::MIN),
            memory: self.memory.get(),
            now: invocation.now(),
        };
        if let (Some(name), Some(path)) = (self.image.image, &self.archive) {
            let progress = PublishProgress::start(invocation);
            let request = image::request(path, name, self.image.choice, request)?;
            let published = ingest_container(&local, &request, &progress)?;
            progress.finish();
            return tell(invocation, &self.name, &published, self.json);
        }
        let mut archive = self.archive.as_deref().map(open).transpose()?;
        let progress = PublishProgress::start(invocation);
        let archive = archive.as_mut().map(|archive| archive as &mut dyn BufRead);
        let published = ingest(&local, &request, archive, &progress)?;
        progress.finish();
        tell(invocation, &self.name, &published, self.json)
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        let input = io::stdin();
        if input.is_terminal() {
            return Err(Failure::usage("the archive can't come from a terminal: use a pipe, or name a file"));
        }
        return Ok(Box::new(BufReader::with_capacity(BUFFER, input)));
    }
    if path.is_dir() {
        return Err(Failure::usage(format!("{} is a directory, and no archive", path.display())).hint(
            "--image REGISTRY/NAME:TAG publishes a container image, `varve repo publish` a directory",
        ));
    }
    let file = File::open(path).map_err(|error| Failure::io("open", path, error))?;
    Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
}
