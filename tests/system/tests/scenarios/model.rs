//! Random edits, commits, publishes, tags, roll-backs and collections beside a plain directory that the same is done to:
//! every revision with a tag shows the directory as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use varve_system::{Installation, overlays_are_missing};
use varve_testkit::{Random, TreeBuilder, TreeSize, differences, listing};

const NAME: &str = "model.lab.example";

/// The places in a listing's line of times, link counts, and links as they were published.
const TIME: usize = 6;
const LINKS: usize = 7;
const PUBLISHED_LINK: usize = 11;

/// How many revisions are made, by each seed.
const ROUNDS: u32 = 12;

#[test]
fn every_state_is_read_back() {
    if overlays_are_missing() {
        return;
    }
    for seed in 1..=3 {
        Model::new(seed).run();
    }
}

/// A repository, and a directory that always has the content of its newest revision.
struct Model {
    installation: Installation,
    directory: PathBuf,
    random: Random,
    seed: u64,
    /// What the revision of each tag has to show; a copy of it lies in `copies`.
    tags: BTreeMap<String, String>,
    names: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let installation = Installation::new();
        let directory = installation.directory("model");
        TreeBuilder::random(&directory, seed, TreeSize { directories: 15, files: 80, largest: 60_000 });
        installation.run(&["repo", "create", NAME]);
        let settings = installation.path("home/config/repositories").join(format!("{NAME}.toml"));
        let nesting = "[nesting]\nautomatic = true\nmaximum-entries = 30\nminimum-entries = 5\n";
        fs::write(settings, nesting).expect("because the home is ours");
        Self { installation, directory, random: Random::new(seed), seed, tags: BTreeMap::new(), names: 0 }
    }

    fn run(mut self) {
        self.publish();
        for round in 0..ROUNDS {
            match self.random.below(10) {
                0..6 => self.transact(),
                6 => self.publish(),
                7 => self.roll_back(),
                8 => self.abort(),
                _ => self.collect(),
            }
            self.compare("trunk", &listing(&self.directory).expect("because it is ours"), round);
            if self.random.once_in(2) {
                self.tag(round);
            }
        }
        self.collect();
        self.installation.run(&["repo", "check", "--data", NAME]);
        for (tag, expected) in &self.tags {
            self.compare(tag, expected, ROUNDS);
        }
    }

    fn transact(&mut self) {
        let view = PathBuf::from(self.installation.run(&["repo", "transaction", NAME]).trim());
        for _ in 0..self.random.below(15) {
            self.edit(&[&view, &self.directory.clone()]);
        }
        self.installation.run(&["repo", "commit", NAME]);
    }

    fn abort(&mut self) {
        let view = PathBuf::from(self.installation.run(&["repo", "transaction", NAME]).trim());
        for _ in 0..5 {
            self.edit(&[&view]);
        }
        self.installation.run(&["repo", "abort", NAME]);
    }

    fn publish(&mut self) {
        for _ in 0..self.random.below(5) {
            self.edit(&[&self.directory.clone()]);
        }
        let tree = self.directory.to_str().expect("because scratch paths are text").to_owned();
        self.installation.run(&["repo", "publish", NAME, &tree]);
    }

    fn tag(&mut self, round: u32) {
        let tag = format!("tag{round}");
        self.installation.run(&["repo", "tag", "add", NAME, &tag]);
        copy(&self.directory, &self.installation.directory("copies").join(&tag));
        self.tags.insert(tag, listing(&self.directory).expect("because it is ours"));
    }

    /// Tags of later revisions are gone then.
    fn roll_back(&mut self) {
        let count = self.tags.len() as u64;
        let Some(tag) = self.tags.keys().nth(self.random.below(count.max(1)) as usize).cloned() else {
            return;
        };
        let outcome = self.installation.call(&["repo", "rollback", NAME, &tag]);
        if outcome.stderr.contains("is the current revision already") {
            return;
        }
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let left = self.installation.run(&["repo", "tag", "list", NAME]);
        self.tags.retain(|tag, _| left.split_whitespace().any(|word| word == tag));
        fs::remove_dir_all(&self.directory).expect("because it is ours");
        copy(&self.installation.path("copies").join(&tag), &self.directory);
    }

    fn collect(&mut self) {
        self.installation.run(&["repo", "gc", NAME, "--keep-revisions", "1"]);
    }

    /// Compares a revision, read through a mount, with what it has to be.
    fn compare(&self, tag: &str, expected: &str, round: u32) {
        let mounted = self.installation.directory("mnt");
        let target = format!("{NAME}@{tag}");
        self.installation.run(&["mount", &target, mounted.to_str().expect("because scratch paths are text")]);
        let found = listing(&mounted).expect("because everything can be read");
        self.installation.unmount(&mounted);
        // Times of directories are those of the moment that something happened in them, and names of a file in several
        // directories are files of their own in a repository.
        let ignored = |path: &str, field: usize| {
            let is_directory = expected.lines().any(|line| line.starts_with(&format!("{path}\td\t")));
            matches!(field, PUBLISHED_LINK | LINKS) || is_directory && field == TIME
        };
        let report = differences(expected, &found, &ignored).unwrap_or_default();
        assert!(report.is_empty(), "seed {}, round {round}, {tag}: {report}", self.seed);
    }

    /// Does the same to several equal trees.
    fn edit(&mut self, trees: &[&Path]) {
        let names = names(trees[0]);
        let any = |random: &mut Random| names[random.below(names.len() as u64) as usize].clone();
        let what = self.random.below(14);
        let path = any(&mut self.random);
        let other = any(&mut self.random);
        self.names += 1;
        let new = format!("new{}", self.names);
        let length = self.random.below(100_000) as usize;
        let content = self.random.bytes(length);
        let time = rustix::fs::Timespec { tv_sec: 1_500_000_000 + self.names as i64, tv_nsec: 123_456_789 };
        // Where an overlay parts a file from its other names, a plain directory doesn't.
        let plain = trees.last().map(|tree| fs::symlink_metadata(tree.join(&path)));
        let single = plain.and_then(Result::ok).is_some_and(|kind| kind.is_file() && kind.nlink() == 1);
        for tree in trees {
            edit((what, single), tree, (&path, &other, &new), &content, time);
        }
    }
}

