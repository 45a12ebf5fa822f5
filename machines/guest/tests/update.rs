//! Going to another version and back, over plain directories in place of mounted versions.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use varve_guest::update::{Bases, Outcome, Pinned, Request, UpdateError, Version, Versions};

struct Directories {
    root: PathBuf,
    reachable: bool,
}

impl Bases for Directories {
    fn mount(&mut self, version: &Version) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
        if !self.reachable {
            return Err("no network".into());
        }
        Ok(self.root.join(&version.hash))
    }
}

struct Machine {
    scratch: tempfile::TempDir,
    bases: Directories,
}

fn version(revision: u64) -> Version {
    Version { hash: format!("v{revision}"), revision: Some(revision), tag: Some(format!("os-{revision}")) }
}

impl Machine {
    /// Booted once, at the first of two versions, with a line of its own in a file that the second changes too.
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("because there is room");
        let root = scratch.path().to_owned();
        let write = |path: &str, content: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("because it is below")).expect("because there is room");
            fs::write(path, content).expect("because there is room");
        };
        write("v1/etc/motd", "a\nb\nc\nd\ne\n");
        write("v2/etc/motd", "a, better\nb\nc\nd\ne\n");
        write("upper/etc/motd", "a\nb\nc\nd\nmine\n");
        let machine = Self { bases: Directories { root, reachable: true }, scratch };
        let first = Pinned::first("os.example.org", "os-1", version(1));
        machine.versions().pin(&first).expect("because there is room");
        machine
    }

    fn versions(&self) -> Versions {
        Versions::in_directory(self.scratch.path())
    }

    fn ask(&self, request: &Request) {
        self.versions().ask(Some(request)).expect("because it can be done");
    }

    fn boot(&mut self) -> Result<Outcome, UpdateError> {
        let upper = self.scratch.path().join("upper");
        self.versions().at_boot(&upper, &mut self.bases)
    }

    fn now(&self) -> (u64, String) {
        let pinned = self.versions().pinned().expect("because it is whole").expect("because it was booted");
        (
            pinned.version.revision.expect("because it was given"),
            fs::read_to_string(self.scratch.path().join("upper/etc/motd")).expect("because it is there"),
        )
    }
}

const MINE: &str = "a\nb\nc\nd\nmine\n";
const BOTH: &str = "a, better\nb\nc\nd\nmine\n";

#[test]
fn a_machine_stays_until_it_is_asked_and_goes_back_when_it_is_asked() {
    let mut machine = Machine::new();
    assert!(matches!(machine.boot(), Ok(Outcome::Unchanged)));
    machine.ask(&Request::Rebase(version(2)));
    assert!(matches!(machine.boot(), Ok(Outcome::Rebased { .. })));
    assert_eq!(machine.now(), (2, BOTH.to_owned()));
    assert!(matches!(machine.boot(), Ok(Outcome::Unchanged)));
    let report = fs::read_to_string(machine.scratch.path().join("update/1/report.txt"))
        .expect("because it was written");
    assert!(
        report.starts_with("from os-1 (revision 1) to os-2 (revision 2)\n  /etc/motd: merged"),
        "{report}"
    );
    machine.ask(&Request::Undo);
    assert!(matches!(machine.boot(), Ok(Outcome::Undone { kept, .. }) if kept.is_empty()));
    assert_eq!(machine.now(), (1, MINE.to_owned()));
    fs::write(machine.scratch.path().join("upper/etc/motd"), "a\nb\nc\nd\nmine, later\n")
        .expect("because there is room");
    machine.ask(&Request::Rebase(version(2)));
    machine.boot().expect("because it can be done again");
    assert_eq!(machine.now(), (2, "a, better\nb\nc\nd\nmine, later\n".to_owned()));
}

#[test]
fn without_a_network_the_version_stays_and_the_request_too() {
    let mut machine = Machine::new();
    machine.ask(&Request::Rebase(version(2)));
    machine.bases.reachable = false;
    assert!(matches!(machine.boot(), Err(UpdateError::Base { .. })));
    assert_eq!(machine.now(), (1, MINE.to_owned()));
    machine.bases.reachable = true;
    machine.boot().expect("because the network is back");
    assert_eq!(machine.now().0, 2);
}

#[test]
fn an_update_that_was_stopped_is_gone_on_with_as_it_was_planned() {
    let mut machine = Machine::new();
    machine.ask(&Request::Rebase(version(2)));
    machine.boot().expect("because it can be done");
    // As if the power was cut before the version was written.
    let first = Pinned::first("os.example.org", "os-1", version(1));
    machine.versions().pin(&first).expect("because there is room");
    machine.ask(&Request::Rebase(version(2)));
    machine.bases.reachable = false;
    machine.boot().expect("because all that is needed was recorded");
    assert_eq!(machine.now(), (2, BOTH.to_owned()));
}

#[test]
fn what_was_begun_of_another_update_is_taken_back_first() {
    let mut machine = Machine::new();
    let motd = machine.scratch.path().join("v3/etc/motd");
    fs::create_dir_all(motd.parent().expect("because it is below")).expect("because there is room");
    fs::write(motd, "a\nb\nc, too\nd\ne\n").expect("because there is room");
    machine.ask(&Request::Rebase(version(2)));
    machine.boot().expect("because it can be done");
    let first = Pinned::first("os.example.org", "os-1", version(1));
    machine.versions().pin(&first).expect("because there is room");
    machine.ask(&Request::Rebase(version(3)));
    machine.boot().expect("because it can be done");
    assert_eq!(machine.now(), (3, "a\nb\nc, too\nd\nmine\n".to_owned()));
}

#[test]
fn the_first_version_has_none_before_it() {
    let machine = Machine::new();
    assert!(matches!(machine.versions().ask(Some(&Request::Undo)), Err(UpdateError::NothingToUndo)));
}

#[test]
fn damaged_files_are_errors_that_name_them() {
    let machine = Machine::new();
    let path = machine.scratch.path().join("version.json");
    fs::write(&path, "{").expect("because there is room");
    let error = machine.versions().pinned().expect_err("because it is damaged");
    assert!(error.to_string().contains(Path::new(&path).to_str().expect("because it is text")), "{error}");
}
