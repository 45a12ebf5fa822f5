//! kill -9 at random instants of a collection: the repository is sound, and the next collection ends it.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use varve_system::{Installation, on_each_storage};
use varve_testkit::{ProcessGuard, Random, TreeBuilder, TreeSize};

/// How often one is killed.
const TIMES: u32 = 20;

const NAME: &str = "collected.lab.example";

const ONE: [&str; 5] = ["repo", "gc", NAME, "--keep-revisions", "1"];

on_each_storage!(a_killed_collection_leaves_a_sound_repository_and_the_next_one_completes_it);

fn a_killed_collection_leaves_a_sound_repository_and_the_next_one_completes_it(installation: &Installation) {
    let tree = installation.path("tree");
    TreeBuilder::random(&tree, 4, TreeSize { directories: 20, files: 100, largest: 50_000 });
    let path = tree.to_str().expect("because scratch paths are text");
    installation.create(NAME, &[]);
    let mut random = Random::new(9);
    let mut change = |installation: &Installation| {
        for file in 0..40 {
            let name = tree.join(format!("changing/{file}"));
            fs::create_dir_all(name.parent().expect("because it has one")).expect("because the tree is ours");
            fs::write(name, random.text(500)).expect("because the tree is ours");
        }
        installation.run(&["repo", "publish", NAME, path]);
    };
    let mut instants = Random::new(10);
    let mut killed = 0;
    // One that nobody kills tells how long one takes; then each that ends before it is killed is the new measure.
    (0..4).for_each(|_| change(installation));
    let begun = Instant::now();
    installation.run(&ONE);
    let mut usual = begun.elapsed();
    for round in 0..TIMES {
        (0..3).for_each(|_| change(installation));
        let mut command = installation.command(&ONE);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut collection = ProcessGuard::start(&mut command).expect("because the program exists");
        let begun = Instant::now();
        let wait = usual.mul_f64(instants.below(1000) as f64 / 1000.0);
        match collection.wait(wait).expect("because it is our child") {
            Some(status) => {
                assert!(status.success());
                usual = usual.min(begun.elapsed());
            }
            None => {
                collection.kill().expect("because it is our child");
                killed += 1;
            }
        }
        installation.run(&["repo", "check", "--data", NAME]);
        // Every other time something is published over what is left.
        if round % 2 == 1 {
            change(installation);
        }
        installation.run(&ONE);
        let report = report(installation, &["repo", "check", "--data", NAME, "--json"]);
        assert_eq!(report["orphans"], 0, "round {round}");
        // The newest and the one before it, which a tag names.
        let again = report_of_nothing(installation);
        assert_eq!(again["revisions_kept"], 2, "round {round}");
    }
    assert!(killed > TIMES / 4, "only {killed} of {TIMES} were killed in time");
}

fn report(installation: &Installation, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&installation.run(arguments)).expect("because --json prints JSON")
}

/// What is left to be collected: nothing.
fn report_of_nothing(installation: &Installation) -> serde_json::Value {
    let report = report(installation, &[&ONE[..], &["--dry-run", "--json"]].concat());
    assert_eq!((&report["objects_removed"], &report["revisions_removed"]), (&0.into(), &0.into()));
    report
}
