//! The file system as the kernel's requests see it: inodes, names, listings. Knows no FUSE.
//!
//! Every operation takes a [`Patience`]. The thread that read a request calls it with none: it then answers from memory and
//! the disk cache or fails with [`Failure::WouldBlock`], and is called again by a thread that may wait.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use varve_repository::{
    Catalog, CatalogReference, EntryKind, EntryView, Reference, RepositoryName, RepositoryPath,
};
use varve_store::{Deadline, Freshness};

use crate::attached::{Attached, ErrorCount, Revision};
use crate::contents::{Ahead, Contents, OpenObjects};
use crate::error::chain;
use crate::failure::{Failure, Patience};
use crate::inodes::{Inodes, Loaded, ROOT, Range, record_of, reference_of};
use crate::plan::{MountPlan, MountedRepository, PlanRoot, RepositorySource};
use crate::pool::Pool;
use crate::process::journal::{Journal, Record, RootRecord};

/// A catalog that nobody asked during so many calls of [`Tree::tidy_up`] goes out of use.
const LOOKS_BEFORE_RETIREMENT: u32 = 5;

/// Everything that is served.
pub(crate) struct Tree {
    pub(crate) plan: Limits,
    pub(crate) pool: Arc<Pool>,
    pub(crate) open: Arc<OpenObjects>,
    ahead: Arc<Ahead>,
    pub(crate) inodes: Inodes,
    journal: Arc<Journal>,
    /// `None` if the mount is one repository.
    source: Option<Box<dyn RepositorySource>>,
    attached: ArcSwap<HashMap<RepositoryName, Arc<Attached>>>,
    /// Which root catalogs a predecessor showed.
    kept_roots: HashMap<RepositoryName, CatalogReference>,
}

/// The limits of a plan.
pub(crate) struct Limits {
    pub(crate) deadline: std::time::Duration,
    pub(crate) now: fn() -> std::time::SystemTime,
}

/// A row of a catalog.
pub(crate) struct Place {
    loaded: Held,
    pub(crate) row: u32,
}

/// A catalog in use, held without touching its shared count where that is possible.
enum Held {
    Guard(Guard<Option<Arc<Loaded>>>),
    Arc(Arc<Loaded>),
}

/// What an inode is.
pub(crate) enum Node {
    /// An entry of a catalog.
    Entry(Place),
    /// The root of a tree of repositories.
    TreeRoot,
}

/// What a listing shows.
pub(crate) enum Listing {
    /// The children of a directory of a catalog.
    Entries(Place),
    /// The repositories of a tree: name, inode and, if it is attached, its root.
    Repositories(Vec<(RepositoryName, u64, Option<Place>)>),
}

impl Place {
    pub(crate) fn loaded(&self) -> Option<&Arc<Loaded>> {
        match &self.loaded {
            Held::Guard(guard) => guard.as_ref(),
            Held::Arc(loaded) => Some(loaded),
        }
    }

    pub(crate) fn catalog(&self) -> Result<&Catalog, Failure> {
        self.loaded().map(|loaded| loaded.catalog.as_ref()).ok_or(Failure::NoEntry)
    }

    pub(crate) fn attached(&self) -> Result<&Arc<Attached>, Failure> {
        self.loaded().map(|loaded| &loaded.attached).ok_or(Failure::NoEntry)
    }

    pub(crate) fn entry(&self) -> Result<EntryView<'_>, Failure> {
        self.catalog()?.index().entry(self.row).ok_or(Failure::NoEntry)
    }

    /// The inode of this row: of the first name of a file with several. The root of a repository has its own number.
    pub(crate) fn inode(&self) -> u64 {
        let Some(loaded) = self.loaded() else { return ROOT };
        self.entry().map_or(ROOT, |entry| inode_of(loaded, &entry))
    }
}

/// The inode of an entry of that catalog.
pub(crate) fn inode_of(loaded: &Loaded, entry: &EntryView<'_>) -> u64 {
    if entry.row() == 0 && loaded.catalog.reference().path.is_root() {
        return loaded.attached.root_inode;
    }
    loaded.first + u64::from(entry.first_link_row())
}

