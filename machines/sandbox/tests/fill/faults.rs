//! What fails, and what is left of it: servers that lie or are silent, full disks, processes that end in between.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use varve_repository::{Location, RepositoryError, Snapshot};
use varve_sandbox::fill::{Contents, Listener, Options, Service, Tree};
use varve_store::{Deadline, StoreError};

use crate::watched::{OPTIONS, deadline, in_place, tree_at, watched};
use crate::workshop::Workshop;

fn errno(result: std::io::Result<impl Sized>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn read_watched(tree: &Arc<Tree>, path: &str, service: Service) -> std::io::Result<Vec<u8>> {
    let path = tree.view().join(path);
    watched(in_place(tree), service, move || fs::read(path))
}

#[test]
fn a_flipped_bit_is_an_error_and_nothing_of_it_stays() {
    let workshop = Workshop::new();
    workshop.write("file", vec![7; 100_000], 0o644);
    let snapshot = workshop.publish();
    let object = workshop.objects().remove(0);
    let sound = fs::read(&object).expect("readable");
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 4;
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).expect("its owner may");
    fs::write(&object, damaged).expect("writable");
    let tree = tree_at(&workshop.place(), &snapshot);
    for _ in 0..2 {
        assert_eq!(errno(read_watched(&tree, "file", Service::default())), Some(libc::EIO));
        assert!(fs::symlink_metadata(tree.view().join("file")).expect("it is there").file_type().is_socket());
    }
    fs::write(&object, sound).expect("writable");
    assert_eq!(read_watched(&tree, "file", Service::default()).expect("it is sound"), vec![7; 100_000]);
}

/// Contents that come only half, or not at all.
struct Unreliable {
    snapshot: Snapshot,
    is_silent: AtomicBool,
    breaks_off: AtomicBool,
}

impl Contents for Unreliable {
    fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError> {
        let (name, place) = (|| "object".to_owned(), || "a server".to_owned());
        if self.is_silent.load(Ordering::Relaxed) && file.entry().name() == b"silent" {
            std::thread::sleep(deadline.remaining());
            return Err(StoreError::TimedOut { name: name(), place: place() }.into());
        }
        if self.breaks_off.load(Ordering::Relaxed) && offset > 0 {
            let reason = "the connection broke".to_owned();
            return Err(StoreError::Transport { name: name(), place: place(), reason }.into());
        }
        self.snapshot.read(file, offset, buffer, deadline)
    }

    fn link_target(&self, published: &[u8]) -> Vec<u8> {
        published.to_vec()
    }
}

fn unreliable(workshop: &Workshop) -> (Arc<Tree>, Arc<Unreliable>) {
    let snapshot = workshop.publish();
    let contents = Arc::new(Unreliable {
        snapshot: snapshot.clone(),
        is_silent: AtomicBool::new(false),
        breaks_off: AtomicBool::new(false),
    });
    let given = Arc::clone(&contents);
    let tree = Tree::open(&workshop.place(), snapshot, given, &OPTIONS, deadline()).expect("a tree");
    (tree, contents)
}

#[test]
fn a_silent_server_costs_its_readers_the_deadline_and_nobody_else() {
    let workshop = Workshop::new();
    workshop.write("silent", "quiet", 0o644);
    workshop.write("other", "loud", 0o644);
    let (tree, contents) = unreliable(&workshop);
    contents.is_silent.store(true, Ordering::Relaxed);
    let view = tree.view();
    let service = Service { deadline: Duration::from_millis(300), ..Service::default() };
    watched(in_place(&tree), service, move || {
        let silent = view.join("silent");
        let waiting = std::thread::spawn(move || errno(fs::read(silent)));
        assert_eq!(fs::read(view.join("other")).expect("readable"), b"loud");
        assert_eq!(waiting.join().expect("no panic"), Some(libc::ETIMEDOUT));
    });
    contents.is_silent.store(false, Ordering::Relaxed);
    assert_eq!(read_watched(&tree, "silent", Service::default()).expect("readable"), b"quiet");
}

#[test]
fn half_a_file_is_never_seen() {
    let workshop = Workshop::new();
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7) as u8).collect();
    workshop.write("large", &content, 0o444);
    let (tree, contents) = unreliable(&workshop);
    contents.breaks_off.store(true, Ordering::Relaxed);
    assert_eq!(errno(read_watched(&tree, "large", Service::default())), Some(libc::EIO));
    assert_eq!(errno(fs::read(tree.view().join("large"))), Some(libc::ENXIO));
    contents.breaks_off.store(false, Ordering::Relaxed);
    assert!(read_watched(&tree, "large", Service::default()).expect("readable") == content);
    assert!(fs::read(tree.view().join("large")).expect("readable") == content);
}

