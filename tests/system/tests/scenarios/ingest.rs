//! Archives from a pipe: what the mount shows is the tree that was packed; what is cut off or killed changes nothing.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use varve_system::{Installation, fuse_is_missing, on_each_storage};
use varve_testkit::{ProcessGuard, Random, TreeBuilder, TreeSize, assert_same, listing};

const NAME: &str = "ingest.lab.example";

on_each_storage!(a_packed_tree_is_seen_as_it_was, what_is_cut_off_or_killed_changes_nothing);

fn a_packed_tree_is_seen_as_it_was(installation: &Installation) {
    if fuse_is_missing() {
        return;
    }
    let tree = installation.directory("work/tree");
    TreeBuilder::random(&tree, 8, TreeSize { directories: 20, files: 200, largest: 300_000 });
    installation.create(NAME, &[]);
    for (option, at) in [("--gzip", "zipped"), ("--format=pax", "a/b/plain")] {
        let script = format!("tar {option} -c -C tree . | varve repo ingest {NAME} - --at {at}");
        let outcome = installation.end(installation.shell(&script));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    installation.run(&["repo", "check", "--data", NAME]);
    let server = installation.serve(None);
    let key = installation.public_key(NAME);
    let mounted = installation.mount(NAME, &server.url(NAME), &key, "mnt", &[]);
    let expected = listing(&tree).expect("because it is ours");
    for at in ["zipped", "a/b/plain"] {
        let found = listing(&mounted.join(at)).expect("because everything can be read");
        assert_same(
            &without_links_and_directories(&expected),
            &without_links_and_directories(&found),
            &|_, _| false,
        );
    }
    installation.unmount(&mounted);
}

/// Link counts of directories, and of files whose names are in several, are the mount's own.
fn without_links_and_directories(listing: &str) -> String {
    let short = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let kept: Vec<&str> = fields
            .iter()
            .enumerate()
            .filter(|(at, _)| ![7, 11].contains(at))
            .map(|(_, field)| *field)
            .collect();
        kept.join("\t") + "\n"
    };
    listing.lines().map(short).collect()
}

fn what_is_cut_off_or_killed_changes_nothing(installation: &Installation) {
    let tree = installation.directory("work/tree");
    let mut random = Random::new(4);
    for number in 0..40 {
        fs::write(tree.join(format!("file{number}")), random.bytes(100_000))
            .expect("because the tree is ours");
    }
    installation.create(NAME, &[]);
    let outcome = installation.end(installation.shell("tar -cf whole.tar -C tree ."));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let archive = fs::read(installation.path("work/whole.tar")).expect("because it was just made");
    let before = installation.run(&["repo", "info", NAME]);
    for cut in [1, 1000, archive.len() / 2, archive.len() - 10_000] {
        let script = format!("head -c {cut} whole.tar | varve repo ingest {NAME} -");
        let outcome = installation.end(installation.shell(&script));
        assert_eq!(outcome.code, Some(1), "{cut}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("at byte {cut}")), "{cut}: {}", outcome.stderr);
        assert_eq!(installation.run(&["repo", "info", NAME]), before);
    }
    for part in 1..6 {
        let mut command = installation.command(&["repo", "ingest", NAME, "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = ProcessGuard::start(&mut command).expect("because the program exists");
        let mut input = process.child().stdin.take().expect("because it was asked for");
        input.write_all(&archive[..archive.len() / 6 * part]).expect("because it reads");
        process.kill().expect("because it is our child");
        assert_eq!(installation.run(&["repo", "info", NAME]), before);
    }
    installation.run(&["repo", "ingest", NAME, "work/whole.tar"].map(|argument| match argument {
        "work/whole.tar" => installation.path(argument).display().to_string(),
        other => other.to_owned(),
    }));
    installation.run(&["repo", "check", "--data", NAME]);
    assert!(installation.run(&["repo", "info", NAME]).contains("40 files"));
}
