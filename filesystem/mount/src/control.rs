//! The control socket: one line with a command in, one JSON document out, per connection.
//!
//! | command | answer |
//! |---|---|
//! | `status` | the state of the mount, see [`Status`] |
//! | `refresh` | asks for new revisions now, then as `status` |

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::MountError;
use crate::follow::Nudge;
use crate::tree::Tree;

/// Nobody needs longer to say what they want, or to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_COMMAND: u64 = 100;

/// The state of a mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Where it is mounted.
    pub directory: PathBuf,
    /// The process that serves it.
    pub worker: u32,
    /// Catalogs in use.
    pub catalogs: usize,
    /// The largest inode number given out.
    pub largest_inode: u64,
    /// Objects held open.
    pub open_objects: usize,
    /// Requests that wait for a thread that may use the network.
    pub waiting_requests: usize,
    /// The repositories in it.
    pub repositories: Vec<RepositoryStatus>,
}

/// The state of a repository in a mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RepositoryStatus {
    /// Its name.
    pub name: String,
    /// The revision it shows.
    pub revision: u64,
    /// The hash of its root catalog.
    pub root_hash: String,
    /// Whether it moves to new revisions.
    pub follows: bool,
    /// Objects that were in the cache.
    pub cache_hits: u64,
    /// Objects that had to be fetched.
    pub cache_misses: u64,
    /// Bytes of content that were fetched.
    pub bytes_fetched: u64,
    /// Requests that failed for another reason than a name.
    pub errors: u64,
    /// When the last of them was, in seconds since 1970, or 0.
    pub last_error: i64,
}

/// Asks the mount behind a control socket.
///
/// # Errors
/// [`MountError::Io`] if nobody listens there, [`MountError::Malformed`] if the answer is none.
pub fn ask(socket: &Path, command: &str) -> Result<Status, MountError> {
    let failed = || MountError::io("ask", socket);
    let mut stream = UnixStream::connect(socket).map_err(failed())?;
    stream.write_all(format!("{command}\n").as_bytes()).map_err(failed())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed())?;
    serde_json::from_str(&answer).map_err(|_| MountError::Malformed { what: "status" })
}

/// Listens for questions. A socket that a predecessor left is replaced.
pub(crate) fn listen(path: &Path, directory: PathBuf, tree: Arc<Tree>, nudge: Nudge) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let (tree, nudge, directory) = (Arc::clone(&tree), nudge.clone(), directory.clone());
            let _ = std::thread::Builder::new()
                .name("answer".into())
                .spawn(move || answer(stream, &directory, &tree, &nudge));
        }
    })?;
    Ok(())
}

fn answer(mut stream: UnixStream, directory: &Path, tree: &Tree, nudge: &Nudge) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let mut command = String::new();
    if BufReader::new(&stream).take(LONGEST_COMMAND).read_line(&mut command).is_err() {
        return;
    }
    if command.trim() == "refresh" {
        nudge.wait();
    }
    if let Ok(text) = serde_json::to_string(&status(directory, tree)) {
        let _ = stream.write_all(text.as_bytes());
    }
}

fn status(directory: &Path, tree: &Tree) -> Status {
    let (catalogs, largest_inode) = tree.inodes.summary();
    let mut repositories: Vec<_> = tree
        .attached()
        .iter()
        .map(|attached| {
            let current = attached.current.load();
            let counters = attached.contents.cache().counters();
            let (errors, last_error) = attached.errors.get();
            RepositoryStatus {
                name: attached.name.to_string(),
                revision: current.number(),
                root_hash: current.reference.hash.to_string(),
                follows: attached.follows(),
                cache_hits: counters.hits,
                cache_misses: counters.misses,
                bytes_fetched: counters.bytes_fetched,
                errors,
                last_error,
            }
        })
        .collect();
    repositories.sort_by(|one, other| one.name.cmp(&other.name));
    Status {
        directory: directory.to_owned(),
        worker: std::process::id(),
        catalogs,
        largest_inode,
        open_objects: tree.open.len(),
        waiting_requests: tree.pool.waiting(),
        repositories,
    }
}