impl Tree {
    /// Opens what is planned. One repository is attached at once, those of a tree when they are looked up.
    pub(crate) fn open(plan: MountPlan, journal: Arc<Journal>) -> Result<Self, Failure> {
        let pool = Arc::new(Pool::new(plan.slow_requests));
        let (source, one) = match plan.root {
            PlanRoot::One(mounted) => (None, Some(mounted)),
            PlanRoot::Tree(source) => (Some(source), None),
        };
        let mut kept_roots = HashMap::new();
        for record in journal.read().map_err(Failure::Journal)? {
            if let Record::Root(root) = record
                && let (Ok(name), Some(reference)) = (root.repository.parse(), reference_of(&root.catalog))
            {
                kept_roots.insert(name, reference);
            }
        }
        let tree = Self {
            plan: Limits { deadline: plan.deadline, now: plan.now },
            open: Arc::new(OpenObjects::new()),
            ahead: Arc::new(Ahead::new(Arc::clone(&pool))),
            pool,
            inodes: Inodes::restore(Arc::clone(&journal))?,
            journal,
            source,
            attached: ArcSwap::default(),
            kept_roots,
        };
        if let Some(mounted) = one {
            tree.attach(*mounted, Some(ROOT), Deadline::after(tree.plan.deadline))?;
        }
        Ok(tree)
    }

    /// The repositories in the mount.
    pub(crate) fn attached(&self) -> Vec<Arc<Attached>> {
        self.attached.load().values().cloned().collect()
    }

    /// Whether the mount is a tree of repositories.
    pub(crate) fn is_tree(&self) -> bool {
        self.source.is_some()
    }

    /// What an inode is.
    pub(crate) fn node(&self, inode: u64, patience: Patience) -> Result<Node, Failure> {
        if inode == ROOT {
            if self.is_tree() {
                return Ok(Node::TreeRoot);
            }
            let attached = self.attached.load();
            let attached = attached.values().next().ok_or(Failure::NoInode { inode })?;
            return self.root_place(attached).map(Node::Entry);
        }
        if let Some(guard) = self.inodes.find_loaded(inode) {
            let first = guard.as_ref().map_or(0, |loaded| {
                loaded.note_use();
                loaded.first
            });
            return Ok(Node::Entry(Place { loaded: Held::Guard(guard), row: (inode - first) as u32 }));
        }
        let range = self.inodes.find(inode).ok_or(Failure::NoInode { inode })?;
        let attached = self.repository(&range.repository, patience)?.ok_or(Failure::NoEntry)?;
        match &range.reference {
            None => self.root_place(&attached).map(Node::Entry),
            Some(reference) => {
                let loaded = load(&range, &attached, reference, patience)?;
                Ok(Node::Entry(Place { row: (inode - range.first) as u32, loaded: Held::Arc(loaded) }))
            }
        }
    }

    /// The entry that an inode is; not for the root of a tree.
    pub(crate) fn place(&self, inode: u64, patience: Patience) -> Result<Place, Failure> {
        match self.node(inode, patience)? {
            Node::Entry(place) => Ok(place),
            Node::TreeRoot => Err(Failure::IsDirectory),
        }
    }

    /// The entry of that name. A nested mount point is the entry that its parent has of it.
    pub(crate) fn lookup(&self, directory: u64, name: &[u8], patience: Patience) -> Result<Place, Failure> {
        let place = match self.node(directory, patience)? {
            Node::Entry(place) => self.enter(place, patience)?,
            Node::TreeRoot => {
                let name = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
                let attached = match name {
                    Some(name) => self.repository(&name, patience)?,
                    None => None,
                };
                return self.root_place(&attached.ok_or(Failure::NoEntry)?);
            }
        };
        let row = place.catalog()?.index().find(place.row, name).ok_or(Failure::NoEntry)?;
        Ok(Place { row, ..place })
    }

    /// What a listing of a directory shows.
    pub(crate) fn list(&self, directory: u64, patience: Patience) -> Result<Listing, Failure> {
        match self.node(directory, patience)? {
            Node::Entry(place) => self.enter(place, patience).map(Listing::Entries),
            Node::TreeRoot => {
                let attached = self.attached.load();
                let mut names: Vec<_> = attached.keys().cloned().collect();
                names.extend(self.source.as_ref().map(|source| source.listed()).unwrap_or_default());
                names.sort();
                names.dedup();
                let mut listed = Vec::with_capacity(names.len());
                for name in names {
                    let inode = self.inodes.range_of(&name, None, 1)?.first;
                    let place = attached.get(&name).and_then(|attached| self.root_place(attached).ok());
                    listed.push((name, inode, place));
                }
                Ok(Listing::Repositories(listed))
            }
        }
    }

