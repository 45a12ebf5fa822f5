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
/// Where that tree is seen inside: below the overlay of the system, and without one.
const SYSTEM_FILES: &str = "/files";
const SOFTWARE_FILES: &str = "/cvmfs/system.bench.example/files";
/// About a second of work for the processor alone.
const COUNT: &str = "i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); done";
const SOFTWARE: &[&str] = &["--repository", NAME];
const OVERLAID: &str = "the same in a fresh overlay over the local disk";

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

    findings.push(work(&environment, rounds, "count in a shell", [COUNT, COUNT], "<= 1.03")?);
    let host_files = files.to_string_lossy();
    for (what, once, place, aim) in [
        ("look at N files of the system, first", true, SYSTEM_FILES, ""),
        ("look five times at N files of the system", false, SYSTEM_FILES, "<= 1.3"),
        ("look five times at N files of software", false, SOFTWARE_FILES, "<= 1.3"),
    ] {
        let what = what.replace('N', &format!("{CATALOGS},000"));
        let scripts = [walk(place, once), walk(&host_files, once)];
        findings.push(work(&environment, rounds, &what, scripts.each_ref().map(String::as_str), aim)?);
    }
    if let Some(times) = overlaid(scratch, &files, rounds)? {
        findings.push(Finding::time(OVERLAID, &times, "host", ""));
    }
    environment.leave()?;
    Ok(findings)
}

/// Looks at all attributes below a directory: once, or as often as work does that comes back to the same files.
fn walk(tree: &str, once: bool) -> String {
    let times = if once { "1" } else { "1 2 3 4 5" };
    format!("for i in {times}; do busybox find {tree} -type f -size +1000 || exit 1; done")
}

/// The same work inside and on the host, after once without being measured; what a run itself takes to begin and to end is
/// taken off.
fn work(
    environment: &Environment<'_>,
    rounds: usize,
    what: &str,
    [inside, outside]: [&str; 2],
    aim: &'static str,
) -> Result<Finding, ScratchError> {
    let script = |script: &str| {
        let without = timed(environment.command_with_software(&["busybox", "sh", "-c", "true"]))?;
        Ok::<_, ScratchError>(
            timed(environment.command_with_software(&["busybox", "sh", "-c", script]))?
                .saturating_sub(without),
        )
    };
    let theirs = |script: &str| {
        let without = timed(host(BUSYBOX, &["sh", "-c", "true"]))?;
        Ok::<_, ScratchError>(timed(host(BUSYBOX, &["sh", "-c", script]))?.saturating_sub(without))
    };
    script(inside)?;
    theirs(outside)?;
    let pairs = (0..rounds.max(3)).map(|_| Ok((script(inside)?, theirs(outside)?)));
    Ok(Finding::time(what, &pairs.collect::<Result<Vec<_>, ScratchError>>()?, "host", aim))
}

/// What the kernel's overlay alone costs: a fresh one over the local disk beside the local disk. Needs root.
fn overlaid(
    scratch: &Scratch,
    files: &Path,
    rounds: usize,
) -> Result<Option<Vec<(Duration, Duration)>>, ScratchError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let place = scratch.create_directory("overlaid")?;
    let script = |looks: &str| {
        format!(
            "mount -t tmpfs none \"$1\" && cd \"$1\" && mkdir upper work shown && \
             mount -t overlay -o \"lowerdir=$2,upperdir=upper,workdir=work\" none shown && {looks}"
        )
    };
    let run = |looks: &str| {
        let mut command = host("unshare", &["--mount", "sh", "-c", &script(looks), "sh"]);
        command.arg(&place).arg(files);
        timed(command)
    };
    let (inside, outside) = (walk("shown", false), walk(&files.to_string_lossy(), false));
    let pairs = (0..rounds.max(3)).map(|_| {
        let (alone, looked) = (run("true")?, run(&inside)?);
        Ok((looked.saturating_sub(alone), timed(host(BUSYBOX, &["sh", "-c", &outside]))?))
    });
    pairs.collect::<Result<Vec<_>, ScratchError>>().map(Some)
}

impl<'a> Environment<'a> {
    fn enter(scratch: &'a Scratch) -> Result<Self, ScratchError> {
        // Ends with its input.
        let mut waiting = command(scratch, SOFTWARE, &["busybox", "cat"]);
        let waiting = waiting.stdin(Stdio::piped()).spawn().map_err(io_error("start a command"))?;
        let environment = Self { scratch, waiting };
        timed(environment.command(&["true"]))?;
        Ok(environment)
    }

    fn command(&self, words: &[&str]) -> Command {
        command(self.scratch, &[], words)
    }

    /// With the repository as software, too.
    fn command_with_software(&self, words: &[&str]) -> Command {
        command(self.scratch, SOFTWARE, words)
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

fn command(scratch: &Scratch, software: &[&str], words: &[&str]) -> Command {
    let mut command = scratch.varve("run --no-directory --system");
    command.arg(NAME).args(software).arg("--").args(words).stdin(Stdio::null()).stdout(Stdio::null());
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
