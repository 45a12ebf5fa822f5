//! What the publishing machine remembers of its own publishes, so that unchanged files need not be read again. Losing it
//! costs time only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use varve_content::ContentHash;
use varve_repository::{Mtime, RepositoryPath};

/// How much younger than the start of a walk a file's time must not be: clocks of file servers differ a little, and some
/// file systems count in steps of two seconds.
const SLACK: i64 = 2;

/// When trees were walked, for the revision that the memory belongs to and for the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishState {
    /// Written before the manifest is switched, so that one of the two is right afterwards, whatever happens between.
    generations: Vec<Generation>,
}

/// The walks that made one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Generation {
    /// Its root catalog.
    root: String,
    /// Seconds since 1970 at which the last walk of a tree began, by its path in the repository in hexadecimal.
    walked: BTreeMap<String, i64>,
}

/// Why the state can't be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
pub struct StateError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl PublishState {
    /// Reads the state; what is missing or can't be read is empty.
    pub(crate) fn read(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes the state in one step.
    pub(crate) fn write(&self, path: &Path) -> Result<(), StateError> {
        let failed = |source| StateError { path: path.to_owned(), source };
        let directory = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).expect("because texts and numbers can be written");
        io::Write::write_all(&mut file, &text).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Before which time a file's time must lie for its content to be known without reading it, when the tree at `at` is
    /// published over the revision with this root catalog. `None`: everything has to be read.
    pub(crate) fn trusted_before(&self, root: &ContentHash, at: &RepositoryPath) -> Option<Mtime> {
        let generation = self.generation(root)?;
        // A tree that was part of a larger one was last walked with it, or later: the earlier time is the safe one.
        let walks =
            std::iter::successors(Some(at.clone()), |path| path.split_last().map(|(parent, _)| parent));
        let seconds = walks.filter_map(|path| generation.walked.get(&key(&path))).min()? - SLACK;
        Some(Mtime { seconds, nanoseconds: Some(0) })
    }

    /// The state after the tree at `at` was walked, beginning at `started`, and made `new` of `old`.
    #[must_use]
    pub(crate) fn after(
        &self,
        old: Option<&ContentHash>,
        new: &ContentHash,
        at: &RepositoryPath,
        started: i64,
    ) -> Self {
        let before = old.and_then(|old| self.generation(old)).cloned();
        let mut walked = before.as_ref().map(|before| before.walked.clone()).unwrap_or_default();
        walked.insert(key(at), started);
        let generation = Generation { root: new.to_string(), walked };
        let before = before.filter(|before| before.root != generation.root);
        Self { generations: std::iter::once(generation).chain(before).collect() }
    }

    /// The state after something else than the walk of a tree made `new` of `old`, in the directories `touched` and below
    /// them: of walks of what contains these or lies in them nothing is known any more.
    #[must_use]
    pub(crate) fn after_others(
        &self,
        old: &ContentHash,
        new: &ContentHash,
        touched: &[&RepositoryPath],
    ) -> Self {
        if new == old {
            return self.clone();
        }
        let before = self.generation(old).cloned();
        let mut walked = before.as_ref().map(|before| before.walked.clone()).unwrap_or_default();
        walked.retain(|walk, _| !touched.iter().any(|path| overlaps(walk, &key(path))));
        let generation = Generation { root: new.to_string(), walked };
        Self { generations: std::iter::once(generation).chain(before).collect() }
    }

    fn generation(&self, root: &ContentHash) -> Option<&Generation> {
        let root = root.to_string();
        self.generations.iter().find(|generation| generation.root == root)
    }
}

fn key(path: &RepositoryPath) -> String {
    let digits: Vec<String> = path.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Whether one of two paths, as they are written, is the other or contains it.
fn overlaps(one: &str, other: &str) -> bool {
    let contains = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("2f"))
    };
    contains(one, other) || contains(other, one)
}

#[cfg(test)]
mod tests {
    use varve_content::Algorithm;

    use super::*;

    fn path(text: &str) -> RepositoryPath {
        RepositoryPath::new(text.as_bytes()).expect("a path")
    }

    fn seconds(state: &PublishState, root: &ContentHash, at: &str) -> Option<i64> {
        state.trusted_before(root, &path(at)).map(|mtime| mtime.seconds)
    }

    #[test]
    fn the_earliest_walk_that_a_file_may_come_from_counts() {
        let [one, two, three] = [b"1", b"2", b"3"].map(|text| Algorithm::Sha1.hash(text));
        let state = PublishState::default();
        assert_eq!(seconds(&state, &one, "/"), None);
        let state = state.after(None, &one, &path("/a"), 100);
        assert_eq!(seconds(&state, &one, "/a"), Some(98));
        assert_eq!(seconds(&state, &one, "/a/b"), Some(98));
        assert_eq!(seconds(&state, &one, "/"), None);
        let state = state.after(Some(&one), &two, &path("/a/b"), 200);
        assert_eq!(seconds(&state, &two, "/a/b"), Some(98));
        assert_eq!(seconds(&state, &two, "/a"), Some(98));
        // The manifest was not switched after all.
        assert_eq!(seconds(&state, &one, "/a/b"), Some(98));
        // Somebody else published, or rolled back.
        assert_eq!(seconds(&state, &three, "/a"), None);
        let state = state.after(Some(&two), &three, &path("/a"), 300);
        assert_eq!((seconds(&state, &three, "/a"), seconds(&state, &one, "/a")), (Some(298), None));
    }

    #[test]
    fn what_others_touched_is_forgotten() {
        let [one, two] = [b"1", b"2"].map(|text| Algorithm::Sha1.hash(text));
        let state = ["/a", "/ab", "/b/c"]
            .iter()
            .fold(PublishState::default(), |state, at| state.after(Some(&one), &one, &path(at), 100));
        let after = state.after_others(&one, &two, &[&path("/a/x"), &path("/b")]);
        let known = ["/a", "/ab", "/b/c"].map(|at| seconds(&after, &two, at));
        assert_eq!(known, [None, Some(98), None]);
        assert_eq!(seconds(&after, &one, "/a"), Some(98));
        assert_eq!(seconds(&state.after_others(&one, &two, &[&path("/")]), &two, "/ab"), None);
        assert_eq!(state.after_others(&one, &one, &[&path("/")]), state);
    }

    #[test]
    fn it_is_kept_in_a_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("a/state.json");
        assert_eq!(PublishState::read(&file), PublishState::default());
        let state = PublishState::default().after(None, &Algorithm::Rmd160.hash(b""), &path("/\u{e9}"), 5);
        state.write(&file).expect("writable");
        assert_eq!(PublishState::read(&file), state);
        std::fs::write(&file, "{").expect("writable");
        assert_eq!(PublishState::read(&file), PublishState::default());
    }
}