/// One of several changes; none if it isn't possible there.
fn edit(
    (what, single): (u64, bool),
    tree: &Path,
    (path, other, new): (&Path, &Path, &str),
    content: &[u8],
    time: rustix::fs::Timespec,
) {
    let (at, to) = (tree.join(path), tree.join(other));
    let Ok(kind) = fs::symlink_metadata(&at) else { return };
    let directory = if kind.is_dir() { at.clone() } else { at.parent().expect("below the tree").to_owned() };
    let is_top = path.as_os_str().is_empty();
    let done = "because the trees are ours";
    let mut stamped = Some(directory.join(new));
    match what {
        0 | 1 => fs::write(directory.join(new), content).expect(done),
        2 => fs::create_dir_all(directory.join(new).join("a/b")).expect(done),
        3 => {
            fs::create_dir_all(directory.join(new)).expect(done);
            fs::write(directory.join(new).join(".cvmfscatalog"), "").expect(done);
            stamped = Some(directory.join(new).join(".cvmfscatalog"));
        }
        4 if !is_top => std::os::unix::fs::symlink(path, directory.join(new)).expect(done),
        5 if single => fs::hard_link(&at, at.parent().expect("below the tree").join(new)).expect(done),
        6 if single => fs::write(&at, content).expect(done),
        7 if single => {
            fs::File::options()
                .append(true)
                .open(&at)
                .and_then(|mut file| file.write_all(content))
                .expect(done);
        }
        8 if single || kind.is_dir() && !is_top => {
            fs::set_permissions(&at, fs::Permissions::from_mode(0o711)).expect(done);
        }
        9 if single => {
            rustix::fs::setxattr(&at, "user.new", new.as_bytes(), rustix::fs::XattrFlags::empty())
                .expect(done);
        }
        10 if kind.is_dir() && !is_top => fs::remove_dir_all(&at).expect(done),
        10 if !is_top => fs::remove_file(&at).expect(done),
        // Into a directory that isn't below it.
        11 | 12 if !is_top && !other.starts_with(path) && to.is_dir() && !to.is_symlink() => {
            fs::rename(&at, to.join(new)).expect(done);
            stamped = single.then(|| to.join(new));
        }
        13 if !is_top && !kind.is_dir() => {
            fs::remove_file(&at).expect(done);
            fs::create_dir(&at).expect(done);
        }
        _ => return,
    }
    let changed = if matches!(what, 6..=9) { Some(at) } else { stamped };
    if let Some(changed) = changed.filter(|path| path.exists() || path.is_symlink()) {
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, &changed, &times, flags).expect(done);
    }
}

/// Every path in a tree relative to its top, the top included.
fn names(tree: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    let mut at = 0;
    while at < found.len() {
        let path = tree.join(&found[at]);
        if path.is_dir() && !path.is_symlink() {
            let entries = fs::read_dir(&path).expect("because it is ours");
            let mut inner: Vec<_> =
                entries.map(|entry| entry.expect("because it is ours").file_name()).collect();
            inner.sort();
            let directory = found[at].clone();
            found.extend(inner.into_iter().map(|name| directory.join(name)));
        }
        at += 1;
    }
    found
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("because every system has cp");
    assert!(status.success());
}
