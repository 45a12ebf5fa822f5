//! A cold mount over a link with 50 ms there and back and 100 Mbit/s, beside what the link allows.
//!
//! `cargo build --release -p varve && cargo bench -p varve-system --bench far_away`

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{Link, LinkSettings, ProcessGuard, Random, TreeBuilder, TreeSize, listing, wait_until};

const NAME: &str = "far.lab.example";
const FILES: usize = 2000;
const LARGE: usize = 64 << 20;
const SERVER: &str = "10.203.0.2:8000";

fn main() {
    let Some(link) = Link::or_skip(LinkSettings::FAR_AWAY) else { return };
    if fuse_is_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::random(&tree.join("small"), 3, TreeSize { directories: 100, files: FILES, largest: 20_000 });
    std::fs::write(tree.join("large"), Random::new(4).bytes(LARGE)).expect("because the tree is ours");
    installation.publish(NAME, &tree);
    let mut serve = installation.command(&["serve", "--listen", SERVER]);
    serve.stdout(Stdio::null()).stderr(Stdio::null());
    let started = link.far().enter(|| ProcessGuard::start(&mut serve)).expect("because the link is ours");
    let mut server = started.expect("because the program exists");
    let mounted = installation.directory("mnt");
    let key = installation.public_key(NAME);
    let url = format!("http://{SERVER}/cvmfs/{NAME}");
    let arguments = ["mount", NAME, text(&mounted), "--server", &url, "--key", text(&key)];
    println!("{:44} {:>10} {:>16} {:>12}", "WHAT", "TOOK", "RECEIVED", "LINK ALONE");
    let mut received = link.back().bytes;
    let mut measured = |what: &str, work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        let took = start.elapsed();
        let bytes = link.back().bytes - received;
        received += bytes;
        let alone =
            Duration::from_millis(50).as_secs_f64() + bytes as f64 / LinkSettings::FAR_AWAY.rate as f64;
        let megabytes = bytes as f64 / 1e6;
        println!("{what:44} {:>8.2} s {megabytes:>13.1} MB {alone:>10.2} s", took.as_secs_f64());
    };
    measured("mount", &mut || {
        wait_until("the mount", Duration::from_secs(60), || {
            let mut command = installation.command(&arguments);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut call = link.near().start(&mut command).expect("because the program exists");
            call.wait().is_ok_and(|status| status.success())
        });
    });
    measured("find", &mut || {
        std::process::Command::new("find")
            .arg(&mounted)
            .stdout(Stdio::null())
            .status()
            .expect("find is there");
    });
    measured(&format!("list and read {FILES} small files"), &mut || {
        listing(&mounted.join("small")).expect("because all can be read");
    });
    measured("read a file of 64 MiB", &mut || {
        let content = std::fs::read(mounted.join("large")).expect("because it can be read");
        assert_eq!(content.len(), LARGE);
    });
    installation.unmount(&mounted);
    server.kill().expect("because it runs");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("because scratch paths are text")
}
