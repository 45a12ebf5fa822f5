//! Trees on disk, published into memory and compared with what they were.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use varve_content::{ChunkSizes, Compression};
use varve_repository::{EntryName, RepositoryPath};
use varve_testkit::{Random, Scratch, TreeBuilder, TreeSize, assert_same, listing};

use crate::change::{Change, ChangeSet, DirectoryChange};
use crate::settings::{Nesting, Settings};
use crate::trial::{TRUST_ALL, Trial, directory};

fn settings() -> Settings {
    Settings {
        chunks: ChunkSizes::new(1024, 2048, 8192).expect("the sizes rise"),
        nesting: Nesting { automatic: false, maximum_entries: 20, minimum_entries: 5 },
        ..Settings::default()
    }
}

fn balanced() -> Settings {
    Settings { nesting: Nesting { automatic: true, ..settings().nesting }, ..settings() }
}

fn path(text: &str) -> RepositoryPath {
    RepositoryPath::new(text.as_bytes()).expect("a path")
}

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("a name")
}

/// Compares a revision with a tree; the link counts of names that are also elsewhere differ by the format's rule.
fn assert_published(trial: &Trial, tree: &Path, links_outside: &[&str]) {
    let ignored = |path: &str, field: usize| field == 11 || (field == 7 && links_outside.contains(&path));
    assert_same(&listing(tree).expect("the tree can be listed"), &trial.listing(), &ignored);
    trial.check_counters();
}

/// The directories of all catalogs.
fn mounts(trial: &Trial) -> Vec<String> {
    trial.catalogs().into_keys().collect()
}

#[test]
fn every_oddity_is_published() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    let (_, refused) = TreeBuilder::odd(&tree);
    refused.iter().for_each(|refused| println!("not tested: {refused}"));
    let mut trial = Trial::new(settings());
    let first = trial.publish(&tree);
    assert!(!first.catalogs.unchanged);
    assert_published(&trial, &tree, &["/hard/across", "/same/across"]);
    let again = trial.publish(&tree);
    assert!(again.catalogs.unchanged);
    assert_eq!(again.read.files, 0);
    assert_eq!(again.walked.entries, first.walked.entries);
}

#[test]
fn the_root_hash_depends_on_the_tree_alone() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    TreeBuilder::random(&tree, 7, TreeSize { directories: 40, files: 400, largest: 60_000 });
    let roots: Vec<_> = [1, 2, 5]
        .into_iter()
        .map(|threads| {
            let mut trial = Trial::new(balanced());
            trial.threads = threads;
            trial.publish(&tree).catalogs.root
        })
        .collect();
    assert_eq!((&roots[0], &roots[0]), (&roots[1], &roots[2]));
}

#[test]
fn unchanged_files_are_not_read_unless_they_are_young() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    let mut builder = TreeBuilder::new(&tree);
    builder.file("old", "1").mtime("old", 1000, 5).file("young", "2").mtime("young", 2000, 5).finish();
    let mut trial = Trial::new(settings());
    trial.publish(&tree);
    let time = varve_repository::Mtime { seconds: 2000, nanoseconds: Some(0) };
    let outcome = trial.publish_at(&tree, &RepositoryPath::ROOT, Some(time)).expect("publishable");
    assert_eq!((outcome.read.files, outcome.catalogs.unchanged), (1, true));
    // Same size, same time, other content: only reading everything shows it.
    builder.file("old", "3").mtime("old", 1000, 5).finish();
    assert!(trial.publish(&tree).catalogs.unchanged);
    let outcome = trial.publish_at(&tree, &RepositoryPath::ROOT, None).expect("publishable");
    assert_eq!((outcome.read.files, outcome.catalogs.unchanged), (2, false));
    assert_published(&trial, &tree, &[]);
}

