//! `varve bench boot`: machines whose operating system is streamed, in emulation, beside the same system on a local disk.
//!
//! Times are from the command that starts a machine to a text on its serial console.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::report::{Finding, megabytes};
use crate::scratch::{Scratch, ScratchError, Talk, io_error};

const REPOSITORY: &str = "os.bench.example";
/// What the guest writes when it has an address.
const NETWORK: &str = " by DHCP";
/// What getty writes.
const LOGIN: &str = " login: ";
/// The longest that a text of a machine's console is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// What every kernel here is told.
const CONSOLE: &str = "console=ttyS0,115200 quiet";
/// The size of disks.
const DISK: &str = "4G";
/// What every machine here has.
const MACHINE: [&str; 6] = ["--memory", "1G", "--cores", "2", "--accelerator", "tcg"];

/// What is booted.
pub(super) struct Subject<'a> {
    /// A tree that `varve os build` made; the ready list `basic` is locked and built if there is none.
    pub(super) tree: Option<&'a Path>,
    /// A kernel, as `varve image build` takes it.
    pub(super) kernel: &'a str,
}

/// What one start of a machine showed.
struct Start {
    network: Duration,
    login: Duration,
    /// Sent by the server until then.
    bytes: u64,
}

/// Boots by `-kernel`, twice with the same scratch disk, by UEFI from a CD, and from a local disk.
pub(super) fn run(
    scratch: &mut Scratch,
    subject: &Subject<'_>,
    rounds: usize,
) -> Result<Vec<Finding>, ScratchError> {
    let tree = match subject.tree {
        Some(tree) => tree.to_owned(),
        None => build(scratch)?,
    };
    scratch.run(scratch.varve("repo create").arg(REPOSITORY), Talk::Kept)?;
    scratch.run(scratch.varve("os publish").arg(&tree).arg(REPOSITORY), Talk::Kept)?;
    let log = scratch.path("access.log");
    scratch.start_server_with(&["--access-log-format", "common", "--access-log", &log.to_string_lossy()])?;
    let bench = Bench { scratch, log };
    let image = bench.image(subject.kernel)?;
    // A kernel without modules mounts a disk by itself.
    let local = Path::new(subject.kernel).is_file().then(|| bench.local_disk(&tree)).transpose()?;

    let (mut direct, mut disc, mut cold, mut warm, mut disk) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        let name = format!("direct-{round}");
        let first = bench.first_start(&name, &image.direct())?;
        let second = bench.second_start(&name)?;
        bench.delete(&name)?;
        let name = format!("disc-{round}");
        disc.push(bench.first_start(&name, &image.disc())?.network);
        bench.delete(&name)?;
        direct.push(first.network);
        cold.push((first.login, first.bytes));
        warm.push((second.login, second.bytes));
        if let Some(local) = &local {
            let name = format!("local-{round}");
            disk.push(bench.start(&name, &local_words(subject.kernel, local), LOGIN)?);
            bench.delete(&name)?;
        }
    }
    let bytes = |starts: &[(Duration, u64)]| starts.iter().map(|start| start.1).max().unwrap_or(0);
    let mut findings = vec![
        Finding::median("emulated: on the network, by -kernel", &direct, "<= 3 s"),
        Finding::median("emulated: on the network, by UEFI from a CD", &disc, "<= 7 s"),
    ];
    for (what, starts) in [("first", &cold), ("second", &warm)] {
        let times: Vec<Duration> = starts.iter().map(|start| start.0).collect();
        let what = format!("emulated: login prompt at the {what} start");
        if disk.is_empty() {
            findings.push(Finding::median(what, &times, ""));
        } else {
            let pairs: Vec<_> = times.into_iter().zip(disk.iter().copied()).collect();
            findings.push(Finding::time(what, &pairs, "local disk", ""));
        }
    }
    findings.push(Finding::alone(
        "fetched until the first login prompt",
        megabytes(bytes(&cold)),
        "<= 100 MB",
    ));
    findings.push(Finding::alone("fetched until the second one", megabytes(bytes(&warm)), ""));
    Ok(findings)
}

/// Locks and builds the ready list for a plain machine.
fn build(scratch: &Scratch) -> Result<PathBuf, ScratchError> {
    let (lock, tree) = (scratch.path("basic.lock"), scratch.path("tree"));
    scratch.run(scratch.varve("os lock basic --output").arg(&lock), Talk::Kept)?;
    scratch.run(scratch.varve("os build").arg(&lock).arg("--tree").arg(&tree), Talk::Kept)?;
    Ok(tree)
}

/// The files of an image.
struct Image(PathBuf);