#[test]
fn a_full_disk_says_so_and_damages_nothing() {
    let workshop = Workshop::new();
    workshop.write("small", "fits", 0o644);
    let content: Vec<u8> = (0..4_000_000_u32).map(|number| (number / 3) as u8).collect();
    workshop.write("large", &content, 0o644);
    let snapshot = workshop.publish();
    let place = workshop.scratch.directory("disk");
    let unlimited = place.join("tree");
    let checked = std::thread::spawn(move || {
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
        // Of this thread alone, and of those that it starts.
        if let Err(error) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS) {
            println!("skipped: no mounts of its own for a thread: {error}");
            return;
        }
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("ours");
        mount("varve-test", &place, "tmpfs", MountFlags::empty(), Some(c"size=2m")).expect("ours");
        let tree = tree_at(&unlimited, &snapshot);
        assert_eq!(errno(read_watched(&tree, "large", Service::default())), Some(libc::ENOSPC));
        assert_eq!(read_watched(&tree, "small", Service::default()).expect("there is room"), b"fits");
        assert_eq!(errno(fs::read(tree.view().join("large"))), Some(libc::ENXIO));
        mount_remount(&place, MountFlags::empty(), c"size=20m").expect("ours");
        assert!(read_watched(&tree, "large", Service::default()).expect("there is room") == content);
    });
    checked.join().expect("all of it holds");
}

#[test]
fn without_a_supervisor_calls_fail() {
    let workshop = Workshop::new();
    workshop.write("file", "x", 0o644);
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let path = tree.view().join("file");
    let (nothing, left) = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).expect("because that is always allowed");
        drop(Listener::install().expect("because nobody else listens"));
        (errno(fs::read(&path)), errno(fs::read("/etc/passwd")))
    })
    .join()
    .expect("no panic");
    assert_eq!((nothing, left), (Some(libc::ENOSYS), Some(libc::ENOSYS)));
}

#[test]
fn a_tree_that_power_may_have_torn_is_thrown_away() {
    let workshop = Workshop::new();
    workshop.write("file", "right", 0o644);
    let snapshot = workshop.publish();
    let open = |boot: &str| {
        let contents = Arc::new(snapshot.clone());
        Tree::open(&workshop.place(), snapshot.clone(), contents, &Options { boot, ..OPTIONS }, deadline())
            .expect("a tree")
    };
    let is_filled = |tree: &Tree| fs::read(tree.view().join("file")).is_ok_and(|content| content == b"right");
    let tree = open("first");
    tree.fill_all(2, &deadline).expect("it can be filled");
    assert!(is_filled(&tree));
    drop(tree);
    // Killed and started again: nothing was lost.
    assert!(is_filled(&open("first")));
    // Another boot without a sync before.
    let tree = open("second");
    assert!(!is_filled(&tree));
    tree.fill_all(2, &deadline).expect("it can be filled");
    // Others use it: it is theirs to sync.
    let other = open("second");
    tree.settle().expect("it can be synced");
    drop(tree);
    other.settle().expect("it can be synced");
    drop(other);
    assert!(is_filled(&open("third")));
    let aside = fs::read_dir(workshop.scratch.path()).expect("readable").flatten();
    assert!(
        !aside.into_iter().any(|entry| Path::new(&entry.file_name()).to_string_lossy().contains("discarded"))
    );
}

#[test]
fn a_populating_that_was_killed_is_done_again() {
    let workshop = Workshop::new();
    workshop.write("d/file", "right", 0o644);
    workshop.write("d/e/file", "too", 0o644);
    let tree = tree_at(&workshop.place(), &workshop.publish());
    let shadow = workshop.place().join("shadow");
    // As if it had been killed before the mark: some entries are there, and the beginning of a shadow.
    let number = std::os::unix::fs::MetadataExt::ino(&fs::metadata(tree.view()).expect("it is there"));
    fs::create_dir(shadow.join(format!("new-{number}"))).expect("writable");
    fs::write(shadow.join(format!("new-{number}/old")), "").expect("writable");
    fs::create_dir(tree.view().join("d")).expect("writable");
    let path = tree.view().join("d");
    let (first, second) = watched(in_place(&tree), Service::default(), move || {
        (fs::read(path.join("file")), fs::read(path.join("e/file")))
    });
    assert_eq!((first.expect("readable"), second.expect("readable")), (b"right".to_vec(), b"too".to_vec()));
    assert!(!shadow.join(format!("new-{number}")).exists());
}
