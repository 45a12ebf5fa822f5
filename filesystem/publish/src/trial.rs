//! For tests: publishes trees into a store in memory, and shows what a revision holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use varve_repository::{
    CatalogReference, Entry, FileContent, HardLink, Metadata, Mtime, NestedRole, Node, RepositoryPath, Xattrs,
};
use varve_store::MemoryStore;
use varve_testkit::escape;

use crate::apply::{ApplyError, Revision, apply};
use crate::base_revision::{Base, BaseDirectory};
use crate::catalogs::WrittenCatalogs;
use crate::change::ChangeSet;
use crate::error::PublishError;
use crate::ingest::{ContainerRequest, IngestRequest, gather, gather_container};
use crate::pipeline::{self, PipelineConfig, PipelineTally};
use crate::progress::Silent;
use crate::settings::Settings;
use crate::source::SourceDirectory;
use crate::walk::{Owners, WalkOptions, WalkTally, walk};

/// Where every published tree is newer than the past and older than the future.
pub(crate) const TRUST_ALL: Option<Mtime> = Some(Mtime { seconds: i64::MAX, nanoseconds: None });

/// A repository without signatures and tags.
pub(crate) struct Trial {
    pub(crate) store: MemoryStore,
    pub(crate) settings: Settings,
    pub(crate) root: Option<CatalogReference>,
    pub(crate) revision: u64,
    pub(crate) threads: usize,
}

/// What a publish into a [`Trial`] did.
pub(crate) struct Outcome {
    pub(crate) catalogs: WrittenCatalogs,
    pub(crate) read: PipelineTally,
    pub(crate) walked: WalkTally,
}

