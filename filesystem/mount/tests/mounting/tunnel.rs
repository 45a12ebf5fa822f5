//! Directories of this host through a tunnel, its two ends on one machine: everything goes through the kernel twice, as it does
//! where the other end is a machine's.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::mount::UnmountFlags;
use varve_mount::{Entrance, HostDirectory};
use varve_testkit::Scratch;

/// A directory of this host, and where it is seen through a tunnel.
struct Tunnel {
    scratch: Scratch,
    within: PathBuf,
}

impl Tunnel {
    /// `None`, with the reason printed, for who can't mount.
    fn of(shown: &str, writable: bool, prepare: impl FnOnce(&Path)) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
            println!("skipped: only root mounts without a helper, and through /dev/fuse");
            return None;
        }
        let scratch = Scratch::new();
        let (host, seen) = (scratch.directory("host"), scratch.directory("seen"));
        prepare(&host);
        let (one, other) = UnixStream::pair().unwrap();
        let (directory, within) = HostDirectory::open(&host.join(shown), writable).unwrap();
        std::thread::spawn(move || directory.serve(other));
        let entrance = Entrance { source: "test", writable: true, mode: 0o40_755 };
        entrance.open(&seen, File::from(OwnedFd::from(one))).unwrap();
        Some(Self { scratch, within })
    }

    fn host(&self) -> PathBuf {
        self.scratch.join("host")
    }

    fn seen(&self) -> PathBuf {
        self.scratch.join("seen").join(&self.within)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.scratch.join("seen"), UnmountFlags::DETACH);
    }
}

#[test]
fn what_is_done_through_a_tunnel_is_done() {
    let content: Vec<u8> = (0..1_000_003u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let prepared = content.clone();
    let tunnel = Tunnel::of("", true, |host| {
        fs::create_dir(host.join("many")).unwrap();
        for number in 0..2000 {
            fs::write(host.join(format!("many/a-file-with-a-long-name-{number}")), "").unwrap();
        }
        fs::write(host.join("large"), prepared).unwrap();
        symlink("/etc/passwd", host.join("out")).unwrap();
    });
    let Some(tunnel) = tunnel else { return };
    let (host, seen) = (tunnel.host(), tunnel.seen());
    assert!(fs::read(seen.join("large")).unwrap() == content);
    assert_eq!(fs::read_dir(seen.join("many")).unwrap().count(), 2000);
    assert_eq!(fs::read_link(seen.join("out")).unwrap(), Path::new("/etc/passwd"));
    let (there, here) =
        (fs::metadata(seen.join("large")).unwrap(), fs::metadata(host.join("large")).unwrap());
    assert_eq!((there.ino(), there.mtime_nsec()), (here.ino(), here.mtime_nsec()));

    // Files are made, changed, linked, renamed and removed.
    fs::write(seen.join("copy"), &content).unwrap();
    assert!(fs::read(host.join("copy")).unwrap() == content);
    let mut file = File::options().read(true).write(true).open(seen.join("copy")).unwrap();
    file.seek(io::SeekFrom::Start(10)).unwrap();
    file.write_all(b"changed").unwrap();
    file.set_len(17).unwrap();
    file.sync_all().unwrap();
    assert_eq!(&fs::read(host.join("copy")).unwrap()[10..], b"changed");
    let mut file = File::options().append(true).open(seen.join("copy")).unwrap();
    file.write_all(b"!").unwrap();
    fs::rename(seen.join("copy"), seen.join("many/moved")).unwrap();
    fs::hard_link(seen.join("many/moved"), seen.join("linked")).unwrap();
    assert_eq!(fs::metadata(host.join("linked")).unwrap().nlink(), 2);
    assert!(fs::read(host.join("linked")).unwrap().ends_with(b"changed!"));
    fs::remove_file(seen.join("linked")).unwrap();
    symlink("anywhere", seen.join("link")).unwrap();
    assert_eq!(fs::read_link(host.join("link")).unwrap(), Path::new("anywhere"));
    fs::create_dir(seen.join("made")).unwrap();
    assert!(fs::remove_dir(seen.join("many")).is_err());
    fs::remove_dir(seen.join("made")).unwrap();
    assert!(!host.join("made").exists());

    // A file that is removed goes on for who has it open.
    let mut open = File::open(seen.join("large")).unwrap();
    fs::remove_file(seen.join("large")).unwrap();
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).unwrap();
    assert!(rest == content);

    // Rights, owners and times are those of the files.
    let moved = seen.join("many/moved");
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o4751)).unwrap();
    chown(&moved, Some(7), Some(8)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_341_360_000, 5);
    File::options().write(true).open(&moved).unwrap().set_modified(time).unwrap();
    let status = fs::metadata(host.join("many/moved")).unwrap();
    assert_eq!((status.uid(), status.gid(), status.modified().unwrap()), (7, 8, time));
    assert_eq!(status.mode() & 0o777, 0o751);

    // What is changed here is seen there.
    fs::write(host.join("many/moved"), "by somebody else").unwrap();
    varve_testkit::wait_until("the change", Duration::from_secs(20), || {
        fs::read(&moved).is_ok_and(|text| text == b"by somebody else")
    });
}

#[test]
fn one_file_is_shown_without_its_neighbours() {
    let prepare = |host: &Path| {
        fs::write(host.join("one"), "one").unwrap();
        fs::write(host.join("other"), "other").unwrap();
    };
    let Some(tunnel) = Tunnel::of("one", true, prepare) else { return };
    assert_eq!(fs::read(tunnel.seen()).unwrap(), b"one");
    fs::write(tunnel.seen(), "more").unwrap();
    assert_eq!(fs::read(tunnel.host().join("one")).unwrap(), b"more");
    let around = tunnel.scratch.join("seen");
    let names: Vec<_> = fs::read_dir(&around).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["one"]);
    assert!(fs::read(around.join("other")).is_err() && fs::write(around.join("new"), "").is_err());
    assert!(fs::remove_file(around.join("one")).is_err());
}

#[test]
fn what_may_only_be_read_is_not_changed_whatever_a_machine_asks() {
    let prepare = |host: &Path| {
        fs::write(host.join("file"), "file").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            host.join("zero"),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::from_raw_mode(0o666),
            rustix::fs::makedev(1, 5),
        )
        .unwrap();
    };
    // The machine has it mounted to be written to.
    let Some(tunnel) = Tunnel::of("", false, prepare) else { return };
    let seen = tunnel.seen();
    assert_eq!(fs::read(seen.join("file")).unwrap(), b"file");
    assert!(fs::write(seen.join("file"), "x").is_err() && fs::write(seen.join("new"), "x").is_err());
    assert!(fs::remove_file(seen.join("file")).is_err() && fs::create_dir(seen.join("new")).is_err());
    assert!(fs::set_permissions(seen.join("file"), fs::Permissions::from_mode(0o777)).is_err());
    assert!(fs::rename(seen.join("file"), seen.join("new")).is_err());
    assert!(File::open(seen.join("zero")).is_err(), "a device is not opened");
    assert_eq!(fs::read(tunnel.host().join("file")).unwrap(), b"file");
    assert!(HostDirectory::open(Path::new("/dev/null"), false).is_err());
}
