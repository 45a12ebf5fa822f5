//! kill -9 at random instants: nothing acknowledged is lost, no mount is stuck.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use varve_system::{Installation, fuse_is_missing, on_each_storage};
use varve_testkit::{ProcessGuard, Random, TreeBuilder, TreeSize, assert_same, listing, wait_until};

/// How often each is killed.
const TIMES: u32 = 50;

const NAME: &str = "killed.lab.example";

on_each_storage!(a_killed_publish_leaves_the_old_revision_and_the_next_one_succeeds);

fn a_killed_publish_leaves_the_old_revision_and_the_next_one_succeeds(installation: &Installation) {
    let tree = installation.path("tree");
    TreeBuilder::random(&tree, 1, TreeSize { directories: 40, files: 300, largest: 200_000 });
    let path = tree.to_str().expect("because scratch paths are text");
    installation.create(NAME, &[]);
    let begun = Instant::now();
    installation.run(&["repo", "publish", NAME, path]);
    // How long a publish takes at most: each that ends before it is killed is the new measure, however busy the machine.
    let mut usual = begun.elapsed();
    let mut random = Random::new(3);
    let mut acknowledged = revision(installation);
    let mut killed = 0;
    for round in 0..TIMES {
        // Much changes every time, so that there is something to be killed in.
        for file in 0..60 {
            let name = tree.join(format!("changing/{file}"));
            fs::create_dir_all(name.parent().expect("because it has one")).expect("because the tree is ours");
            fs::write(name, random.text(20_000)).expect("because the tree is ours");
        }
        let mut command = installation.command(&["repo", "publish", NAME, path]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut publish = ProcessGuard::start(&mut command).expect("because the program exists");
        let begun = Instant::now();
        let wait = usual.mul_f64(random.below(1000) as f64 / 1000.0);
        match publish.wait(wait).expect("because it is our child") {
            Some(status) => {
                assert!(status.success());
                usual = usual.min(begun.elapsed());
            }
            None => {
                publish.kill().expect("because it is our child");
                killed += 1;
            }
        }
        let now = revision(installation);
        assert!(now >= acknowledged, "round {round}: revision {acknowledged} was lost, {now} is there");
        acknowledged = now;
        if round % 10 == 9 {
            installation.run(&["repo", "check", "--data", NAME]);
        }
    }
    assert!(killed > TIMES / 4, "only {killed} of {TIMES} were killed in time");
    installation.run(&["repo", "publish", NAME, path]);
    installation.run(&["repo", "check", "--data", NAME]);
    if !fuse_is_missing() {
        let server = installation.serve(None);
        let key = installation.public_key(NAME);
        let mounted = installation.mount(NAME, &server.url(NAME), &key, "mnt", &[]);
        let [expected, found] = [&tree, &mounted].map(|root| listing(root).expect("because all can be read"));
        assert_same(&expected, &found, &of_a_mount);
        installation.unmount(&mounted);
    }
}

fn revision(installation: &Installation) -> u64 {
    let info = installation.run(&["repo", "info", "--json", NAME]);
    let info: serde_json::Value = serde_json::from_str(&info).expect("because --json prints JSON");
    info["revision"].as_u64().expect("because a repository has a revision")
}

#[test]
fn a_killed_worker_is_replaced_and_no_reader_notices() {
    if fuse_is_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::random(&tree, 4, TreeSize { directories: 40, files: 400, largest: 200_000 });
    installation.publish(NAME, &tree);
    let expected = listing(&tree).expect("because the tree is ours");
    let server = installation.serve(None);
    let key = installation.public_key(NAME);
    let mut random = Random::new(5);
    for round in 0..TIMES {
        let cache = installation.path(&format!("cache{round}"));
        let options = ["--cache", cache.to_str().expect("because scratch paths are text")];
        let mounted = installation.mount(NAME, &server.url(NAME), &key, "mnt", &options);
        let worker = worker(&installation, &mounted);
        let reading = std::thread::spawn({
            let mounted = mounted.clone();
            move || listing(&mounted)
        });
        std::thread::sleep(Duration::from_millis(random.below(150)));
        kill_process(worker, Signal::KILL).expect("because the worker runs");
        let found =
            reading.join().expect("because the reader does not panic").expect("because all can be read");
        assert_same(&expected, &found, &of_a_mount);
        installation.unmount(&mounted);
        assert!(varve_testkit::mounts_below(&mounted).is_empty(), "round {round}");
        fs::remove_dir_all(&cache).expect("because nobody writes to it any more");
    }
}

#[test]
fn when_all_are_killed_the_next_mount_takes_the_place() {
    if fuse_is_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::new(&tree).file("a", b"content").finish();
    installation.publish(NAME, &tree);
    let server = installation.serve(None);
    let key = installation.public_key(NAME);
    let mounted = installation.mount(NAME, &server.url(NAME), &key, "mnt", &[]);
    let worker = worker(&installation, &mounted);
    let supervisor = parent(worker);
    // Stopped first, so that neither can replace the other.
    for (signal, process) in [worker, supervisor]
        .iter()
        .flat_map(|&p| [(Signal::STOP, p)])
        .chain([worker, supervisor].iter().map(|&p| (Signal::KILL, p)))
    {
        kill_process(process, signal).expect("because it runs");
    }
    wait_until("the next mount", Duration::from_secs(30), || {
        installation.try_mount(NAME, &server.url(NAME), &key, &mounted, &[]).code == Some(0)
    });
    assert_eq!(fs::read(mounted.join("a")).expect("because it is mounted again"), b"content");
    installation.unmount(&mounted);
    assert!(varve_testkit::mounts_below(&mounted).is_empty());
}

/// The process that answers a mount's requests.
fn worker(installation: &Installation, mounted: &Path) -> Pid {
    let status = installation.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("because --json prints JSON");
    let mounts = status.as_array().expect("because the listing is an array");
    let here = |mount: &&serde_json::Value| mount["directory"].as_str().map(Path::new) == Some(mounted);
    let number = mounts.iter().find(here).and_then(|mount| mount["worker"].as_i64());
    process(number.and_then(|number| i32::try_from(number).ok()).expect("because the mount has a worker"))
}

/// The parent of a process.
fn parent(of: Pid) -> Pid {
    let status =
        fs::read_to_string(format!("/proc/{}/status", of.as_raw_nonzero())).expect("because it runs");
    let number = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    process(number.expect("because every process has a parent"))
}

fn process(number: i32) -> Pid {
    Pid::from_raw(number).expect("because numbers of processes are positive")
}

/// Names of one file in several directories are files of their own in a repository; the last field is the mount's alone.
fn of_a_mount(_path: &str, field: usize) -> bool {
    field == 7 || field == 11
}