#[test]
fn markers_and_dirtab_make_nested_catalogs() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    let mut builder = TreeBuilder::new(&tree);
    builder.file("a/b/.cvmfscatalog", "").file("a/b/c/d", "1").file("a/e", "2");
    builder.file("sw/x/1", "").file("sw/y/2", "").file("sw/.git/3", "").file(".cvmfscatalog", "");
    builder.finish();
    let mut trial = Trial::new(settings());
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/", "/a/b"]);
    builder.file(".cvmfsdirtab", "/sw/*\n! *.git\n").finish();
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/", "/a/b", "/sw/x", "/sw/y"]);
    assert_published(&trial, &tree, &[]);
    let base = trial.base();
    let nested = base.find(&path("/sw/x")).expect("readable").expect("there");
    assert!(nested.child(b".cvmfscatalog").expect("a marker").hidden);
    assert!(nested.child(b".cvmfsautocatalog").is_none());
    drop(base);
    // The marker becomes visible, then a mount that shows it is published, then all go away.
    builder.file("sw/x/.cvmfscatalog", "").finish();
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/", "/a/b", "/sw/x", "/sw/y"]);
    builder.remove(".cvmfsdirtab").remove("a/b/.cvmfscatalog").finish();
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/", "/sw/x"]);
    assert_published(&trial, &tree, &[]);
    builder.file(".cvmfsdirtab", "sw/*\n").finish();
    let error = trial.publish_at(&tree, &RepositoryPath::ROOT, TRUST_ALL).err().expect("a wrong dirtab");
    assert_eq!(error.to_string(), ".cvmfsdirtab, line 1: a pattern must begin with '/'");
}

#[test]
fn untouched_catalogs_keep_their_objects() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    let mut builder = TreeBuilder::new(&tree);
    for directory in ["a", "a/x", "a/x/deep", "a/y", "b"] {
        builder.file(format!("{directory}/.cvmfscatalog"), "").file(format!("{directory}/f"), directory);
    }
    builder.finish();
    let mut trial = Trial::new(settings());
    assert_eq!(trial.publish(&tree).catalogs.written, 6);
    builder.file("a/y/f", "new").mtime("a/y/f", 5, 5).finish();
    let outcome = trial.publish(&tree).catalogs;
    assert_eq!((outcome.written, outcome.kept), (3, 2));
    assert_published(&trial, &tree, &[]);
    // The catalog in between goes away: those below it stay, under another parent.
    builder.remove("a/.cvmfscatalog").finish();
    let outcome = trial.publish(&tree).catalogs;
    assert_eq!((outcome.written, outcome.kept), (1, 3));
    builder.remove("a/x").finish();
    trial.publish(&tree);
    assert_published(&trial, &tree, &[]);
    builder.remove("a").finish();
    trial.publish(&tree);
    assert_published(&trial, &tree, &[]);
    assert_eq!(mounts(&trial), ["/", "/b"]);
}

#[test]
fn the_balance_splits_and_keeps() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    let mut builder = TreeBuilder::new(&tree);
    for number in 0..8 {
        builder.file(format!("big/{number}"), "").file(format!("small/{number}"), "");
    }
    builder.finish();
    let mut trial = Trial::new(balanced());
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/"]);
    for number in 8..14 {
        builder.file(format!("big/{number}"), "");
    }
    builder.finish();
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/", "/big"]);
    assert_published(&trial, &tree, &[]);
    // It stays while it shrinks, down to half the minimum, and falls back below that.
    for number in 2..14 {
        builder.remove(format!("big/{number}"));
    }
    builder.finish();
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/", "/big"]);
    assert_published(&trial, &tree, &[]);
    assert!(trial.publish(&tree).catalogs.unchanged);
    builder.remove("big/0").remove("big/1").finish();
    trial.publish(&tree);
    assert_eq!(mounts(&trial), ["/"]);
    assert_published(&trial, &tree, &[]);
}

