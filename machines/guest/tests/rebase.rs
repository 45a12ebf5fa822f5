//! A rebase over real directories: planned, applied, stopped at every step, undone.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use varve_guest::rebase::{self, Conflict, Dropped, Merge, Rebase, Resolution, Undo};

/// The three trees and a place for undoing.
struct Trees {
    scratch: tempfile::TempDir,
}

impl Trees {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("because there is room");
        for name in ["before", "after", "upper"] {
            fs::create_dir(scratch.path().join(name)).expect("because there is room");
        }
        Self { scratch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn write(&self, tree: &str, path: &str, content: &str) -> &Self {
        let path = self.path(tree).join(path);
        fs::create_dir_all(path.parent().expect("because it is below")).expect("because there is room");
        fs::write(path, content).expect("because there is room");
        self
    }

    /// In both bases.
    fn base(&self, path: &str, content: &str) -> &Self {
        self.write("before", path, content).write("after", path, content)
    }

    fn plan(&self) -> Rebase {
        rebase::plan(&self.path("before"), &self.path("after"), &self.path("upper"))
            .expect("because all is there")
    }

    fn apply(&self) -> Rebase {
        let rebase = self.plan();
        rebase.apply(&self.path("upper"), &self.path("undo")).expect("because all is there");
        rebase
    }

    fn undo(&self) -> Vec<PathBuf> {
        let undo =
            Undo::load(&self.path("undo")).expect("because it is whole").expect("because it was applied");
        undo.apply(&self.path("upper")).expect("because all is there")
    }

    fn here(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path("upper").join(path)).ok()
    }

    fn resolution(&self, path: &str) -> Option<Resolution> {
        self.plan().steps.into_iter().find(|step| step.path == Path::new(path)).map(|step| step.resolution)
    }

    /// Every path of the upper directory with its owner, mode and content.
    fn listing(&self) -> Vec<(PathBuf, u32, u32, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let mut open = vec![self.path("upper")];
        while let Some(path) = open.pop() {
            let metadata = fs::symlink_metadata(&path).expect("because it was listed");
            let content =
                if metadata.is_file() { fs::read(&path).expect("because it is a file") } else { Vec::new() };
            found.push((path.clone(), metadata.uid(), metadata.gid(), metadata.mode(), content));
            if metadata.is_dir() {
                open.extend(
                    fs::read_dir(&path)
                        .expect("because it is one")
                        .map(|item| item.expect("because it is there").path()),
                );
            }
        }
        found.sort();
        found
    }
}

const LINES: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n";

#[test]
fn what_only_one_side_changed_is_left_alone() {
    let trees = Trees::new();
    trees.base("etc/kept.conf", "a").write("upper", "etc/kept.conf", "b");
    trees.write("before", "etc/updated.conf", "a").write("after", "etc/updated.conf", "b");
    trees.write("upper", "home/anna/thesis", "draft");
    let rebase = trees.apply();
    assert_eq!((rebase.steps.len(), rebase.untouched), (0, 2));
    assert_eq!(trees.here("etc/kept.conf").as_deref(), Some("b"));
}

#[test]
fn configuration_is_merged_line_by_line() {
    let trees = Trees::new();
    trees.write("before", "etc/service.conf", LINES);
    trees.write("after", "etc/service.conf", &LINES.replace("two", "2"));
    trees.write("upper", "etc/service.conf", &LINES.replace("seven", "7"));
    trees.apply();
    assert_eq!(trees.here("etc/service.conf"), Some(LINES.replace("two", "2").replace("seven", "7")));
    assert!(trees.undo().is_empty());
    assert_eq!(trees.here("etc/service.conf"), Some(LINES.replace("seven", "7")));
}

