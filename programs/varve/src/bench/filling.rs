//! `varve bench fill`: what a run without FUSE costs, beside one with it and beside the local disk.
//!
//! The reader is `cat`, a process for a few hundred files each, the same in all places; what a run itself takes to begin and to
//! end is taken off.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::report::Finding;
use super::trees::{self, SMALL_FILES};
use crate::scratch::{Scratch, ScratchError, Talk, io_error};

const NAME: &str = "fill.bench.example";
/// As many files for each process.
const READ: &str = "cd \"$1\" && find small -type f -print0 | xargs -0 -n 400 cat > /dev/null";
/// All but one, so that the tree is not whole and calls go on being watched.
const READ_NEARLY_ALL: &str =
    "cd \"$1\" && find small -type f ! -name file00000 -print0 | xargs -0 -n 400 cat > /dev/null";

/// First touch, and reading again.
pub(super) fn run(scratch: &mut Scratch, rounds: usize) -> Result<Vec<Finding>, ScratchError> {
    let local = trees::small(scratch, "fill")?;
    scratch.run(scratch.varve("repo create").arg(NAME), Talk::Kept)?;
    scratch.run(scratch.varve("repo publish").arg(NAME).arg(&local), Talk::Kept)?;
    scratch.start_server()?;
    let (mut touched, mut again, mut whole) = (vec![], vec![], vec![]);
    for round in 0..=rounds {
        let cache = |kind: &str| format!("cache-{kind}-{round}");
        put_aside(scratch, round)?;
        let touch = inside(scratch, true, &cache("fill"), READ_NEARLY_ALL)?;
        let with_fuse = inside(scratch, false, &cache("fuse"), READ_NEARLY_ALL)?;
        let on_disk = scratch.run(&mut shell(READ_NEARLY_ALL, &local), Talk::Kept)?.elapsed;
        let filled = inside(scratch, true, &cache("fill"), READ_NEARLY_ALL)?;
        // Fills the last one; from then on nothing is watched.
        inside(scratch, true, &cache("fill"), READ)?;
        let unwatched = inside(scratch, true, &cache("fill"), READ_NEARLY_ALL)?;
        // The first round warms everything up.
        if round > 0 {
            touched.push((touch, with_fuse));
            again.push((filled, on_disk));
            whole.push((unwatched, on_disk));
        }
    }
    scratch.stop_server();
    Ok(vec![
        Finding::time(format!("fill: first touch of {SMALL_FILES} files of 4 KiB"), &touched, "FUSE", ""),
        Finding::time("fill: the same files once filled, calls watched", &again, "local disk", ""),
        Finding::time("fill: the same when nothing is left to fill", &whole, "local disk", "<= 1.1"),
    ])
}

/// How long a script takes in a run that shows the repository, without what the run itself takes.
fn inside(
    scratch: &Scratch,
    without_fuse: bool,
    cache: &str,
    script: &str,
) -> Result<Duration, ScratchError> {
    let run = |script: &str| {
        let mut command = scratch.varve(if without_fuse { "run --no-fuse" } else { "run" });
        command.arg("-r").arg(NAME);
        command.arg("--server").arg(format!("{}/cvmfs/{NAME}", scratch.address()?));
        command.arg("--key").arg(scratch.path("home/keys").join(format!("{NAME}.pub")));
        command.arg("--cache").arg(scratch.path(cache)).arg("--");
        command.args(["sh", "-c", script, "sh"]).arg(Path::new("/cvmfs").join(NAME));
        Ok(scratch.run(&mut command, Talk::Kept)?.elapsed)
    };
    let alone = run("true")?;
    Ok(run(script)?.saturating_sub(alone))
}

fn shell(script: &str, directory: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(directory);
    command
}

/// Makes room for new trees. Nothing is deleted before the end: for seconds afterwards, a local disk would make files slowly.
fn put_aside(scratch: &Scratch, round: usize) -> Result<(), ScratchError> {
    let trees = scratch.path("home/cache/trees");
    match std::fs::rename(trees, scratch.path(&format!("home/cache/trees-{round}"))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error("move a directory away")(error))
        }
        _ => Ok(()),
    }
}
