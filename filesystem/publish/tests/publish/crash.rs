//! Killed at any instant, a publish leaves the revision before, and the next publish succeeds.

use std::process::{Command, Stdio};
use std::time::Duration;

use varve_publish::{SettingsFile, Silent, info, publish};
use varve_testkit::{Random, TreeBuilder, TreeSize};

use crate::workshop::{Workshop, at, local, request};

/// The environment variable that tells the other process where to publish.
const HOME: &str = "VARVE_TEST_CRASH_HOME";

/// Publishes until it is killed, a changed tree each time. Does nothing in a usual run.
#[test]
fn other_process() {
    let Ok(home) = std::env::var(HOME) else { return };
    let home = std::path::Path::new(&home);
    let (local, tree) = (local(home), home.join("tree"));
    for step in 0.. {
        std::fs::write(tree.join("changing"), format!("{step}")).expect("writable");
        std::fs::write(tree.join("d0/changing"), format!("{step}").repeat(3000)).expect("writable");
        let published = publish(&local, &request(&tree, step), &Silent).expect("publishable");
        println!("acknowledged {} {}", published.revision, published.root_catalog);
    }
}

#[test]
fn killed_at_any_instant_nothing_is_lost() {
    let workshop = Workshop::with_repository(SettingsFile {
        nesting: Some(varve_publish::NestingFile {
            automatic: Some(true),
            maximum_entries: Some(20),
            minimum_entries: Some(4),
        }),
        ..SettingsFile::default()
    });
    TreeBuilder::random(&workshop.tree, 11, TreeSize { directories: 12, files: 120, largest: 30_000 });
    std::fs::create_dir_all(workshop.tree.join("d0")).expect("creatable");
    workshop.publish(0);
    let mut random = Random::new(5);
    let mut acknowledged_before = 2;
    for _ in 0..50 {
        let mut process = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "crash::other_process", "--nocapture", "--test-threads=1"])
            .env(HOME, workshop.scratch.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("startable");
        std::thread::sleep(Duration::from_micros(2_000 + random.below(150_000)));
        process.kill().expect("killable");
        let output = process.wait_with_output().expect("it ended");
        let text = String::from_utf8_lossy(&output.stdout);
        let acknowledged = text
            .lines()
            .filter(|line| line.contains("acknowledged"))
            .filter_map(|line| line.split_whitespace().rev().nth(1)?.parse::<u64>().ok())
            .max()
            .unwrap_or(acknowledged_before);
        let now = info(&workshop.local, at(0)).expect("a valid revision");
        assert!(now.revision >= acknowledged, "{} was acknowledged, {} is there", acknowledged, now.revision);
        assert!(acknowledged >= acknowledged_before);
        acknowledged_before = now.revision;
    }
    assert!(acknowledged_before > 3, "the other process published at least now and then");
    // The next publish succeeds, and what is there is whole: everything is read and found the same.
    workshop.publish(1000);
    let everything = varve_publish::PublishRequest { read_everything: true, ..request(&workshop.tree, 2000) };
    assert!(!publish(&workshop.local, &everything, &Silent).expect("publishable").is_new);
    let left: Vec<_> = std::fs::read_dir(workshop.local.directory.join("data/txn"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
}