#[test]
fn a_conflict_keeps_what_was_made_here_and_puts_the_new_one_beside_it() {
    let trees = Trees::new();
    trees.write("before", "etc/service.conf", "a\n").write("after", "etc/service.conf", "b\n");
    trees.write("upper", "etc/service.conf", "c\n");
    trees.write("before", "usr/bin/tool", "a").write("after", "usr/bin/tool", "b").write(
        "upper",
        "usr/bin/tool",
        "c",
    );
    let rebase = trees.apply();
    assert_eq!(rebase.conflicts().count(), 2);
    assert!(rebase.to_string().contains("! /etc/service.conf: changed on both sides"), "{rebase}");
    assert_eq!(trees.here("etc/service.conf").as_deref(), Some("c\n"));
    assert_eq!(trees.here("etc/service.conf.varve-new").as_deref(), Some("b\n"));
    assert_eq!(trees.here("usr/bin/tool.varve-new"), None);
    assert!(trees.undo().is_empty());
    assert_eq!(trees.here("etc/service.conf.varve-new"), None);
}

#[test]
fn copies_that_say_nothing_of_their_own_are_dropped() {
    let trees = Trees::new();
    trees.write("before", "etc/a", "1").write("after", "etc/a", "2").write("upper", "etc/a", "1");
    trees.write("before", "etc/b", "1").write("after", "etc/b", "2").write("upper", "etc/b", "2");
    let dropped = |because| Some(Resolution::Dropped { because });
    assert_eq!(trees.resolution("etc/a"), dropped(Dropped::Unchanged));
    assert_eq!(trees.resolution("etc/b"), dropped(Dropped::SameAsNew));
    let state = trees.listing();
    trees.apply();
    assert_eq!((trees.here("etc/a"), trees.here("etc/b")), (None, None));
    assert!(trees.undo().is_empty());
    assert_eq!(trees.listing(), state);
}

#[test]
fn accounts_are_merged_and_their_files_follow_new_numbers() {
    let trees = Trees::new();
    let (users, groups) = ("root:x:0:0::/root:/bin/sh\n", "root:x:0:\n");
    trees.write("before", "etc/passwd", users).write("before", "etc/group", groups);
    trees.write("after", "etc/passwd", &format!("{users}tss:x:101:102::/:/bin/false\n"));
    trees.write("after", "etc/group", &format!("{groups}tss:x:102:\n"));
    trees.write("upper", "etc/passwd", &format!("{users}munge:x:101:102::/:/bin/false\n"));
    trees.write("upper", "etc/group", &format!("{groups}munge:x:102:\n"));
    trees.write("upper", "etc/munge.key", "secret");
    let key = trees.path("upper/etc/munge.key");
    std::os::unix::fs::chown(&key, Some(101), Some(102)).expect("because this is root");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o4750)).expect("because this is root");
    let state = trees.listing();
    trees.apply();
    let owner = fs::metadata(&key).expect("because it is there");
    assert_eq!((owner.uid(), owner.gid(), owner.mode() & 0o7777), (999, 999, 0o4750));
    let users = trees.here("etc/passwd").expect("because it is there");
    assert!(users.ends_with("tss:x:101:102::/:/bin/false\nmunge:x:999:999::/:/bin/false\n"), "{users}");
    trees.undo();
    assert_eq!(trees.listing(), state);
}

#[test]
fn removals_links_directories_and_kinds() {
    let trees = Trees::new();
    for (path, after) in [("etc/kept", "a"), ("etc/changed", "b")] {
        trees.write("before", path, "a").write("after", path, after);
        whiteout(&trees.path("upper").join(path));
    }
    trees.write("before", "etc/gone", "a");
    whiteout(&trees.path("upper/etc/gone"));
    trees.write("before", "etc/removed-from-base", "a").write("upper", "etc/removed-from-base", "mine");
    trees.write("before", "opt/link", "a").write("after", "opt/link/inside", "b");
    symlink("elsewhere", trees.path("upper").join("etc/../opt-link")).expect("because there is room");
    trees.write("upper", "opt/link", "mine");
    let kind = |path| match trees.resolution(path) {
        Some(Resolution::Conflict { kind, .. }) => Some(kind),
        _ => None,
    };
    assert_eq!(trees.resolution("etc/kept"), None);
    assert_eq!(kind("etc/changed"), Some(Conflict::RemovedHere));
    assert_eq!(trees.resolution("etc/gone"), Some(Resolution::Dropped { because: Dropped::SameAsNew }));
    assert_eq!(kind("etc/removed-from-base"), Some(Conflict::RemovedFromBase));
    assert_eq!(kind("opt/link"), Some(Conflict::AnotherKind));
}