#[test]
fn a_tree_is_published_below_a_path() {
    let scratch = Scratch::new();
    let (tree, other) = (scratch.path().join("tree"), scratch.path().join("other"));
    TreeBuilder::new(&tree).file("a/1", "1").file("a/.cvmfscatalog", "").file("b", "2").finish();
    TreeBuilder::new(&other).file("x", "3").symlink("y", "x").finish();
    let mut trial = Trial::new(settings());
    trial.publish(&tree);
    trial.publish_at(&other, &path("/new/deep"), TRUST_ALL).expect("publishable");
    TreeBuilder::new(&tree).file("new/deep/x", "3").symlink("new/deep/y", "x").finish();
    let ignored = |path: &str, field: usize| field == 11 || (field == 6 && path == "/new") || path == "/";
    assert_same(&listing(&tree).expect("listable"), &trial.listing(), &ignored);
    trial.check_counters();
    // Below a nested catalog, over a file.
    trial.publish_at(&other, &path("/a/1"), TRUST_ALL).expect("publishable");
    assert!(trial.listing().contains("/a/1/x\tf"));
    assert!(trial.publish_at(&other, &path("/a/1"), TRUST_ALL).expect("publishable").catalogs.unchanged);
    trial.check_counters();
    assert_eq!(mounts(&trial), ["/", "/a"]);
}

#[test]
fn lists_of_changes_need_no_tree() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    TreeBuilder::new(&tree).file("a/1", "1").file("a/b/2", "2").file("c", "3").finish();
    let mut trial = Trial::new(settings());
    trial.publish(&tree);
    let change = |names: Vec<(&str, Change)>| ChangeSet {
        root: DirectoryChange {
            names: names.into_iter().map(|(text, change)| (name(text), change)).collect(),
            ..DirectoryChange::default()
        },
    };
    let nothing =
        change(vec![("missing", Change::Remove), ("a", Change::Directory(DirectoryChange::default()))]);
    assert!(trial.change(nothing).expect("applicable").unchanged);
    let opaque = DirectoryChange { opaque: true, ..DirectoryChange::default() };
    let made = DirectoryChange::create(directory(&path("/d")));
    let changes =
        change(vec![("c", Change::Remove), ("a", Change::Directory(opaque)), ("d", Change::Directory(made))]);
    trial.change(changes).expect("applicable");
    let lines: Vec<String> =
        trial.listing().lines().map(|line| line.split('\t').next().expect("a path").to_owned()).collect();
    assert_eq!(lines, ["/", "/a", "/d"]);
    trial.check_counters();
    let unknown = change(vec![("e", Change::Directory(DirectoryChange::default()))]);
    assert!(trial.change(unknown).is_err());
}

#[test]
fn a_directory_of_100000_entries() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("many")).expect("creatable");
    fs::write(tree.join("many/0"), "x").expect("writable");
    for number in 1..100_000 {
        std::os::unix::fs::symlink("0", tree.join(format!("many/{number}"))).expect("creatable");
    }
    let mut trial = Trial::new(Settings::default());
    let outcome = trial.publish(&tree);
    assert_eq!((outcome.walked.entries, outcome.read.files), (100_002, 1));
    // It can't be split, but can be split off.
    assert_eq!(mounts(&trial), ["/", "/many"]);
    assert_eq!(trial.listing().lines().count(), 100_002);
    assert!(trial.publish(&tree).catalogs.unchanged);
}

#[test]
fn contents_are_stored_as_the_settings_say() {
    let scratch = Scratch::new();
    let tree = scratch.path().join("tree");
    let mut builder = TreeBuilder::new(&tree);
    for size in [0, 1, 1023, 1024, 1025, 2048, 8192, 8193, 50_000] {
        builder.file(format!("text{size}"), Random::new(size).text(size as usize));
        builder.file(format!("noise{size}"), Random::new(size).bytes(size as usize));
    }
    builder.finish();
    for algorithm in varve_content::Algorithm::ALL {
        let compression = Compression::None;
        let mut trial = Trial::new(Settings { algorithm, compression, ..settings() });
        trial.publish(&tree);
        assert_published(&trial, &tree, &[]);
        assert_eq!(trial.root.as_ref().expect("published").hash.algorithm(), algorithm);
    }
}

