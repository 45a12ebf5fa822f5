//! Publisher, two replicas, a squid and two clients, each on a line of its own; lines are cut, slow, lossy and restored at
//! random while revisions are published: no client reads a wrong byte, a mixture of revisions, or an older one again, and
//! all come to the last one in the end.
//!
//! `VARVE_TEST_UNRELIABLE=300 cargo test -p varve-system --test scenarios unreliable` does it for five minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{LinkSettings, Network, ProcessGuard, Random, Squid, wait_until};

const NAME: &str = "unreliable.lab.example";

/// Which machine is which node of the network.
const PUBLISHER: usize = 0;
const REPLICAS: [usize; 2] = [1, 2];
const SQUID: usize = 3;
const CLIENTS: [usize; 2] = [4, 5];

const PROXY: &str = "10.203.0.4:3128";

/// How long it goes on, in seconds, if nothing else is asked for.
const USUAL: u64 = 20;

const LONG: Duration = Duration::from_secs(300);

/// Directories, each a nested catalog, and the files in each.
const DIRECTORIES: u64 = 4;
const FILES: u64 = 6;

#[test]
fn over_lines_that_come_and_go_nobody_sees_anything_wrong() {
    if fuse_is_missing() {
        return;
    }
    let Some(network) = Network::or_skip(6) else { return };
    let squid = network.node(SQUID).enter(|| Squid::start(&format!("http_port {PROXY}")));
    let Some(_squid) = squid.expect("because the namespace is ours") else { return };
    let machines: Vec<Installation> = (0..6).map(|_| Installation::new()).collect();
    let publisher = &machines[PUBLISHER];
    let tree = publisher.directory("tree");
    publisher.run(&["repo", "create", NAME]);
    let published = AtomicU64::new(publish(publisher, &tree, 2));
    let mut processes = vec![serve(&network, publisher, PUBLISHER)];
    for replica in REPLICAS {
        processes.push(replicate(&network, &machines[replica], replica, &publisher.public_key(NAME)));
        processes.push(serve(&network, &machines[replica], replica));
    }
    let mounts: Vec<PathBuf> = CLIENTS
        .iter()
        .enumerate()
        .map(|(number, client)| mount(&network, &machines[*client], *client, number, publisher))
        .collect();

    let seconds = std::env::var("VARVE_TEST_UNRELIABLE").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(USUAL));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            mounts.iter().map(|mounted| scope.spawn(|| read_until(mounted, &published, &over))).collect();
        scope.spawn(|| disturb(&network, end));
        while Instant::now() < end {
            let next = published.load(Ordering::Acquire) + 1;
            // It may be seen before the command that publishes it has ended.
            published.store(next, Ordering::Release);
            publish(publisher, &tree, next);
            std::thread::sleep(Duration::from_millis(700));
        }
        let last = published.load(Ordering::Acquire);
        (0..6).for_each(|node| network.change(node, LinkSettings::AT_ONCE));
        for mounted in &mounts {
            wait_until("a client to see the last revision", LONG, || revision(mounted) == Some(last));
        }
        over.store(true, Ordering::Release);
        for client in clients {
            let seen = client.join().expect("because nothing wrong was read");
            println!("{seen:?} of {last} revisions");
            assert_eq!(seen.last, last);
            assert!(seen.whole > 5, "{seen:?}");
        }
    });
    for (client, mounted) in CLIENTS.iter().zip(&mounts) {
        assert_eq!(check(mounted), Some(published.load(Ordering::Acquire)));
        machines[*client].unmount(mounted);
    }
    for replica in REPLICAS {
        let manifest = machines[replica].repository(NAME).join(".cvmfspublished");
        let line = format!("\nS{}\n", published.load(Ordering::Acquire));
        wait_until("a replica to have the last revision", LONG, || {
            let bytes = fs::read(&manifest).expect("because it was replicated");
            String::from_utf8_lossy(&bytes).contains(&line)
        });
        let checked = machines[replica].run(&["repo", "check", "--data", "--json", NAME]);
        assert!(
            checked.contains(&format!("\"revision\": {}", published.load(Ordering::Acquire))),
            "{checked}"
        );
    }
}

/// What a client has seen.
#[derive(Debug, Default)]
struct Seen {
    /// How often it has read everything in one revision.
    whole: u64,
    /// How often something could not be read.
    failed: u64,
    /// How many revisions it has read from.
    revisions: u64,
    last: u64,
}