#[test]
fn nothing_outside_is_read_through_a_link_in_a_base() {
    let trees = Trees::new();
    trees.write("before", "etc/service.conf", "a\n").write("upper", "etc/service.conf", "b\n");
    fs::create_dir(trees.path("outside")).expect("because there is room");
    fs::write(trees.path("outside/service.conf"), "b\n").expect("because there is room");
    symlink(trees.path("outside"), trees.path("after/etc")).expect("because there is room");
    let rebase = trees.plan();
    assert_eq!(rebase.conflicts().count(), 1, "{rebase}");
}

#[test]
fn stopped_anywhere_it_is_done_again() {
    let trees = Trees::new();
    trees.write("before", "etc/lines", LINES).write("after", "etc/lines", &LINES.replace("two", "2"));
    trees.write("upper", "etc/lines", &LINES.replace("seven", "7"));
    trees.write("before", "etc/same", "1").write("after", "etc/same", "2").write("upper", "etc/same", "2");
    let rebase = trees.plan();
    assert!(matches!(rebase.steps[0].resolution, Resolution::Merged { by: Merge::Lines, .. }));
    // Stopped after each number of steps: as a rebase of only so many, then the whole one.
    for done in 0..=rebase.steps.len() {
        let copy = Trees::new();
        copy.write("upper", "etc/lines", &LINES.replace("seven", "7")).write("upper", "etc/same", "2");
        let state = copy.listing();
        let (upper, undo) = (copy.path("upper"), copy.path("undo"));
        let partial = Rebase { steps: rebase.steps[..done].to_vec(), ..rebase.clone() };
        partial.apply(&upper, &undo).expect("because all is there");
        rebase.apply(&upper, &undo).expect("because it can be done again");
        assert_eq!(Rebase::recorded(&undo).expect("because it is whole"), Some(rebase.clone()));
        assert_eq!(
            (copy.here("etc/lines").map(|text| text.contains("2\n")), copy.here("etc/same")),
            (Some(true), None)
        );
        assert!(copy.undo().is_empty());
        assert_eq!(copy.listing(), state, "stopped after {done} steps");
    }
}

#[test]
fn what_was_changed_after_a_rebase_outlives_undoing_it() {
    let trees = Trees::new();
    let users = "root:x:0:0::/root:/bin/sh\n";
    let anna = "anna:x:1000:1000::/home/anna:/bin/sh\n";
    trees.write("before", "etc/passwd", users);
    trees.write("after", "etc/passwd", &format!("{users}tss:x:101:102::/:/bin/false\n"));
    trees.write("upper", "etc/passwd", &format!("{users}{anna}"));
    trees.apply();
    let ben = "ben:x:1001:1001::/home/ben:/bin/sh\n";
    let now = trees.here("etc/passwd").expect("because it is there");
    trees.write("upper", "etc/passwd", &format!("{now}{ben}"));
    assert!(trees.undo().is_empty());
    assert_eq!(trees.here("etc/passwd"), Some(format!("{users}{anna}{ben}")));
}

/// As overlayfs marks what was removed. Needs root.
fn whiteout(path: &Path) {
    fs::create_dir_all(path.parent().expect("because it is below")).expect("because there is room");
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::empty(), 0)
        .expect("because this is root");
}
