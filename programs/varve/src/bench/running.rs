//! `varve bench run`: starting a command in an environment beside `unshare` alone and bubblewrap, a hundred at once, and what work
//! inside costs beside the same work on the host.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::report::{Finding, seconds};
use super::trees;
use crate::scratch::{Scratch, ScratchError, Talk, io_error};

/// A static program with everything that this needs.
const BUSYBOX: &str = "/bin/busybox";
const NAME: &str = "system.bench.example";
/// Starts that are measured per round.
const STARTS: usize = 10;
/// How many are started at a time.
const AT_ONCE: usize = 100;
/// Catalogs of a thousand files in the tree that is walked over.
const CATALOGS: usize = 20;

/// An environment, kept warm by a command that waits in it.
struct Environment<'a> {
    scratch: &'a Scratch,
    waiting: Child,
}

/// Measures all of it.
pub(super) fn run(scratch: &Scratch, rounds: usize) -> Result<Vec<Finding>, ScratchError> {
    let what = "start true in an environment";
    if !Path::new(BUSYBOX).exists() {
        return Ok(vec![Finding::alone(what, "not measured: it needs a static busybox", "< 30 ms")]);
    }
    let files = trees::nested(scratch, CATALOGS)?;
    let system = system(scratch, &files)?;
    let environment = Environment::enter(scratch)?;
    let starts = rounds * STARTS;
    let ours = || environment.command(&["true"]);
    let unshare =
        || host("unshare", &["--mount", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "true"]);
    let (mut beside_unshare, mut beyond) = (vec![], vec![]);
    for _ in 0..starts {
        let pair = (timed(ours())?, timed(unshare())?);
        beyond.push(pair.0.saturating_sub(pair.1));
        beside_unshare.push(pair);
    }
    beyond.sort();
    let mut findings = vec![
        Finding::time(what, &beside_unshare, "unshare", "-"),
        Finding::alone(
            "the same, beyond unshare alone",
            seconds(beyond.get(beyond.len() / 2).copied().unwrap_or_default()),
            "< 30 ms",
        ),
    ];
    let root = system.to_string_lossy().into_owned();
    let bubblewrap = || {
        let words = ["--unshare-all", "--ro-bind", &root, "/", "--proc", "/proc", "--dev", "/dev", "true"];
        host("bwrap", &words)
    };
    if timed(bubblewrap()).is_ok() {
        let pairs = (0..starts).map(|_| Ok((timed(ours())?, timed(bubblewrap())?)));
        findings.push(Finding::time(what, &pairs.collect::<Result<Vec<_>, _>>()?, "bwrap", "-"));
    }
    let begun = Instant::now();
    let started: Vec<Child> = (0..AT_ONCE).map(|_| start(&mut ours())).collect::<Result<_, _>>()?;
    started.into_iter().try_for_each(finish)?;
    findings.push(Finding::alone(format!("{AT_ONCE} at once"), seconds(begun.elapsed()), "-"));

    let count = "i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done";
    findings.push(beside_host(&environment, rounds, "count in a shell", [count, count], "<= 1.03")?);
    let walk =
        |tree: &str| format!("for i in 1 2 3; do busybox find {tree} -type f -size +1000 || exit 1; done");
    let (inside, outside) = (walk("/files"), walk(&files.to_string_lossy()));
    let what = format!("look three times at {CATALOGS},000 files");
    findings.push(beside_host(&environment, rounds, &what, [&inside, &outside], "<= 1.3")?);
    environment.leave()?;
    Ok(findings)
}

/// The same work inside and on the host, after once without being measured.
fn beside_host(
    environment: &Environment<'_>,
    rounds: usize,
    what: &str,
    [inside, outside]: [&str; 2],
    aim: &'static str,
) -> Result<Finding, ScratchError> {
    let ours = || environment.command(&["busybox", "sh", "-c", inside]);
    let theirs = || host(BUSYBOX, &["sh", "-c", outside]);
    timed(ours())?;
    timed(theirs())?;
    let pairs = (0..rounds.max(3)).map(|_| Ok((timed(ours())?, timed(theirs())?)));
    Ok(Finding::time(what, &pairs.collect::<Result<Vec<_>, ScratchError>>()?, "host", aim))
}

impl<'a> Environment<'a> {
    fn enter(scratch: &'a Scratch) -> Result<Self, ScratchError> {
        // Ends with its input.
        let mut waiting = command(scratch, &["busybox", "cat"]);
        let waiting = waiting.stdin(Stdio::piped()).spawn().map_err(io_error("start a command"))?;
        let environment = Self { scratch, waiting };
        timed(environment.command(&["true"]))?;
        Ok(environment)
    }

    fn command(&self, words: &[&str]) -> Command {
        command(self.scratch, words)
    }

    fn leave(mut self) -> Result<(), ScratchError> {
        drop(self.waiting.stdin.take());
        finish(self.waiting)
    }
}

/// An operating system of one program and many files, published.
fn system(scratch: &Scratch, files: &Path) -> Result<PathBuf, ScratchError> {
    let system = scratch.create_directory("system")?;
    let failed = || io_error("make an operating system");
    for name in ["bin", "proc", "dev", "tmp", "run", "sys", "etc"] {
        std::fs::create_dir(system.join(name)).map_err(failed())?;
    }
    std::fs::copy(BUSYBOX, system.join("bin/busybox")).map_err(failed())?;
    for name in ["sh", "true"] {
        std::os::unix::fs::symlink("busybox", system.join("bin").join(name)).map_err(failed())?;
    }
    let copied =
        Command::new("cp").arg("-r").arg(files).arg(system.join("files")).status().map_err(failed())?;
    if !copied.success() {
        return Err(failed()(std::io::Error::other("the files can't be copied")));
    }
    scratch.run(scratch.varve("repo create").arg(NAME), Talk::Kept)?;
    scratch.run(scratch.varve("repo publish").arg(NAME).arg(&system), Talk::Kept)?;
    Ok(system)
}

fn command(scratch: &Scratch, words: &[&str]) -> Command {
    let mut command = scratch.varve("run --no-directory --system");
    command.arg(NAME).arg("--").args(words).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn host(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn timed(mut command: Command) -> Result<Duration, ScratchError> {
    let begun = Instant::now();
    finish(start(&mut command)?)?;
    Ok(begun.elapsed())
}

fn start(command: &mut Command) -> Result<Child, ScratchError> {
    command.spawn().map_err(io_error(format!("start {}", command.get_program().display())))
}

fn finish(mut child: Child) -> Result<(), ScratchError> {
    let status = child.wait().map_err(io_error("wait for a command"))?;
    if status.success() {
        Ok(())
    } else {
        Err(io_error("run a command")(std::io::Error::other(status.to_string())))
    }
}
