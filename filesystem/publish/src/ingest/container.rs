//! Publishes a container image: its layers, their sum as a root directory, and what engines want to know of it, see
//! [`crate::container`]. Every blob is read once, in order, straight into the pipeline, and verified; layers that the repository
//! has are not read again.
//!
//! ```text
//!  image ─▶ source (files by name) ─▶ choice (documents) ─▶ layers ─┬─▶ .layers   ┐
//!                                       repository ─▶ layers ───────┴─▶ .flat     ├─▶ ChangeSet
//!                                                          podman, apptainer ─────┘
//! ```

use std::io::{BufReader, Read as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use varve_repository::{Entry, EntryKind, Metadata, Mtime, Node, RepositoryPath, TagName};
use varve_store::ObjectStore;

use super::assembly::Assembly;
use super::error::{ArchiveError, ArchiveProblem};
use super::unpacking::{Devices, Room, Unpacking};
use super::{BUFFER, Gathered, compression};
use crate::base_revision::{Base, BaseError};
use crate::conclude::{Revising, Stopwatch, conclude};
use crate::container::{ImageName, path};
use crate::error::PublishError;
use crate::head::{Expiry, Publisher};
use crate::local::LocalRepository;
use crate::nesting::MARKER;
use crate::pipeline::{self, ContentStream, Feeder, PipelineConfig, Stamp};
use crate::progress::{Phase, Progress};
use crate::publish::{Published, Statistics, new_directory};
use crate::state::PublishState;
use crate::walk::{WalkTally, pending};

mod apptainer;
mod blob;
mod choice;
mod document;
mod error;
mod layers;
mod podman;
mod source;

pub use choice::Platform;
use choice::{Chosen, LayerBlob, Wanted, choose};
use error::BlobProblem;
pub use error::ContainerError;
use source::Source;

/// The most names in all layers of an image.
const MOST_MEMBERS: u64 = 5_000_000;

/// The largest list of images or layers that is taken over.
const LIST_LIMIT: u64 = 256 << 20;

/// Directories that engines mount on, which can't be made in a repository later.
const DIRECTORIES: [(&str, u32); 10] = [
    ("dev", 0o755),
    ("proc", 0o755),
    ("sys", 0o755),
    ("run", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// Files that engines mount on.
const FILES: [&str; 3] = ["etc/hosts", "etc/resolv.conf", "etc/hostname"];

/// A link that Podman makes in every root directory.
const LINK: (&str, &str) = ("etc/mtab", "/proc/mounts");

/// What is ingested, and how.
#[derive(Clone, Debug)]
pub struct ContainerRequest {
    /// A directory in the image layout, or an archive of one or of Docker's form.
    pub image: PathBuf,
    /// The name under which it is published.
    pub name: ImageName,
    /// What it is called where it is, if there are several.
    pub reference: Option<String>,
    /// For which machines.
    pub platform: Platform,
    /// How many bytes its layers may have, all contents together.
    pub limit: u64,
    /// A name for the revision, with a description.
    pub tag: Option<(TagName, String)>,
    /// How many threads work, beside the one that reads and decompresses.
    pub threads: NonZeroUsize,
    /// How many bytes of file contents may wait in memory.
    pub memory: u64,
    /// The time of the revision.
    pub now: SystemTime,
}

/// Ingests a container image.
///
/// # Errors
/// Any [`PublishError`]; the revision before stays the valid one.
pub fn ingest_container(
    local: &LocalRepository,
    request: &ContainerRequest,
    progress: &dyn Progress,
) -> Result<Published, PublishError> {
    let publisher = Publisher::open(local, Expiry::Refused, request.now)?;
    local.refuse_in_transaction()?;
    let head = &publisher.head;
    let revising = Revising {
        publisher: &publisher,
        tag: request.tag.as_ref(),
        threads: request.threads,
        now: request.now,
    };
    revising.check_tag()?;
    let base = Base::new(&*head.store, Some(head.root()));
    let mut clock = Stopwatch(Instant::now());
    progress.phase(Phase::Contents);
    let config = revising.pipeline(request.memory);
    let Gathered { changes, contents, read, tally } =
        gather(&config, head.settings.xattrs, &*head.store, &base, request, progress)?;
    let statistics = Statistics::gathered(&tally, &read, &contents, clock.lap());
    let old = head.manifest.root_catalog;
    let state = PublishState::read(&local.state);
    let remember =
        |new: &_| Ok(state.after_others(&old, new, &[&RepositoryPath::ROOT]).write(&local.state)?);
    conclude(&revising, &base, (changes, &contents), remember, progress, (statistics, tally.warnings))
}

/// Reads an image.
pub(crate) fn gather(
    config: &PipelineConfig,
    xattrs: bool,
    store: &dyn ObjectStore,
    base: &Base<'_>,
    request: &ContainerRequest,
    progress: &dyn Progress,
) -> Result<Gathered, PublishError> {
    let source = Source::open(&request.image)?;
    let wanted = Wanted { reference: request.reference.as_deref(), platform: &request.platform };
    let image = choose(&source, &wanted)?;
    let (gathered, contents, read) = pipeline::run(config, store, progress, |feeder| {
        let mut reading = Reading {
            source: &source,
            base,
            image: &image,
            request,
            xattrs,
            room: Room { members: MOST_MEMBERS, bytes: request.limit },
            feeder,
            progress,
            assembly: Assembly::default(),
            tally: WalkTally::default(),
        };
        reading.run()?;
        Ok::<_, ContainerError>((reading.assembly, reading.tally))
    })?;
    let (assembly, tally) = gathered?;
    let missing = |path: &RepositoryPath, owner| new_directory(path, owner, request.now);
    let changes = assembly.changes(base, &missing)?;
    Ok(Gathered { changes, contents, read, tally })
}

/// An image on its way into a repository.
struct Reading<'a, 'b> {
    source: &'a Source,
    base: &'a Base<'a>,
    image: &'a Chosen,
    request: &'a ContainerRequest,
    xattrs: bool,
    room: Room,
    feeder: &'a mut Feeder<'b>,
    progress: &'a dyn Progress,
    /// What changes in the repository.
    assembly: Assembly,
    tally: WalkTally,
}

impl Reading<'_, '_> {
    fn run(&mut self) -> Result<(), ContainerError> {
        let image = self.image;
        let directory = image.id.root_directory();
        let is_new = self.base.find(&directory)?.is_none();
        let mut flat = Assembly::default();
        let mut sizes = Vec::new();
        for layer in &image.layers {
            sizes.push(self.layer(layer, is_new.then_some(&mut flat))?);
        }
        if is_new {
            self.complete(&mut flat)?;
            layers::graft(&mut self.assembly, &directory, flat);
        }
        for place in [".flat", ".layers"] {
            self.text(&marker(&path(place)), b"")?;
        }
        self.describe_image(&podman::chain(image, &sizes))
    }

    /// Puts a layer over the root directory, and into the repository unless it is there. Returns its size without compression.
    fn layer(&mut self, layer: &LayerBlob, flat: Option<&mut Assembly>) -> Result<u64, ContainerError> {
        let directory = layer.digest.layer();
        let record = directory.join_all(".metadata/layers.json");
        let place = directory.join_all("layerfs");
        if let Some(stored) = self.base.find(&place)?
            && let Some((content, size)) = self.stored_file(&record)?.as_deref().and_then(podman::recorded)
            && content == layer.content
        {
            if let Some(flat) = flat {
                layers::put_over(flat, &layers::stored(self.base, &stored)?);
            }
            return Ok(size);
        }
        let (mut tree, size) = self.unpack(layer)?;
        if let Some(flat) = flat {
            layers::put_over(flat, &tree);
        }
        layers::mark(&mut tree);
        layers::describe(&mut tree.root);
        layers::graft(&mut self.assembly, &place, tree);
        let text = podman::layer_record(&layer.digest, layer.size, &layer.content, size, &self.now());
        self.text(&record, &text)?;
        self.text(&marker(&directory), b"")?;
        Ok(size)
    }

    /// Reads and verifies a layer.
    fn unpack(&mut self, layer: &LayerBlob) -> Result<(Assembly, u64), ContainerError> {
        let damaged = |problem| ContainerError::Blob { digest: layer.digest.clone(), problem };
        if layer.media_type.contains("encrypted") || !layer.media_type.contains("tar") {
            return Err(damaged(BlobProblem::Kind));
        }
        let failed = |source| ContainerError::Layer { digest: layer.digest.clone(), source };
        let io = |error: std::io::Error| {
            let problem = ArchiveProblem::from(error);
            failed(ArchiveError { offset: 0, member: None, behind: false, problem })
        };
        let mut packed = self.source.blob(&layer.file, layer.size)?;
        let plain = compression::decompressed(&mut packed).map_err(io)?;
        // Headers and padding count too: an archive of nothing else must end as well.
        let limit = self.request.limit.saturating_mul(2).saturating_add(1 << 30);
        let mut plain = BufReader::with_capacity(BUFFER, blob::Hashed::new(plain, limit));
        let mut unpacking = Unpacking {
            at: &RepositoryPath::ROOT,
            xattrs: self.xattrs,
            feeder: self.feeder,
            progress: self.progress,
            assembly: Assembly::default(),
            tally: std::mem::take(&mut self.tally),
            devices: Devices::LeftOut,
            room: self.room,
        };
        let unpacked = unpacking.run(&mut plain);
        let Unpacking { assembly, tally, room, .. } = unpacking;
        (self.tally, self.room) = (tally, room);
        let content = unpacked.and_then(|()| {
            plain.into_inner().finish().map_err(|error| {
                let problem = ArchiveProblem::from(error);
                ArchiveError { offset: 0, member: None, behind: false, problem }
            })
        });
        // What is damaged is no archive often: the digest tells more.
        if !matches!(&content, Err(ArchiveError { problem: ArchiveProblem::Stopped, .. })) {
            let found = packed.into_inner().finish().map_err(io)?;
            blob::check(&layer.digest, layer.size, found)?;
        }
        let (found, size) = content.map_err(failed)?;
        if found != layer.content {
            return Err(damaged(BlobProblem::Content { expected: layer.content.clone(), found }));
        }
        let mut assembly = assembly;
        layers::settle(&mut assembly.root);
        Ok((assembly, size))
    }

    /// Adds to a root directory what engines need in it.
    fn complete(&mut self, flat: &mut Assembly) -> Result<(), ContainerError> {
        let free = |flat: &Assembly, at: &RepositoryPath| {
            let parent = at.split_last().map(|(parent, _)| parent).unwrap_or_default();
            layers::kind_at(flat, at).is_none()
                && layers::kind_at(flat, &parent) == Some(EntryKind::Directory)
        };
        for (name, permissions) in DIRECTORIES {
            let at = path(name);
            if free(flat, &at) {
                let entry = layers::directory();
                let metadata = Metadata { permissions, ..entry.metadata };
                flat.directory(&at, Entry { metadata, ..entry }).map_err(within)?;
            }
        }
        for name in FILES.map(path) {
            if free(flat, &name) {
                self.put(flat, &name, b"", 0o644)?;
            }
        }
        let (at, target) = (path(LINK.0), LINK.1.as_bytes().to_vec());
        if free(flat, &at) {
            let entry = self.entry(Node::Symlink { target }, 0o777);
            flat.file(&at, entry, None).map_err(within)?;
        }
        let scripts = path(apptainer::DIRECTORY);
        if free(flat, &scripts) {
            for (name, text) in apptainer::files(&self.image.parsed) {
                self.put(flat, &scripts.join_all(name), text.as_bytes(), 0o755)?;
            }
        }
        if free(flat, &marker(&RepositoryPath::ROOT)) {
            self.put(flat, &marker(&RepositoryPath::ROOT), b"", 0o444)?;
        }
        layers::describe(&mut flat.root);
        Ok(())
    }

    /// Lets people and engines find the image.
    fn describe_image(&mut self, chain: &[podman::ChainLayer]) -> Result<(), ContainerError> {
        let (image, name, now) = (self.image, &self.request.name, self.now());
        self.text(&name.manifest(), &image.manifest)?;
        for (key, bytes) in podman::files(image) {
            self.text(&image.id.image_file(&key), bytes)?;
        }
        for layer in chain {
            let blob = layer.digest.layer().to_string();
            let directory = format!("{}/overlay/{}", podman::STORE, layer.id);
            self.link(&path(&format!("{directory}/diff")), &format!("../../..{blob}/layerfs"))?;
            self.text(&path(&format!("{directory}/link")), layer.link.as_bytes())?;
            if let Some(lower) = &layer.lower {
                self.text(&path(&format!("{directory}/lower")), lower.as_bytes())?;
            }
            let short = path(&format!("{}/overlay/l/{}", podman::STORE, layer.link));
            self.link(&short, &format!("../{}/diff", layer.id))?;
        }
        let list = |name: &str| path(&format!("{}/overlay-{name}", podman::STORE));
        for lock in ["images/images.lock", "layers/layers.lock"] {
            self.text(&list(lock), b"")?;
        }
        let at = list("layers/layers.json");
        let known = self.stored_file(&at)?;
        let malformed = |at: &RepositoryPath| ContainerError::Stored { path: at.to_string() };
        let text = podman::layers(known.as_deref(), chain, &now).ok_or_else(|| malformed(&at))?;
        self.text(&at, &text)?;
        let at = list("images/images.json");
        let known = self.stored_file(&at)?;
        let text = podman::images(known.as_deref(), image, name.as_str(), chain.last(), &now)
            .ok_or_else(|| malformed(&at))?;
        self.text(&at, &text)?;
        self.link(&name.link(), &name.target(&image.id))
    }

    /// A file of the repository with that text; nothing happens if it is there.
    fn text(&mut self, at: &RepositoryPath, text: &[u8]) -> Result<(), ContainerError> {
        if self.stored_file(at)?.as_deref() == Some(text) {
            return Ok(());
        }
        let mut assembly = std::mem::take(&mut self.assembly);
        let put = self.put(&mut assembly, at, text, 0o644);
        self.assembly = assembly;
        put
    }

    fn put(
        &mut self,
        into: &mut Assembly,
        at: &RepositoryPath,
        text: &[u8],
        permissions: u32,
    ) -> Result<(), ContainerError> {
        let stamp = Stamp { size: text.len() as u64, mtime: self.mtime() };
        let ticket = self.feeder.stream(at, stamp, &mut Text(text)).map_err(within)?;
        let entry = self.entry(Node::File(pending(stamp.size)), permissions);
        into.file(at, entry, Some(ticket)).map_err(within)
    }

    fn link(&mut self, at: &RepositoryPath, target: &str) -> Result<(), ContainerError> {
        let node = Node::Symlink { target: target.as_bytes().to_vec() };
        if let Some((parent, name)) = at.split_last()
            && let Some(parent) = self.base.find(&parent)?
            && parent.child(name.as_bytes()).is_some_and(|entry| entry.node == node)
        {
            return Ok(());
        }
        let entry = self.entry(node, 0o777);
        self.assembly.file(at, entry, None).map_err(within)
    }

    fn entry(&self, node: Node, permissions: u32) -> Entry {
        let directory = layers::directory();
        let metadata = Metadata { permissions, mtime: self.mtime(), ..directory.metadata };
        Entry { node, metadata, ..directory }
    }

    /// What the repository has at a path now, if it is a file.
    fn stored_file(&self, at: &RepositoryPath) -> Result<Option<Vec<u8>>, BaseError> {
        let Some((parent, name)) = at.split_last() else { return Ok(None) };
        let Some(parent) = self.base.find(&parent)? else { return Ok(None) };
        match parent.child(name.as_bytes()).map(|entry| &entry.node) {
            Some(Node::File(content)) => self.base.read(content, LIST_LIMIT),
            _ => Ok(None),
        }
    }

    fn mtime(&self) -> Mtime {
        let since = self.request.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Mtime { seconds: since.as_secs() as i64, nanoseconds: Some(0) }
    }

    fn now(&self) -> String {
        let time = jiff::Timestamp::from_second(self.mtime().seconds).unwrap_or_default();
        time.to_string()
    }
}

/// A problem with what is made here, not with what was read.
fn within(problem: ArchiveProblem) -> ContainerError {
    ArchiveError { offset: 0, member: None, behind: false, problem }.into()
}

impl From<ArchiveError> for ContainerError {
    fn from(error: ArchiveError) -> Self {
        Self::Changes(error.into())
    }
}

fn marker(directory: &RepositoryPath) -> RepositoryPath {
    directory.join_all(std::str::from_utf8(MARKER).expect("because it is ASCII"))
}

trait JoinAll {
    /// A path further down.
    fn join_all(&self, below: &str) -> RepositoryPath;
}

impl JoinAll for RepositoryPath {
    fn join_all(&self, below: &str) -> RepositoryPath {
        path(below).components().fold(self.clone(), |path, name| path.join(&name))
    }
}

/// The content of a file that is made here.
struct Text<'a>(&'a [u8]);

impl ContentStream for Text<'_> {
    type Error = ArchiveProblem;

    fn read(&mut self, into: &mut Vec<u8>, limit: usize) -> Result<(), ArchiveProblem> {
        self.0.by_ref().take(limit as u64).read_to_end(into)?;
        Ok(())
    }

    fn zeros(&self) -> u64 {
        0
    }

    fn skip_zeros(&mut self, _: u64) {}
}

#[cfg(test)]
mod tests;