/// Reads everything again and again, and compares it with what was published.
fn read_until(mounted: &Path, published: &AtomicU64, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    loop {
        let last_time = over.load(Ordering::Acquire);
        match check(mounted) {
            Some(found) => {
                assert!(found >= seen.last, "revision {found} after {}", seen.last);
                assert!(found <= published.load(Ordering::Acquire), "revision {found} is not published yet");
                seen.revisions += u64::from(found > seen.last);
                seen.last = found;
                seen.whole += 1;
            }
            None => seen.failed += 1,
        }
        if last_time {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The revision that everything in the mount is of; `None` if something can't be read, or it changed meanwhile.
fn check(mounted: &Path) -> Option<u64> {
    let before = revision(mounted)?;
    for path in paths() {
        let content = fs::read(mounted.join(&path)).ok()?;
        let (number, _) =
            std::str::from_utf8(&content).ok()?.split_once(' ').expect("because it begins with a number");
        let number = number.parse().expect("because it begins with a number");
        // Whatever revision it is of, these are its bytes.
        assert!(content == content_of(&path, number), "{path} has wrong bytes");
        if revision(mounted)? != before {
            return None;
        }
        assert_eq!(number, before, "{path} is not of the revision that the mount shows");
    }
    Some(before)
}

fn revision(mounted: &Path) -> Option<u64> {
    let mut value = [0; 32];
    let length = rustix::fs::getxattr(mounted, "user.revision", &mut value).ok()?;
    std::str::from_utf8(&value[..length]).ok()?.parse().ok()
}

fn paths() -> impl Iterator<Item = String> {
    (0..DIRECTORIES).flat_map(|directory| (0..FILES).map(move |file| format!("d{directory}/f{file}")))
}

/// What a file holds in a revision: of some, more than fits into one request.
fn content_of(path: &str, revision: u64) -> Vec<u8> {
    let line = format!("{revision} {path}\n");
    let times = if path.ends_with("f0") { 30_000 } else { 100 };
    line.repeat(times).into_bytes()
}

/// Publishes the tree of a revision and returns its number.
fn publish(publisher: &Installation, tree: &Path, revision: u64) -> u64 {
    for path in paths() {
        let file = tree.join(&path);
        let directory = file.parent().expect("because it is below the tree");
        if !directory.exists() {
            fs::create_dir(directory).expect("because the tree is ours");
            fs::write(directory.join(".cvmfscatalog"), "").expect("because the tree is ours");
        }
        fs::write(&file, content_of(&path, revision)).expect("because the tree is ours");
    }
    let tree = tree.to_str().expect("because scratch paths are text");
    let report = publisher.run(&["repo", "publish", NAME, tree, "--checksum", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("because --json prints JSON");
    assert_eq!(report["revision"], revision);
    revision
}

/// Changes the line of some machine now and then, and restores it.
fn disturb(network: &Network, end: Instant) {
    let mut random = Random::new(12);
    while Instant::now() < end {
        let node = random.below(6) as usize;
        let settings = match random.below(4) {
            0 => LinkSettings::CUT,
            1 => LinkSettings { loss: 0.2, ..LinkSettings::AT_ONCE },
            2 => LinkSettings { delay: Duration::from_millis(200), ..LinkSettings::AT_ONCE },
            _ => LinkSettings { rate: 100_000, loss: 0.02, ..LinkSettings::FAR_AWAY },
        };
        network.change(node, settings);
        std::thread::sleep(Duration::from_millis(200 + random.below(3000)));
        if random.below(3) > 0 {
            network.change(node, LinkSettings::AT_ONCE);
        }
        std::thread::sleep(Duration::from_millis(random.below(1000)));
    }
}

fn address(node: usize) -> String {
    format!("10.203.0.{}:8000", node + 1)
}

fn url(node: usize) -> String {
    format!("http://{}/cvmfs/{NAME}", address(node))
}

fn serve(network: &Network, machine: &Installation, node: usize) -> ProcessGuard {
    let process = start(network, node, machine.command(&["serve", "--listen", &address(node)]));
    wait_until("the server", LONG, || {
        let connected = network.node(node).enter(|| std::net::TcpStream::connect(address(node)).is_ok());
        connected.expect("because the namespace is ours")
    });
    process
}

fn replicate(network: &Network, machine: &Installation, node: usize, key: &Path) -> ProcessGuard {
    let key = key.to_str().expect("because scratch paths are text");
    let arguments = ["replicate", &url(PUBLISHER), "--key", key, "--follow", "--refresh", "2"];
    let process = start(network, node, machine.command(&arguments));
    let manifest = machine.repository(NAME).join(".cvmfspublished");
    wait_until("the first copy", LONG, || manifest.exists());
    process
}

/// Each client prefers another replica, both go through squid.
fn mount(
    network: &Network,
    machine: &Installation,
    node: usize,
    number: usize,
    publisher: &Installation,
) -> PathBuf {
    let directory = machine.directory("mnt");
    let (first, second) = (url(REPLICAS[number]), url(REPLICAS[1 - number]));
    let key = publisher.public_key(NAME);
    let proxy = format!("http://{PROXY};DIRECT");
    let mut command = machine.command(&["mount", NAME]);
    command.arg(&directory).args(["--server", &first, "--server", &second, "--proxy", &proxy]);
    command.arg("--key").arg(&key).args(["--refresh", "2", "--deadline", "5"]);
    let mut process = start(network, node, command);
    let status = process.wait(LONG).expect("because it is our child").expect("because mounting ends");
    assert!(status.success(), "the client of node {node} can't mount");
    directory
}

fn start(network: &Network, node: usize, mut command: Command) -> ProcessGuard {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = network.node(node).enter(|| ProcessGuard::start(&mut command));
    started.expect("because the namespace is ours").expect("because the program exists")
}