    /// Reads a file into the buffer and says how far it was filled.
    pub(crate) fn read(
        &self,
        inode: u64,
        offset: u64,
        buffer: &mut [u8],
        patience: Patience,
    ) -> Result<usize, Failure> {
        let place = self.place(inode, patience)?;
        let entry = place.entry()?;
        match entry.kind() {
            EntryKind::File => {
                let loaded = place.loaded().ok_or(Failure::NoEntry)?;
                loaded.attached.contents.read(&loaded.catalog, &entry, offset, buffer, patience)
            }
            EntryKind::Directory => Err(Failure::IsDirectory),
            _ => Err(Failure::OtherKind),
        }
    }

    /// The directory whose children are the directory's: the root of the nested catalog for a mount point.
    pub(crate) fn enter(&self, place: Place, patience: Patience) -> Result<Place, Failure> {
        let entry = place.entry()?;
        if !entry.is_directory() {
            return Err(Failure::NotDirectory);
        }
        let loaded = place.loaded().ok_or(Failure::NoEntry)?;
        if let Some(range) = loaded.nested(place.row) {
            let nested = range.loaded();
            if let Some(loaded) = nested.as_ref() {
                loaded.note_use();
                return Ok(Place { loaded: Held::Guard(nested), row: 0 });
            }
        }
        let index = loaded.catalog.index();
        let reference = index.nested_at(place.row).or_else(|| index.bind_mount_at(place.row));
        let Some(reference) = reference else { return Ok(place) };
        let attached = &loaded.attached;
        let catalog = attached.loader.load(&reference, patience.deadline()?)?;
        let range =
            self.inodes.range_of(&attached.name, Some(&reference), u64::from(catalog.index().len()))?;
        let nested = put_in_use(&range, attached, catalog)?;
        loaded.remember_nested(place.row, range);
        Ok(Place { loaded: Held::Arc(nested), row: 0 })
    }

    /// Moves a repository to another revision.
    pub(crate) fn show(&self, attached: &Arc<Attached>, revision: Revision) -> Result<(), Failure> {
        let record = RootRecord {
            repository: attached.name.to_string(),
            catalog: record_of(&revision.reference),
            revision: revision.number(),
        };
        self.journal.append(&Record::Root(record)).map_err(Failure::Journal)?;
        revision.range.load(Arc::clone(attached), Arc::clone(&revision.catalog));
        attached.current.store(Arc::new(revision));
        Ok(())
    }

    /// The catalog of a revision's root, with its range.
    pub(crate) fn revision(
        &self,
        name: &RepositoryName,
        loader: &varve_repository::CatalogLoader,
        reference: CatalogReference,
        deadline: Deadline,
    ) -> Result<Revision, Failure> {
        let catalog = loader.load(&reference, deadline)?;
        let length = u64::from(catalog.index().len());
        let range = self.inodes.range_of(name, Some(&reference), length)?;
        Ok(Revision { manifest: None, reference, catalog, range })
    }

    /// To be called every few minutes: tells the cache which catalogs are in use, and puts those out of use that nobody has
    /// asked for a while. What is shown at the root of a repository stays.
    pub(crate) fn tidy_up(&self) {
        let attached = self.attached();
        let shown: Vec<u64> = attached.iter().map(|attached| attached.current.load().range.first).collect();
        for loaded in self.inodes.retire(LOOKS_BEFORE_RETIREMENT, |range| shown.contains(&range.first)) {
            loaded.attached.loader.release(&loaded.catalog.reference().hash);
            tracing::debug!(repository = %loaded.attached.name, path = %loaded.catalog.reference().path, "a catalog is out of use");
        }
    }

