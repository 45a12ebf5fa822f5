//! Archives of the system's tar against the trees that it unpacks from them, and archives made by hand for what it would
//! not make.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tar::{EntryType, Header};
use varve_content::ChunkSizes;
use varve_repository::RepositoryPath;
use varve_testkit::{Random, Scratch, TreeBuilder};

use super::error::{ArchiveProblem, IngestError};
use crate::error::PublishError;
use crate::settings::{Nesting, Settings};
use crate::trial::{TRUST_ALL, Trial};

fn settings() -> Settings {
    Settings {
        chunks: ChunkSizes::new(32 << 10, 64 << 10, 128 << 10).expect("ascending"),
        nesting: Nesting { automatic: true, maximum_entries: 40, minimum_entries: 5 },
        ..Settings::default()
    }
}

/// One of everything.
fn tree(root: &Path) {
    let mut random = Random::new(3);
    let long = format!("long/{}/{}", "d".repeat(200), "f".repeat(250));
    let mut tree = TreeBuilder::new(root);
    tree.file(".cvmfsdirtab", "/nested/*\n")
        .file("empty", "")
        .file("small", "text")
        .file("exactly", random.bytes(512))
        .file("minimum", random.bytes(32 << 10))
        .file("large", random.bytes(700_000))
        .file("zeros", vec![0; 400_000])
        .file(long.as_bytes(), "far away")
        .file(b"bytes\xff\x01\n", "not text")
        .file("nested/one/a", "1")
        .file("nested/two/.cvmfscatalog", "")
        .sparse_file("sparse", 3_000_000, &[(0, b"start"), (1_500_000, b"middle"), (2_000_000, b"later")])
        .sparse_file("hole", 1_000_000, &[])
        .symlink("link", "small")
        .symlink("longlink", "x".repeat(300))
        .directory("dir/empty")
        .file("dir/first", random.bytes(100_000))
        .hard_link("dir/second", "dir/first")
        .hard_link("elsewhere", "dir/first")
        .fifo("fifo")
        .character_device("null", 1, 300)
        .block_device("disk", 8, 1)
        .xattr("small", "user.text", "a\nb=c")
        .xattr("dir", "user.binary", [0, 255, 10])
        .mode("small", 0o4751)
        .mode("dir/empty", 0o1777)
        .owner("empty", 3_000_000, 70_000)
        .mtime("small", 1_234_567_890, 123_456_789)
        .mtime("empty", -5, 0);
    for number in 0..60 {
        tree.file(format!("many{}/f{number}", number % 3), format!("content {number}"));
    }
    // Many parts, so that the map of a sparse file needs more than its header.
    let pieces: Vec<(u64, &[u8])> = (0..60).map(|part| (part * 50_000, &b"part"[..])).collect();
    tree.sparse_file("parts", 3_000_000, &pieces);
    tree.finish();
}