/// Changes a tree in ways that people do. Times are counted up, so that no change hides behind an equal time.
struct Mutator {
    tree: PathBuf,
    random: Random,
    time: u64,
}

impl Mutator {
    fn step(&mut self) {
        let directory = self.pick(true).unwrap_or_else(|| self.tree.clone());
        let fresh = directory.join(format!("n{}", self.random.below(12)));
        match self.random.below(12) {
            0..=2 => self.write(&fresh),
            3 => drop(fs::create_dir(&fresh)),
            4 => drop(std::os::unix::fs::symlink(format!("{}", self.random.below(9)), &fresh)),
            5 => {
                if let Some(file) = self.pick(false).filter(|file| !file.is_symlink()) {
                    let sibling = file.with_file_name(format!("h{}", self.random.below(6)));
                    drop(fs::hard_link(file, sibling));
                }
            }
            6 => drop(self.pick(false).map(fs::remove_file)),
            7 => drop(self.pick(true).map(fs::remove_dir_all)),
            8 => self.write(&directory.join(".cvmfscatalog")),
            9 => drop(fs::remove_file(directory.join(".cvmfscatalog"))),
            10 => {
                if let Some(file) = self.pick(false).filter(|file| !file.is_symlink()) {
                    self.write(&file);
                }
            }
            _ => {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = 0o700 + self.random.below(0o100) as u32;
                drop(fs::set_permissions(&directory, fs::Permissions::from_mode(mode)));
            }
        }
    }

    fn write(&mut self, path: &Path) {
        if path.is_dir() || path.is_symlink() {
            return;
        }
        let length = if path.ends_with(".cvmfscatalog") { 0 } else { self.random.below(5000) as usize };
        fs::write(path, self.random.text(length)).expect("writable");
        self.time += 1;
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.time);
        fs::File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(time))
            .expect("writable");
    }

    /// Some directory below the top, or something else.
    fn pick(&mut self, directory: bool) -> Option<PathBuf> {
        let mut found = Vec::new();
        let mut waiting = vec![self.tree.clone()];
        while let Some(next) = waiting.pop() {
            for entry in fs::read_dir(next).expect("listable") {
                let entry = entry.expect("listable").path();
                let is_directory = entry.is_dir() && !entry.is_symlink();
                if is_directory {
                    waiting.push(entry.clone());
                }
                if is_directory == directory {
                    found.push(entry);
                }
            }
        }
        found.sort();
        let index = self.random.below(found.len() as u64) as usize;
        (!found.is_empty()).then(|| found.swap_remove(index))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn publishing_step_by_step_equals_publishing_at_once(seed: u64, steps in 1usize..6, changes in 1usize..25) {
        let scratch = Scratch::new();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).expect("creatable");
        let mut mutator = Mutator { tree: tree.clone(), random: Random::new(seed), time: 1_000_000 };
        let mut trial = Trial::new(settings());
        for _ in 0..steps {
            for _ in 0..changes {
                mutator.step();
            }
            trial.publish(&tree);
            assert_published(&trial, &tree, &[]);
            let mut fresh = Trial::new(settings());
            fresh.publish(&tree);
            prop_assert_eq!(trial.catalogs(), fresh.catalogs());
            prop_assert!(trial.publish(&tree).catalogs.unchanged);
        }
    }

    #[test]
    fn balanced_trees_stay_what_they_are(seed: u64, steps in 1usize..5) {
        let scratch = Scratch::new();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).expect("creatable");
        let mut mutator = Mutator { tree: tree.clone(), random: Random::new(seed), time: 1_000_000 };
        let mut trial = Trial::new(balanced());
        for _ in 0..steps {
            for _ in 0..60 {
                mutator.step();
            }
            trial.publish(&tree);
            assert_published(&trial, &tree, &[]);
            prop_assert!(trial.publish(&tree).catalogs.unchanged);
        }
    }
}