impl Image {
    fn direct(&self) -> Vec<String> {
        let file = |ending: &str| self.0.join(format!("varve.{ending}")).to_string_lossy().into_owned();
        let (kernel, initramfs) = (file("vmlinuz"), file("initrd"));
        let files = ["--kernel", &kernel, "--initramfs", &initramfs];
        files.into_iter().chain(["--append", CONSOLE, "--scratch", DISK]).map(str::to_owned).collect()
    }

    fn disc(&self) -> Vec<String> {
        let iso = self.0.join("varve.iso").to_string_lossy().into_owned();
        [&iso, "--firmware", "uefi", "--scratch", DISK].map(str::to_owned).to_vec()
    }
}

/// A machine with everything on its disk.
fn local_words(kernel: &str, disk: &Path) -> Vec<String> {
    let disk = disk.to_string_lossy();
    let line = format!("{CONSOLE} root=/dev/vda rw");
    ["--kernel", kernel, "--append", &line, "--disk", &disk].map(str::to_owned).to_vec()
}

struct Bench<'a> {
    scratch: &'a Scratch,
    /// The server's log.
    log: PathBuf,
}

impl Bench<'_> {
    fn image(&self, kernel: &str) -> Result<Image, ScratchError> {
        let directory = self.scratch.create_directory("image")?;
        let host = self.scratch.address()?.replace("127.0.0.1", "10.0.2.2");
        let mut command = self.scratch.varve("image build --format iso,kernel --repository");
        command.arg(REPOSITORY).args(["--server", &format!("{host}/cvmfs/{REPOSITORY}")]);
        command.args(["--kernel", kernel]).arg("--output").arg(&directory);
        self.scratch.run(&mut command, Talk::Kept)?;
        Ok(Image(directory))
    }

    /// The tree as a file system of its own.
    fn local_disk(&self, tree: &Path) -> Result<PathBuf, ScratchError> {
        let disk = self.scratch.path("local.raw");
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-t", "ext4", "-d"]).arg(tree).arg(&disk).arg(DISK);
        self.scratch.run(&mut command, Talk::Kept)?;
        Ok(disk)
    }

    fn first_start(&self, name: &str, words: &[String]) -> Result<Start, ScratchError> {
        let before = self.sent()?;
        let begun = Instant::now();
        let network = self.start(name, words, NETWORK)?;
        self.await_text(name, 0, LOGIN)?;
        Ok(Start { network, login: begun.elapsed(), bytes: self.sent()? - before })
    }

    fn second_start(&self, name: &str) -> Result<Start, ScratchError> {
        self.scratch.run(self.scratch.varve("vm stop --timeout 300").arg(name), Talk::Kept)?;
        let before = self.sent()?;
        let seen = self.console(name).len();
        let begun = Instant::now();
        self.scratch.run(self.scratch.varve("vm start").arg(name), Talk::Kept)?;
        self.await_text(name, seen, NETWORK)?;
        let network = begun.elapsed();
        self.await_text(name, seen, LOGIN)?;
        Ok(Start { network, login: begun.elapsed(), bytes: self.sent()? - before })
    }

    /// Makes and starts a machine; the time until its console shows a text.
    fn start(&self, name: &str, words: &[String], text: &'static str) -> Result<Duration, ScratchError> {
        let begun = Instant::now();
        let mut command = self.scratch.varve("vm run --name");
        self.scratch.run(command.arg(name).args(MACHINE).args(words), Talk::Kept)?;
        self.await_text(name, 0, text)?;
        Ok(begun.elapsed())
    }

    /// Waits for a text of the console of a machine that goes away with a failure: nothing else ends machines.
    fn await_text(&self, name: &str, from: usize, text: &'static str) -> Result<(), ScratchError> {
        self.wait(name, from, text).inspect_err(|_| {
            if let Err(error) = self.delete(name) {
                tracing::warn!("{name} is left: {error}");
            }
        })
    }

    fn delete(&self, name: &str) -> Result<(), ScratchError> {
        self.scratch.run(self.scratch.varve("vm delete --force").arg(name), Talk::Kept)?;
        Ok(())
    }

    /// Waits until the console of a machine, from this byte on, shows a text.
    fn wait(&self, name: &str, from: usize, text: &'static str) -> Result<(), ScratchError> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.scratch.check_interrupted()?;
            let console = self.console(name);
            if String::from_utf8_lossy(console.get(from..).unwrap_or_default()).contains(text) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(ScratchError::Late { what: text });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn console(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.scratch.path(&format!("home/machines/{name}/console.log"))).unwrap_or_default()
    }

    /// What the server has sent since it runs, by the last field of the common log format.
    fn sent(&self) -> Result<u64, ScratchError> {
        let log = std::fs::read_to_string(&self.log).map_err(io_error("read the server's log"))?;
        Ok(log.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }
}
