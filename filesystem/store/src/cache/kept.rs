//! Files of a repository that are kept for starts without a network, and to remember the highest revision seen.
//!
//! They are not counted against the quota, never evicted, and verified by whoever parses them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::directory::is_unwritable;
use crate::{RepositoryFile, StoreError};

/// The files kept in one cache directory. What can't be written is kept for the life of the process.
pub(super) struct KeptFiles {
    root: PathBuf,
    unwritten: Mutex<HashMap<(String, RepositoryFile), Vec<u8>>>,
}

impl KeptFiles {
    pub(super) fn new(cache: &Path) -> Self {
        Self { root: cache.join("kept"), unwritten: Mutex::default() }
    }

    pub(super) fn keep(&self, scope: &str, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(scope, file);
        match write_durably(&path, bytes) {
            Ok(()) => {
                self.unwritten.lock().remove(&(scope.to_owned(), file));
                Ok(())
            }
            Err(error) if is_unwritable(&error) => {
                self.unwritten.lock().insert((scope.to_owned(), file), bytes.to_vec());
                Ok(())
            }
            Err(error) => Err(StoreError::io("write", &path, error)),
        }
    }

    pub(super) fn kept(&self, scope: &str, file: RepositoryFile) -> Option<Vec<u8>> {
        if let Some(bytes) = self.unwritten.lock().get(&(scope.to_owned(), file)) {
            return Some(bytes.clone());
        }
        let mut bytes = Vec::new();
        let opened = File::open(self.path(scope, file)).ok()?;
        opened.take(file.limit() + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= file.limit()).then_some(bytes)
    }

    fn path(&self, scope: &str, file: RepositoryFile) -> PathBuf {
        self.root.join(directory_name(scope)).join(file.name())
    }
}

/// A scope as a directory's name: letters, digits, `-`, `_` and inner dots stay, other bytes become `%xx`.
fn directory_name(scope: &str) -> String {
    let mut name = String::new();
    for (index, byte) in scope.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && index > 0) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.is_empty() { "%".to_owned() } else { name }
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let temporary =
        path.with_extension(format!("tmp-{}-{:?}", std::process::id(), std::thread::current().id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        // It has failed already; nothing reads the leftover.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_stay_inside() {
        for (scope, name) in [
            ("fix1.lab.example", "fix1.lab.example"),
            ("..", "%2e."),
            ("a/b", "a%2fb"),
            ("", "%"),
            ("é", "%c3%a9"),
        ] {
            assert_eq!(directory_name(scope), name);
        }
    }

    #[test]
    fn files_are_kept_per_scope() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let kept = KeptFiles::new(place.path());
        assert_eq!(kept.kept("a", RepositoryFile::Manifest), None);
        kept.keep("a", RepositoryFile::Manifest, b"one").expect("because it is writable");
        kept.keep("b", RepositoryFile::Manifest, b"two").expect("because it is writable");
        kept.keep("a", RepositoryFile::Manifest, b"three").expect("because it is writable");
        assert_eq!(
            KeptFiles::new(place.path()).kept("a", RepositoryFile::Manifest).as_deref(),
            Some(&b"three"[..])
        );
        assert_eq!(kept.kept("b", RepositoryFile::Manifest).as_deref(), Some(&b"two"[..]));
        assert_eq!(kept.kept("b", RepositoryFile::Whitelist), None);
    }
}