fn run(command: &mut Command) {
    let output = command.output().expect("startable");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn pack(tree: &Path, options: &[&str]) -> Vec<u8> {
    let archive = tempfile::NamedTempFile::new().expect("creatable");
    run(Command::new("tar").args(options).arg("-C").arg(tree).arg("-cf").arg(archive.path()).arg("."));
    std::fs::read(archive.path()).expect("readable")
}

#[test]
fn an_archive_gives_what_its_unpacked_tree_gives() {
    let scratch = Scratch::new();
    let original = scratch.directory("tree");
    tree(&original);
    for (number, options) in [
        &["--format=gnu", "--sparse"][..],
        &["--format=gnu"],
        &["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=0.0", "--sort=name"],
        &["--format=pax", "--numeric-owner"],
    ]
    .into_iter()
    .enumerate()
    {
        let archive = pack(&original, options);
        let unpacked = scratch.directory(&format!("unpacked{number}"));
        let file = scratch.path().join("archive.tar");
        std::fs::write(&file, &archive).expect("writable");
        run(Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
            .arg(&file)
            .arg("-C")
            .arg(&unpacked));
        for at in ["/", "/some/where"] {
            let (mut walked, mut ingested) = (Trial::new(settings()), Trial::new(settings()));
            let place = RepositoryPath::new(at.as_bytes()).expect("a path");
            if at == "/" {
                walked.publish(&unpacked);
            } else {
                for trial in [&mut walked, &mut ingested] {
                    let base = scratch.directory("base/some");
                    trial.publish(base.parent().expect("it has one"));
                }
                walked.publish_at(&unpacked, &place, TRUST_ALL).expect("publishable");
            }
            let outcome = ingested.ingest(&archive, at, &[]).expect("sound");
            assert_eq!(ingested.listing(), walked.listing(), "{options:?}");
            assert_eq!(ingested.catalogs(), walked.catalogs(), "{options:?}");
            ingested.check_counters();
            assert!(outcome.walked.warnings.is_empty(), "{:?}", outcome.walked.warnings);
            assert!(ingested.ingest(&archive, at, &[]).expect("sound").catalogs.unchanged, "{options:?}");
        }
    }
}

#[test]
fn every_compression_is_taken_off() {
    let scratch = Scratch::new();
    let original = scratch.directory("tree");
    tree(&original);
    let plain = pack(&original, &["--format=pax"]);
    let mut expected = Trial::new(settings());
    expected.ingest(&plain, "/", &[]).expect("sound");
    for option in ["--gzip", "--bzip2", "--xz", "--zstd"] {
        let packed = pack(&original, &["--format=pax", option]);
        let mut trial = Trial::new(settings());
        trial.ingest(&packed, "/", &[]).expect("sound");
        assert_eq!(trial.catalogs(), expected.catalogs(), "{option}");
        for cut in [packed.len() / 3, packed.len() - 1] {
            let error = trial.ingest(&packed[..cut], "/", &[]).map(drop).expect_err("cut off");
            assert!(matches!(error, PublishError::Ingest(IngestError::Archive(_))), "{option}: {error}");
        }
    }
}

/// An archive made by hand.
pub(super) struct Made(Vec<u8>);

impl Made {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn member(mut self, name: &str, kind: EntryType, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o640);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.write_all(header.as_bytes()).expect("memory takes everything");
        self.0.write_all(content).expect("memory takes everything");
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, name: &str, content: &str) -> Self {
        self.member(name, EntryType::Regular, "", content.as_bytes())
    }

    pub(super) fn directory(self, name: &str) -> Self {
        self.member(name, EntryType::Directory, "", b"")
    }

    pub(super) fn link(self, name: &str, target: &str) -> Self {
        self.member(name, EntryType::Link, target, b"")
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Path, kind, mode, owner, size and link count of every line.
pub(super) fn short(trial: &Trial) -> Vec<String> {
    let listing = trial.listing();
    let fields = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    listing
        .lines()
        .map(fields)
        .map(|line| {
            format!("{} {} {} {}:{} {} {}", line[0], line[1], line[2], line[3], line[4], line[5], line[7])
        })
        .collect()
}

#[test]
fn later_members_win_and_parents_are_made() {
    let mut trial = Trial::new(settings());
    let archive = Made::new()
        .file("/a/b/c", "first")
        .link("a/b/d", "a/b/c")
        .link("./a/b/e", "/a/b/c")
        .file("a//b/./c", "second")
        .file("was-file", "1")
        .directory("was-file")
        .file("was-file/in", "1")
        .directory("was-directory")
        .file("was-directory/in", "1")
        .file("was-directory", "file")
        .end();
    trial.ingest(&archive, "/", &[]).expect("sound");
    assert_eq!(
        short(&trial),
        [
            "/ d 0755 0:0 - 4",
            "/a d 0755 0:0 - 3",
            "/a/b d 0755 0:0 - 2",
            "/a/b/c f 0640 7:8 6 1",
            "/a/b/d f 0640 7:8 5 2",
            "/a/b/e f 0640 7:8 5 2",
            "/was-directory f 0640 7:8 4 1",
            "/was-file d 0640 7:8 - 2",
            "/was-file/in f 0640 7:8 1 1",
        ]
    );
}

#[test]
fn what_is_there_stays_is_replaced_or_deleted() {
    let mut trial = Trial::new(settings());
    let before = Made::new()
        .file("kept/old", "1")
        .file("file", "1")
        .directory("directory")
        .file("directory/in", "1")
        .file("gone/in", "1")
        .file("again/old", "1")
        .file("left/x", "1")
        .file("left/y", "1")
        .end();
    trial.ingest(&before, "/", &[]).expect("sound");
    let archive = Made::new()
        .directory("kept")
        .file("kept/new", "22")
        .directory("file")
        .file("directory", "22")
        .file("again/new", "22")
        .end();
    let delete = ["/gone", "again", "left/x", "missing/x", "gone/in"];
    let outcome = trial.ingest(&archive, "/", &delete).expect("sound");
    assert_eq!(outcome.walked.warnings.len(), 1);
    assert_eq!(
        short(&trial),
        [
            "/ d 0755 0:0 - 6",
            "/again d 0755 0:0 - 2",
            "/again/new f 0640 7:8 2 1",
            "/directory f 0640 7:8 2 1",
            "/file d 0640 7:8 - 2",
            "/kept d 0640 7:8 - 2",
            "/kept/new f 0640 7:8 2 1",
            "/kept/old f 0640 7:8 1 1",
            "/left d 0755 0:0 - 2",
            "/left/y f 0640 7:8 1 1",
        ]
    );
    trial.check_counters();
    trial.ingest(&Made::new().file("only", "1").end(), "/", &["/"]).expect("sound");
    assert_eq!(short(&trial), ["/ d 0755 0:0 - 2", "/only f 0640 7:8 1 1"]);
}

/// The problem, its place and the member that it names.
fn refused(archive: &[u8]) -> (ArchiveProblem, u64, Option<String>) {
    let mut trial = Trial::new(settings());
    match trial.ingest(archive, "/", &[]).map(drop) {
        Err(PublishError::Ingest(IngestError::Archive(error))) => {
            assert!(trial.root.is_none());
            (error.problem, error.offset, error.member)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_leads_outside_or_nowhere_is_refused() {
    for name in ["../x", "a/../../x", "a/.."] {
        let (problem, offset, member) = refused(&Made::new().file("a/fine", "1").file(name, "1").end());
        assert!(matches!(problem, ArchiveProblem::Name { .. }), "{problem}");
        assert_eq!((offset, member.as_deref()), (1024, Some(name)));
    }
    for target in ["../x", "/etc/passwd", "later", "directory"] {
        let archive = Made::new().directory("directory").link("link", target).file("later", "1").end();
        let (problem, offset, member) = refused(&archive);
        assert!(matches!(problem, ArchiveProblem::LinkTarget { .. } | ArchiveProblem::Name { .. }));
        assert_eq!((offset, member.as_deref()), (512, Some("link")));
    }
    let through = Made::new().member("link", EntryType::Symlink, "/etc", b"").file("link/passwd", "1").end();
    assert!(matches!(refused(&through), (ArchiveProblem::NoDirectory, 512, Some(_))));
    let empty = Made::new().member("link", EntryType::Symlink, "", b"").end();
    assert!(matches!(refused(&empty).0, ArchiveProblem::SymlinkTarget { length: 0 }));
    let root = Made::new().file("./", "").member(".", EntryType::Fifo, "", b"").end();
    assert!(matches!(refused(&root).0, ArchiveProblem::Name { .. }));
    let unknown = Made::new().member("x", EntryType::new(b'Q'), "", b"").end();
    assert!(matches!(refused(&unknown).0, ArchiveProblem::Kind { kind: b'Q' }));

    let mut trial = Trial::new(settings());
    let before = Made::new().member("link", EntryType::Symlink, "/etc", b"").end();
    trial.ingest(&before, "/", &[]).expect("sound");
    let error = trial.ingest(&Made::new().file("link/passwd", "1").end(), "/", &[]).map(drop);
    assert!(matches!(error, Err(PublishError::Ingest(IngestError::NoDirectory { .. }))), "{error:?}");
}

#[test]
fn damage_is_named_with_its_place() {
    let whole = Made::new().file("one", "1").file("two", &"2".repeat(2000)).end();
    let (problem, offset, member) = refused(&whole[..2000]);
    assert!(matches!(problem, ArchiveProblem::CutOff), "{problem}");
    assert_eq!((offset, member.as_deref()), (2000, Some("two")));
    let (problem, offset, member) = refused(&whole[..1024]);
    assert!(matches!(problem, ArchiveProblem::CutOff), "{problem}");
    assert_eq!((offset, member.as_deref()), (1024, Some("one")));
    let mut damaged = whole.clone();
    damaged[1030] ^= 1;
    let (problem, offset, member) = refused(&damaged);
    assert!(matches!(problem, ArchiveProblem::Checksum), "{problem}");
    assert_eq!((offset, member.as_deref()), (1024, Some("one")));
    assert!(matches!(refused(b"").0, ArchiveProblem::CutOff));
    assert!(matches!(refused(&[b'x'; 3000]).0, ArchiveProblem::Checksum));
    assert!(matches!(refused(b"PK\x03\x04....").0, ArchiveProblem::Read(_)));
    let large = Made::new().member("x", EntryType::XHeader, "", &vec![b'x'; (1 << 20) + 1]).end();
    assert!(matches!(refused(&large).0, ArchiveProblem::TooLarge { .. }));

    let mut more = whole;
    more.extend_from_slice(b"and more");
    let outcome = Trial::new(settings()).ingest(&more, "/", &[]).expect("sound");
    assert_eq!(outcome.walked.warnings.len(), 1);
}

#[test]
fn the_deepest_path_does_no_harm() {
    let record = |path: &str| {
        let length = path.len() + " path=\n".len();
        let digits = if length + 3 < 1000 { 3 } else { 4 };
        format!("{} path={path}\n", length + digits)
    };
    let archive = |path: &str| {
        Made::new().member("x", EntryType::XHeader, "", record(path).as_bytes()).directory("y").end()
    };
    let mut trial = Trial::new(settings());
    trial.ingest(&archive(&"a/".repeat(256)), "/", &[]).expect("sound");
    assert!(trial.ingest(&archive(&"a/".repeat(257)), "/", &[]).is_err());
    assert!(trial.ingest(&archive(&"abcdefghi/".repeat(410)), "/", &[]).is_err());
}

fn sample() -> Vec<u8> {
    let scratch = Scratch::new();
    let root = scratch.directory("tree");
    TreeBuilder::new(&root)
        .file("d".repeat(120), "text")
        .sparse_file("sparse", 300_000, &[(100_000, b"middle")])
        .file("large", vec![7; 60_000])
        .symlink("link", "large")
        .finish();
    assert!(root.as_os_str().as_bytes().len() < 100);
    [pack(&root, &["--format=pax", "--sparse"]), pack(&root, &["--format=gnu", "--sparse"])].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Headers get a right checksum again, so that what is behind it is reached.
    #[test]
    fn damaged_archives_are_errors_or_other_archives(
        second in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        static SAMPLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(sample);
        let half = SAMPLE.len() / 2;
        let mut bytes = if second { SAMPLE[half..].to_vec() } else { SAMPLE[..half].to_vec() };
        for (index, value) in damage {
            // Mostly in the part with headers and maps.
            let block = index.index(bytes.len() / 512) * 512;
            let at = block + usize::from(value) * 2 % 512;
            bytes[at] = value;
            if bytes[block + 257..block + 262] == *b"ustar" {
                let mut header = Header::from_byte_slice(&bytes[block..block + 512]).clone();
                header.set_cksum();
                bytes[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut trial = Trial::new(settings());
        if trial.ingest(&bytes, "/", &[]).is_ok() {
            trial.check_counters();
        } else {
            prop_assert!(trial.root.is_none());
        }
    }
}
