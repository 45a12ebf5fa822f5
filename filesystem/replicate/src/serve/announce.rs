//! Announcements: whoever listens is told at once that a repository shows another revision.
//!
//! What is told carries no trust: it only makes the listener ask, and verify, as it would have done later by itself.
//!
//! ```text
//! GET /cvmfs/NAME/api/v1/events   ─▶   retry: 5000
//!                                      event: revision
//!                                      data: 7 38cb3870b263c3327ff694d0ab371c62d9c1d8da
//!
//!                                      :                       (nothing new, but the connection stands)
//! ```
//!
//! While there are listeners, a thread looks five times a second whether the manifests are still the same files: that works
//! on every file system, and for whatever has replaced the file.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use http::{HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use rustix::fs::fstat;
use varve_chassis::{Body, PieceSender};
use varve_repository::SignedManifest;
use varve_store::RepositoryFile;

use super::plain;
use super::repositories::{Directory, Held, Repositories};

/// The most listeners of a server; others have to ask now and then instead.
const MOST_LISTENERS: usize = 2000;

/// So many events may wait for a listener; one that is slower is let go, and comes again.
const MOST_WAITING: usize = 8;

/// How often it is looked for another manifest.
const LOOK: Duration = Duration::from_millis(200);

/// How often a listener hears something, be it nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A comment, in the language of server-sent events.
const NOTHING: &str = ":\n\n";

/// The most bytes of a manifest.
const MANIFEST_LIMIT: usize = 1 << 20;

/// Those who listen, and what they have heard.
#[derive(Debug)]
pub(super) struct Announcer {
    repositories: Arc<Repositories>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watched: HashMap<String, Watched>,
    listeners: usize,
    /// A thread looks.
    looking: bool,
}

/// A repository that somebody listens to.
#[derive(Debug)]
struct Watched {
    seen: Option<Identity>,
    listeners: Vec<PieceSender>,
}

/// A file: another one has another identity, whatever is in it.
type Identity = (u64, u64, i64, u64, i64);

impl Announcer {
    pub(super) fn new(repositories: Arc<Repositories>) -> Arc<Self> {
        Arc::new(Self { repositories, state: Mutex::default() })
    }

    /// The response to a new listener: it begins with the revision that is shown now.
    pub(super) fn listen(self: &Arc<Self>, name: &str) -> Response<Body> {
        // A bucket is not looked at again and again: whoever reads from it looks by himself, as often as he must.
        let Some(Held::Directory(directory)) = self.repositories.open(name, true) else {
            return super::not_found();
        };
        let Some((identity, event)) = look(&directory) else { return super::not_found() };
        let (sender, body) = Body::pieces(MOST_WAITING);
        let mut state = self.state.lock();
        if state.listeners >= MOST_LISTENERS || !self.begin_looking(&mut state) {
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "too many listeners\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("300"));
            return response;
        }
        // There is room for it: nothing waits yet.
        let _ = sender.send(format!("retry: 5000\n{event}"));
        state.listeners += 1;
        let watched = state.watched.entry(name.to_owned());
        let watched = watched.or_insert_with(|| Watched { seen: Some(identity), listeners: Vec::new() });
        watched.listeners.push(sender);
        drop(state);
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Starts the thread, if there is none; whether one looks now.
    fn begin_looking(self: &Arc<Self>, state: &mut State) -> bool {
        if state.looking {
            return true;
        }
        let announcer = Arc::downgrade(self);
        let started = thread::Builder::new().name("announce".into()).spawn(move || keep_looking(&announcer));
        match started {
            Ok(_) => state.looking = true,
            Err(error) => tracing::warn!(%error, "cannot announce revisions"),
        }
        state.looking
    }

    /// Tells what has changed since the last time.
    fn look_once(&self, keep_alive: bool) {
        let names: Vec<String> = self.state.lock().watched.keys().cloned().collect();
        for name in names {
            // The lock is not held over the file system.
            let found = match self.repositories.open(&name, true) {
                Some(Held::Directory(directory)) => look(&directory),
                Some(Held::Bucket(_)) | None => None,
            };
            let mut state = self.state.lock();
            let State { watched: all, listeners: count, .. } = &mut *state;
            let Some(watched) = all.get_mut(&name) else { continue };
            let event = match found {
                Some((identity, event)) if watched.seen != Some(identity) => {
                    watched.seen = Some(identity);
                    Some(event)
                }
                _ => keep_alive.then(|| NOTHING.to_owned()),
            };
            let Some(event) = event else { continue };
            let event = bytes::Bytes::from(event);
            let before = watched.listeners.len();
            watched.listeners.retain(|listener| listener.send(event.clone()).is_ok());
            *count -= before - watched.listeners.len();
            if watched.listeners.is_empty() {
                all.remove(&name);
            }
        }
    }
}

/// Looks for as long as somebody listens.
fn keep_looking(announcer: &Weak<Announcer>) {
    let mut told = Instant::now();
    loop {
        thread::sleep(LOOK);
        let Some(announcer) = announcer.upgrade() else { return };
        let keep_alive = told.elapsed() >= KEEP_ALIVE;
        if keep_alive {
            told = Instant::now();
        }
        announcer.look_once(keep_alive);
        let mut state = announcer.state.lock();
        if state.watched.is_empty() {
            state.looking = false;
            return;
        }
    }
}

/// The manifest's identity and the event that tells it; `None` if it can't be read now.
fn look(directory: &Directory) -> Option<(Identity, String)> {
    let file = directory.open(RepositoryFile::Manifest.name()).ok()?;
    let identity = identity(&file)?;
    let mut bytes = vec![0; identity.3.min(MANIFEST_LIMIT as u64) as usize];
    let length = rustix::io::pread(&file, &mut bytes[..], 0).ok()?;
    let manifest = SignedManifest::parse(&bytes[..length]).ok()?;
    let claims = manifest.claims();
    Some((identity, format!("event: revision\ndata: {} {}\n\n", claims.revision, claims.root_catalog)))
}

fn identity(file: &OwnedFd) -> Option<Identity> {
    let stat = fstat(file).ok()?;
    // Of the same file in place, the times and the size tell.
    Some((stat.st_dev, stat.st_ino, stat.st_mtime, stat.st_size as u64, stat.st_mtime_nsec as i64))
}
