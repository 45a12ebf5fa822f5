//! Replication over a link with 50 ms there and back and 100 Mbit/s: how much of the link it uses, what it costs when nothing
//! has changed, and how soon a mounted client behind a replica sees what was published.
//!
//! `cargo build --release -p varve && cargo bench -p varve-system --bench replicate`

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{Link, LinkSettings, Namespace, ProcessGuard, Random, wait_until};

const NAME: &str = "far.lab.example";
const FILES: usize = 20_000;
const DIRECTORIES: usize = 400;
/// Bytes of a file; they don't compress.
const AVERAGE: u64 = 10_000;
const SERVER: &str = "10.203.0.2:8000";
const REPLICA: &str = "10.203.0.1:8000";
const LIMIT: Duration = Duration::from_secs(120);
const ROUNDS: usize = 5;

fn main() {
    let Some(link) = Link::or_skip(LinkSettings::FAR_AWAY) else { return };
    let (publisher, site) = (Installation::new(), Installation::new());
    let tree = publisher.directory("tree");
    let mut random = Random::new(7);
    for number in 0..FILES {
        let directory = tree.join(format!("{}", number % DIRECTORIES));
        fs::create_dir_all(&directory).expect("because the tree is ours");
        let size = random.below(2 * AVERAGE) as usize;
        fs::write(directory.join(format!("{number}")), random.bytes(size)).expect("because the tree is ours");
    }
    publisher.publish(NAME, &tree);
    let log = publisher.path("access.log");
    let mut serve = publisher.command(&["serve", "--listen", SERVER, "--access-log", text(&log)]);
    serve.stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = start(link.far(), &mut serve);
    let url = format!("http://{SERVER}/cvmfs/{NAME}");
    let key = publisher.public_key(NAME);
    wait_until("the server", LIMIT, || log.exists());
    let requests = || fs::read_to_string(&log).map_or(0, |log| log.lines().count());

    let received = link.back().bytes;
    let start = Instant::now();
    run(&link, &site, &["replicate", &url, "--key", text(&key)]);
    let took = start.elapsed().as_secs_f64();
    let bytes = (link.back().bytes - received) as f64;
    let alone = bytes / LinkSettings::FAR_AWAY.rate as f64;
    println!(
        "{FILES} objects: {took:.2} s for {:.1} MB in {} requests; the link alone {alone:.2} s: {:.2} of the link",
        bytes / 1e6,
        requests(),
        alone / took
    );

    let before = requests();
    let start = Instant::now();
    run(&link, &site, &["replicate", &url]);
    let took = start.elapsed().as_secs_f64();
    // The line of a request is written after its answer.
    std::thread::sleep(Duration::from_millis(300));
    println!("nothing changed: {took:.2} s, {} request(s)", requests() - before);

    if !fuse_is_missing() {
        announced(&link, &publisher, &site, &tree, &url, &key);
    }
    server.kill().expect("because it runs");
}

/// From the end of a publish to the moment when a mounted client of the replica shows it.
fn announced(link: &Link, publisher: &Installation, site: &Installation, tree: &Path, url: &str, key: &Path) {
    let background = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        start(link.near(), &mut command)
    };
    let mut follow = background(&["replicate", "--follow", url]);
    let mut serve = background(&["serve", "--listen", REPLICA]);
    let mounted = site.directory("mnt");
    let replica = format!("http://{REPLICA}/cvmfs/{NAME}");
    wait_until("the mount", LIMIT, || {
        run_quietly(link, site, &["mount", NAME, text(&mounted), "--server", &replica, "--key", text(key)])
    });
    let mut random = Random::new(8);
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let state = random.text(40);
            fs::write(tree.join("state"), &state).expect("because the tree is ours");
            publisher.run(&["repo", "publish", NAME, text(tree)]);
            let start = Instant::now();
            wait_until("the new revision", LIMIT, || {
                fs::read(mounted.join("state")).is_ok_and(|shown| shown == state)
            });
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (median, longest) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("published, announced, copied, announced, shown: median {median:.2} s, longest {longest:.2} s");
    site.unmount(&mounted);
    for process in [&mut follow, &mut serve] {
        process.kill().expect("because it runs");
    }
}

fn run(link: &Link, site: &Installation, arguments: &[&str]) {
    assert!(run_quietly(link, site, arguments), "varve {arguments:?}");
}

fn run_quietly(link: &Link, site: &Installation, arguments: &[&str]) -> bool {
    let mut command = site.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut call = start(link.near(), &mut command);
    call.wait(LIMIT).is_ok_and(|status| status.is_some_and(|status| status.success()))
}

fn start(namespace: &Namespace, command: &mut Command) -> ProcessGuard {
    let started = namespace.enter(|| ProcessGuard::start(command)).expect("because the link is ours");
    started.expect("because the program exists")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("because scratch paths are text")
}
