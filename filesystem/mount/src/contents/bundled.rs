//! Small files by the bundle: when a second file of a bundle is missing, the whole bundle is fetched, and those behind it
//! while its files are read. One file of a bundle alone is fetched by itself.
//!
//! ```text
//! unknown ── looked for in the cache ──▶ absent ── second miss ──▶ fetched ──▶ open ── a minute, or too many ──▶ unknown
//!                     └────────────────────────── found ────────────────────────▲
//! ```

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use varve_content::ContentHash;
use varve_repository::{Bundle, Catalog, EntryView};
use varve_store::{Cache, CachedBundle, Deadline, ObjectSource};

use super::ahead::{Ahead, MOST_AHEAD};

/// How many bundles are held open, and for how long: opening checks the content again.
const MOST_OPEN: NonZeroUsize = NonZeroUsize::new(64).expect("because it is not 0");
const OPEN_FOR: Duration = Duration::from_secs(60);

/// Of how many bundles that are not here it is known how often they were missed.
const MOST_KNOWN: NonZeroUsize = NonZeroUsize::new(1024).expect("because it is not 0");

/// So many of a bundle's files are fetched one by one; the next one brings the bundle.
const MISSES_ALONE: u32 = 1;

/// How long a bundle that could not be had is not tried again.
const PAUSE: Duration = Duration::from_secs(30);

/// A bundle of a catalog, by its first row.
type Place = (ContentHash, u32);

/// The bundles of one repository.
pub(super) struct Bundled {
    cache: Arc<Cache>,
    source: Arc<dyn ObjectSource>,
    open: Mutex<LruCache<Place, Arc<OpenBundle>>>,
    absent: Mutex<LruCache<Place, Absence>>,
}

struct OpenBundle {
    bundle: Bundle,
    content: CachedBundle,
    since: Instant,
    /// Whether a reader was here, and how many bundles behind this were fetched then.
    used: AtomicBool,
    window: AtomicUsize,
}

/// What is known of a bundle that was not in the cache.
#[derive(Clone, Copy)]
enum Absence {
    Missed(u32),
    /// Being fetched ahead of its readers.
    Coming,
    /// Not to be had.
    Failed(Instant),
}

/// A small file and the bundle that it lies in.
pub(super) struct BundledFile {
    place: Place,
    rows: std::ops::Range<u32>,
    row: u32,
}

impl Bundled {
    pub(super) fn new(cache: Arc<Cache>, source: Arc<dyn ObjectSource>) -> Self {
        let (open, absent) = (LruCache::new(MOST_OPEN), LruCache::new(MOST_KNOWN));
        Self { cache, source, open: Mutex::new(open), absent: Mutex::new(absent) }
    }

    /// The bundle that a file belongs to, if it does.
    pub(super) fn find(&self, catalog: &Catalog, entry: &EntryView<'_>) -> Option<BundledFile> {
        if !Bundle::may_hold(entry) || !self.cache.has_room_for_bundles(Bundle::MOST_BYTES) {
            return None;
        }
        let rows = catalog.bundles().around(entry.row())?;
        Some(BundledFile { place: (catalog.reference().hash, rows.start), rows, row: entry.row() })
    }

    /// Fills the buffer from the bundle, if that is here: open, or in the cache. Goes ahead of the reader if `ahead` is given.
    pub(super) fn read_here(
        self: &Arc<Self>,
        catalog: &Arc<Catalog>,
        file: &BundledFile,
        offset: u64,
        buffer: &mut [u8],
        ahead: Option<&Ahead>,
    ) -> bool {
        let Some(bundle) = self.opened(&file.place).or_else(|| self.open_kept(catalog, file)) else {
            return false;
        };
        if let Some(ahead) = ahead {
            self.go_ahead(catalog, file, &bundle, ahead);
        }
        bundle.read(file.row, offset, buffer)
    }

    /// The rows of all files of a bundle that is open.
    pub(super) fn rows_beside(&self, file: &BundledFile) -> Vec<u32> {
        self.opened(&file.place).map(|bundle| bundle.bundle.rows().to_vec()).unwrap_or_default()
    }

    /// Notes that a file was neither in an open bundle nor in the cache; fetches the bundle if it is time to. Says whether
    /// it is here now.
    pub(super) fn missed(
        self: &Arc<Self>,
        catalog: &Catalog,
        file: &BundledFile,
        deadline: Deadline,
    ) -> bool {
        let follows_another =
            file.rows.start.checked_sub(1).is_some_and(|before| self.is_in_use(catalog, before));
        {
            let mut absent = self.absent.lock();
            match absent.get_mut(&file.place) {
                Some(Absence::Failed(since)) if since.elapsed() < PAUSE => return false,
                Some(Absence::Missed(misses)) if *misses < MISSES_ALONE && !follows_another => {
                    *misses += 1;
                    return false;
                }
                Some(_) => {}
                None if follows_another => {}
                None => {
                    absent.put(file.place, Absence::Missed(1));
                    return false;
                }
            }
        }
        self.fetch(catalog, file, deadline)
    }