impl Trial {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { store: MemoryStore::new(), settings, root: None, revision: 0, threads: 3 }
    }

    pub(crate) fn base(&self) -> Base<'_> {
        Base::new(&self.store, self.root.clone())
    }

    /// Publishes a tree as the whole repository.
    pub(crate) fn publish(&mut self, tree: &Path) -> Outcome {
        self.publish_at(tree, &RepositoryPath::ROOT, TRUST_ALL).expect("the tree can be published")
    }

    pub(crate) fn publish_at(
        &mut self,
        tree: &Path,
        at: &RepositoryPath,
        trusted_before: Option<Mtime>,
    ) -> Result<Outcome, ApplyError> {
        let config = self.pipeline();
        let base = self.base();
        let source = SourceDirectory::open(tree).expect("the tree can be opened");
        let options = WalkOptions { xattrs: self.settings.xattrs, trusted_before, owners: Owners::Recorded };
        let (walked, contents, read) = pipeline::run(&config, &self.store, &Silent, |feeder| {
            walk(options, &source, at, &base, feeder, &Silent)
        })
        .expect("the contents can be stored");
        let (change, walked) = walked.expect("the tree can be walked");
        let changes = ChangeSet { root: change }.below(at, |path| {
            base.find(path).expect("the base can be read").is_none().then(|| directory(path))
        });
        let catalogs = self.apply_to(&base, changes, &contents)?;
        drop(base);
        self.accept(&catalogs);
        Ok(Outcome { catalogs, read, walked })
    }

    /// Ingests an archive at `at`, after removing what `delete` names.
    pub(crate) fn ingest(
        &mut self,
        mut archive: &[u8],
        at: &str,
        delete: &[&str],
    ) -> Result<Outcome, PublishError> {
        let path = |text: &str| RepositoryPath::new(text.as_bytes()).expect("a path");
        let request = IngestRequest {
            at: path(at),
            delete: delete.iter().map(|text| path(text)).collect(),
            tag: None,
            threads: NonZeroUsize::new(self.threads).expect("not zero"),
            memory: 1 << 20,
            now: UNIX_EPOCH + Duration::from_secs(1_600_000_000),
        };
        let config = self.pipeline();
        let base = self.base();
        let archive: Option<&mut dyn BufRead> = Some(&mut archive);
        let xattrs = self.settings.xattrs;
        let gathered = gather(&config, xattrs, &self.store, &base, &request, archive, &Silent)?;
        let catalogs = self.apply_to(&base, gathered.changes, &gathered.contents)?;
        drop(base);
        self.accept(&catalogs);
        Ok(Outcome { catalogs, read: gathered.read, walked: gathered.tally })
    }

    /// Ingests a container image.
    pub(crate) fn ingest_container(&mut self, request: &ContainerRequest) -> Result<Outcome, PublishError> {
        let config = self.pipeline();
        let base = self.base();
        let xattrs = self.settings.xattrs;
        let gathered = gather_container(&config, xattrs, &self.store, &base, request, &Silent)?;
        let catalogs = self.apply_to(&base, gathered.changes, &gathered.contents)?;
        drop(base);
        self.accept(&catalogs);
        Ok(Outcome { catalogs, read: gathered.read, walked: gathered.tally })
    }

    /// Applies a list of changes that needs no contents.
    pub(crate) fn change(&mut self, changes: ChangeSet) -> Result<WrittenCatalogs, ApplyError> {
        let base = self.base();
        let catalogs = self.apply_to(&base, changes, &pipeline::Contents::default())?;
        drop(base);
        self.accept(&catalogs);
        Ok(catalogs)
    }

    fn pipeline(&self) -> PipelineConfig {
        PipelineConfig {
            algorithm: self.settings.algorithm,
            compression: self.settings.compression,
            effort: self.settings.effort,
            chunks: self.settings.chunks,
            threads: NonZeroUsize::new(self.threads).expect("not zero"),
            budget: 1 << 20,
        }
    }

    fn apply_to(
        &self,
        base: &Base<'_>,
        changes: ChangeSet,
        contents: &pipeline::Contents,
    ) -> Result<WrittenCatalogs, ApplyError> {
        let threads = NonZeroUsize::new(self.threads).expect("not zero");
        let previous = self.root.as_ref().map(|root| root.hash);
        let revision = Revision { number: self.revision + 1, published: 1_700_000_000, previous };
        apply(&self.settings, threads, &self.store, base, changes, contents, revision)
    }

    fn accept(&mut self, catalogs: &WrittenCatalogs) {
        if !catalogs.unchanged {
            self.revision += 1;
            self.root = Some(catalogs.root.clone());
        }
    }

    /// The revision in the form of the testkit's listings, with nlink as catalogs have it.
    pub(crate) fn listing(&self) -> String {
        let base = self.base();
        let mut text = String::new();
        if let Some(root) = base.root().expect("the base can be read") {
            let entry = root.entry().expect("the root has an entry").clone();
            self.list(&base, &RepositoryPath::ROOT, &entry, Some(&root), &mut text);
        }
        text
    }

    fn list(
        &self,
        base: &Base<'_>,
        path: &RepositoryPath,
        entry: &Entry,
        directory: Option<&BaseDirectory>,
        text: &mut String,
    ) {
        let Metadata { permissions, uid, gid, mtime } = entry.metadata;
        let mut size = "0".to_owned();
        let (mut content, mut target) = ("-".to_owned(), "-".to_owned());
        let kind = match &entry.node {
            Node::Directory { .. } => {
                size = "-".to_owned();
                'd'
            }
            Node::File(file) => {
                size = file.size.to_string();
                content = sha256(&self.read(base, file));
                'f'
            }
            Node::Symlink { target: bytes } => {
                size = bytes.len().to_string();
                target = escape(bytes);
                'l'
            }
            Node::Fifo => 'p',
            Node::Socket => 's',
            Node::CharacterDevice { .. } => 'c',
            Node::BlockDevice { .. } => 'b',
        };
        let xattrs: Vec<String> = entry
            .xattrs
            .iter()
            .map(|(name, value)| {
                let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{}={digits}", escape(name))
            })
            .collect();
        let xattrs = if xattrs.is_empty() { "-".to_owned() } else { xattrs.join(",") };
        let shown = if path.is_root() { "/".to_owned() } else { escape(path.as_bytes()) };
        writeln!(
            text,
            "{shown}\t{kind}\t{permissions:04o}\t{uid}\t{gid}\t{size}\t{}\t{}\t{content}\t{target}\t{xattrs}\t-",
            mtime.seconds, entry.hard_link.count
        )
        .expect("a string takes everything");
        for child in directory.iter().flat_map(|directory| directory.children()).filter(|child| !child.hidden)
        {
            let name = child.name.as_ref().expect("children have names");
            let inner = matches!(child.node, Node::Directory { .. })
                .then(|| base.enter(directory.expect("it has children"), child).expect("loadable"));
            self.list(base, &path.join(name), child, inner.as_ref(), text);
        }
    }

    pub(crate) fn read(&self, base: &Base<'_>, file: &FileContent) -> Vec<u8> {
        base.read(file, u64::MAX).expect("the objects can be read").expect("the file is not external")
    }

    /// All catalogs by their directory, as text: entries, references and counters, but not their history.
    pub(crate) fn catalogs(&self) -> BTreeMap<String, String> {
        let base = self.base();
        let mut catalogs = BTreeMap::new();
        let mut waiting: Vec<CatalogReference> = self.root.clone().into_iter().collect();
        while let Some(reference) = waiting.pop() {
            let directory = base.find(&reference.path).expect("the base can be read").expect("it is there");
            let catalog = &directory.catalog;
            assert_eq!(catalog.reference, reference);
            let mut text = format!("{:?}\n{:?}\n", catalog.counters, catalog.everything());
            let mut nested: Vec<_> = catalog.nested.values().cloned().collect();
            nested.sort_by(|left, right| left.path.cmp(&right.path));
            for reference in &nested {
                writeln!(text, "nested {}", reference.path).expect("a string takes everything");
            }
            waiting.extend(nested);
            catalogs.insert(reference.path.to_string(), text);
        }
        catalogs
    }

    /// Recounts every catalog and compares with what it says of itself.
    pub(crate) fn check_counters(&self) {
        fn total(base: &Base<'_>, path: &RepositoryPath) -> varve_repository::TreeCounters {
            let directory = base.find(path).expect("readable").expect("it is there");
            let catalog = directory.catalog.clone();
            let mut own = varve_repository::TreeCounters::default();
            for entry in catalog.everything() {
                own.count(entry);
            }
            own.nested_catalogs = catalog.nested.len() as u64;
            let mut below = varve_repository::TreeCounters::default();
            for reference in catalog.nested.values() {
                below.add(&total(base, &reference.path));
            }
            assert_eq!(catalog.counters.subtree, below, "below the catalog of {path}");
            own.add(&below);
            assert_eq!(catalog.counters.total(), own, "catalog of {path}");
            catalog.counters.total()
        }
        total(&self.base(), &RepositoryPath::ROOT);
    }
}

/// A directory that nobody described.
pub(crate) fn directory(path: &RepositoryPath) -> Entry {
    Entry {
        name: path.split_last().map(|(_, name)| name),
        metadata: Metadata {
            permissions: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime { seconds: 1_600_000_000, nanoseconds: Some(0) },
        },
        node: Node::Directory { size: 4096 },
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