    fn root_place(&self, attached: &Arc<Attached>) -> Result<Place, Failure> {
        let loaded = attached.current.load().range.loaded();
        if loaded.is_none() {
            return Err(Failure::NoEntry);
        }
        Ok(Place { loaded: Held::Guard(loaded), row: 0 })
    }

    /// The repository of that name, attached now if it was not; `None` if there is none.
    fn repository(
        &self,
        name: &RepositoryName,
        patience: Patience,
    ) -> Result<Option<Arc<Attached>>, Failure> {
        if let Some(attached) = self.attached.load().get(name) {
            return Ok(Some(Arc::clone(attached)));
        }
        let Some(source) = &self.source else { return Ok(None) };
        let deadline = patience.deadline()?;
        let failed = |source| Failure::Attach { name: name.to_string(), source };
        match source.find(name).map_err(failed)? {
            Some(mounted) => self.attach(mounted, None, deadline).map(Some),
            None => Ok(None),
        }
    }

    fn attach(
        &self,
        mounted: MountedRepository,
        root_inode: Option<u64>,
        deadline: Deadline,
    ) -> Result<Arc<Attached>, Failure> {
        let name = mounted.repository.name().clone();
        let root_inode = match root_inode {
            Some(inode) => inode,
            None => self.inodes.range_of(&name, None, 1)?.first,
        };
        let loader = mounted.repository.loader();
        let (manifest, reference) = match self.kept_roots.get(&name) {
            // A predecessor showed it: so does this worker, without asking anybody.
            Some(reference) => (None, reference.clone()),
            None => match &mounted.reference {
                Reference::Hash(hash) => {
                    (None, CatalogReference { path: RepositoryPath::ROOT, hash: *hash, size: None })
                }
                reference => {
                    let fetched =
                        mounted.repository.fetch_manifest(Freshness::Cached, (self.plan.now)(), deadline)?;
                    if let Some(error) = &fetched.offline {
                        tracing::warn!(repository = %name, error = chain(error), "no server answers, mounting what is kept");
                    }
                    let root = mounted.repository.select(&fetched.manifest, reference, deadline)?;
                    (Some(fetched.manifest), root)
                }
            },
        };
        let mut revision = self.revision(&name, &loader, reference, deadline)?;
        revision.manifest = manifest.filter(|_| mounted.reference == Reference::Latest);
        let (cache, source) = (Arc::clone(loader.cache()), Arc::clone(loader.source()));
        let external = mounted.external.clone();
        let (open, ahead) = (Arc::clone(&self.open), Arc::clone(&self.ahead));
        let contents = Contents::new(cache, source, external, open, ahead);
        let (range, catalog) = (Arc::clone(&revision.range), Arc::clone(&revision.catalog));
        let record = RootRecord {
            repository: name.to_string(),
            catalog: record_of(&revision.reference),
            revision: revision.number(),
        };
        let attached = Arc::new(Attached {
            name: name.clone(),
            root_inode,
            mounted,
            loader,
            contents,
            current: ArcSwap::from_pointee(revision),
            errors: ErrorCount::default(),
        });
        self.journal.append(&Record::Root(record)).map_err(Failure::Journal)?;
        range.load(Arc::clone(&attached), catalog);
        // Of two threads that attach the same at the same time, the first one's counts.
        let mut present = Arc::clone(&attached);
        self.attached.rcu(|before| {
            let mut after = HashMap::clone(before);
            present = Arc::clone(after.entry(name.clone()).or_insert_with(|| Arc::clone(&attached)));
            after
        });
        Ok(present)
    }
}

fn load(
    range: &Arc<Range>,
    attached: &Arc<Attached>,
    reference: &CatalogReference,
    patience: Patience,
) -> Result<Arc<Loaded>, Failure> {
    let catalog = attached.loader.load(reference, patience.deadline()?)?;
    put_in_use(range, attached, catalog)
}

fn put_in_use(
    range: &Arc<Range>,
    attached: &Arc<Attached>,
    catalog: Arc<Catalog>,
) -> Result<Arc<Loaded>, Failure> {
    let in_use = range.loaded();
    if let Some(loaded) = in_use.as_ref() {
        return Ok(Arc::clone(loaded));
    }
    range.load(Arc::clone(attached), catalog);
    range.loaded().as_ref().cloned().ok_or(Failure::NoEntry)
}