    /// Whether readers were in the bundle around a row.
    fn is_in_use(&self, catalog: &Catalog, row: u32) -> bool {
        let Some(rows) = catalog.bundles().around(row) else { return false };
        let open = self.open.lock();
        open.peek(&(catalog.reference().hash, rows.start)).is_some_and(|bundle| bundle.is_used())
    }

    fn fetch(&self, catalog: &Catalog, file: &BundledFile, deadline: Deadline) -> bool {
        let Some(bundle) = Bundle::of(catalog.index(), file.rows.clone()) else {
            self.absent.lock().put(file.place, Absence::Failed(Instant::now()));
            return false;
        };
        match self.cache.bundle(&bundle.key, &bundle.requests, self.source.as_ref(), deadline) {
            Ok(content) => {
                self.put(file.place, bundle, content);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a bundle could not be fetched");
                self.absent.lock().put(file.place, Absence::Failed(Instant::now()));
                false
            }
        }
    }

    fn opened(&self, place: &Place) -> Option<Arc<OpenBundle>> {
        let mut open = self.open.lock();
        let bundle = open.get(place)?;
        if bundle.since.elapsed() < OPEN_FOR {
            return Some(Arc::clone(bundle));
        }
        let old = open.pop(place);
        drop(open);
        drop(old);
        None
    }

    /// Opens the bundle if the cache has it and nobody has looked yet.
    fn open_kept(&self, catalog: &Catalog, file: &BundledFile) -> Option<Arc<OpenBundle>> {
        if self.absent.lock().contains(&file.place) {
            return None;
        }
        let bundle = Bundle::of(catalog.index(), file.rows.clone());
        let content = bundle
            .as_ref()
            .and_then(|bundle| self.cache.peek_bundle(&bundle.key, bundle.requests.len()).ok().flatten());
        match (bundle, content) {
            (Some(bundle), Some(content)) => Some(self.put(file.place, bundle, content)),
            (bundle, _) => {
                let absence = bundle.map_or(Absence::Failed(Instant::now()), |_| Absence::Missed(0));
                self.absent.lock().put(file.place, absence);
                None
            }
        }
    }

    fn put(&self, place: Place, bundle: Bundle, content: CachedBundle) -> Arc<OpenBundle> {
        let opened = Arc::new(OpenBundle {
            bundle,
            content,
            since: Instant::now(),
            used: AtomicBool::new(false),
            window: AtomicUsize::new(1),
        });
        let before = self.open.lock().push(place, Arc::clone(&opened));
        self.absent.lock().pop(&place);
        drop(before);
        opened
    }

    /// When a bundle is read for the first time: fetches those behind it, twice as many as the one before it did.
    fn go_ahead(
        self: &Arc<Self>,
        catalog: &Arc<Catalog>,
        file: &BundledFile,
        bundle: &OpenBundle,
        ahead: &Ahead,
    ) {
        if bundle.used.swap(true, Ordering::Relaxed) {
            return;
        }
        let hash = catalog.reference().hash;
        let before = file.rows.start.checked_sub(1).and_then(|row| catalog.bundles().around(row));
        let window = before.and_then(|rows| {
            let mut open = self.open.lock();
            let before = open.get(&(hash, rows.start)).filter(|before| before.is_used())?;
            Some((2 * before.window.load(Ordering::Relaxed)).min(MOST_AHEAD))
        });
        let window = window.unwrap_or(1);
        bundle.window.store(window, Ordering::Relaxed);
        let mut row = file.rows.end;
        for _ in 0..window {
            let Some(rows) = catalog.bundles().around(row) else { break };
            row = rows.end;
            let next = BundledFile { place: (hash, rows.start), row: rows.start, rows };
            if self.open.lock().contains(&next.place) {
                continue;
            }
            {
                let mut absent = self.absent.lock();
                match absent.get(&next.place) {
                    Some(Absence::Coming) => continue,
                    Some(Absence::Failed(since)) if since.elapsed() < PAUSE => continue,
                    _ => absent.put(next.place, Absence::Coming),
                };
            }
            let (this, catalog, place) = (Arc::clone(self), Arc::clone(catalog), next.place);
            let runs = ahead.run(move |deadline| {
                this.fetch(&catalog, &next, deadline);
            });
            if !runs {
                self.absent.lock().pop(&place);
                break;
            }
        }
    }
}

impl OpenBundle {
    fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Fills the whole buffer from that file. `false` if it is not in here, or not as the catalog says: whoever then asks for
    /// it by itself learns why.
    fn read(&self, row: u32, offset: u64, buffer: &mut [u8]) -> bool {
        let Some(position) = self.bundle.position(row) else { return false };
        let Ok(content) = self.content.content(position, &self.bundle.requests[position]) else {
            return false;
        };
        let from = usize::try_from(offset).ok();
        let part = from.and_then(|from| content.get(from..from.checked_add(buffer.len())?));
        if let Some(part) = part {
            buffer.copy_from_slice(part);
        }
        part.is_some()
    }
}
