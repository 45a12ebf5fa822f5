//! The main job from end to end on real software: publish, serve, mount, compile, follow a revision, go back, go offline.

mod story;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use self::story::{Fact, Story};
use crate::bench::limits;
use crate::bench::report::seconds;
use crate::bench::trees::toolchain_of_this_machine;
use crate::scratch::{Scratch, ScratchError, Talk, io_error};

/// The repository that the demonstration publishes.
const REPOSITORY: &str = "rust.varve.example";

/// Seconds after which a mount looks for a new revision.
const TTL: &str = "1";

/// What the second revision adds.
const NEWS: &str = "published second, seen by the mount without a remount\n";

/// Plays the whole story, telling each step as it goes, and returns the facts for the table.
pub(crate) fn play(
    scratch: &mut Scratch,
    tree: Option<PathBuf>,
    story: &Story,
) -> Result<Vec<Fact>, ScratchError> {
    let mut facts = vec![];
    let tree = match tree {
        Some(tree) => tree,
        None => toolchain_of_this_machine(scratch)?,
    };
    let files = limits::regular_files(&tree)?;
    let bytes: u64 = files.iter().map(|(_, size)| size).sum();
    facts.push(Fact::new("the tree", tree.display()));
    facts.push(Fact::new("files", format!("{} in {}", files.len(), megabytes(bytes))));

    story.step("create a repository, with its keys");
    scratch.run(scratch.varve("repo create --ttl").arg(TTL).arg(REPOSITORY), Talk::Kept)?;

    story.step(&format!("publish {} as its first revision, tag v1", tree.display()));
    let mut publish = scratch.varve("repo publish --json --tag v1 -m first");
    let published = scratch.run(publish.arg(REPOSITORY).arg(&tree), Talk::Shown)?;
    let report = published.json()?;
    facts.push(Fact::new("published in", seconds(published.elapsed)));
    facts.push(Fact::new("stored", stored(&report)));

    story.step("serve it over HTTP on the loopback interface");
    scratch.start_server()?;

    story.step("mount it with an empty cache, and compile a program with the mounted compiler");
    let (mounted, took) = scratch.mount(REPOSITORY, "mnt/latest", "cache")?;
    facts.push(Fact::new("mounted in", seconds(took)));
    let local = fastest(2, || compile(scratch, &tree))?;
    let cold = compile(scratch, &mounted)?;
    let warm = fastest(2, || compile(scratch, &mounted))?;
    facts.push(Fact::new("compile and run, cold", beside(cold, local)));
    facts.push(Fact::new("compile and run, warm", beside(warm, local)));

    story.step("publish a second revision: one new file");
    let addition = scratch.create_directory("addition")?;
    std::fs::write(addition.join("NEWS"), NEWS).map_err(io_error("write a file"))?;
    let mut publish = scratch.varve("repo publish --json --at /varve-demo --tag v2 -m second");
    let second = scratch.run(publish.arg(REPOSITORY).arg(&addition), Talk::Kept)?;
    facts.push(Fact::new("second revision published in", seconds(second.elapsed)));
    let begun = Instant::now();
    let news = mounted.join("varve-demo/NEWS");
    scratch
        .wait_for("the second revision", || std::fs::read_to_string(&news).is_ok_and(|text| text == NEWS))?;
    facts.push(Fact::new("seen by the mount after", seconds(begun.elapsed())));

    story.step("mount the first revision by its tag beside it");
    let (first, _) = scratch.mount(&format!("{REPOSITORY}@v1"), "mnt/v1", "cache")?;
    facts.push(Fact::new(
        "tag v1 has the new file",
        if first.join("varve-demo").exists() { "YES, WRONGLY" } else { "no" },
    ));
    let again = compile(scratch, &first)?;
    facts.push(Fact::new("compile and run, tag v1", beside(again, local)));

    story.step("go offline: stop the server, and compile again from what is cached");
    scratch.stop_server();
    let offline = compile(scratch, &mounted)?;
    facts.push(Fact::new("compile and run, offline", beside(offline, local)));
    let status = scratch.status(&mounted)?;
    facts.extend(fetched(&status, bytes));

    story.step("unmount and clean up");
    scratch.unmount(&first)?;
    scratch.unmount(&mounted)?;
    Ok(facts)
}

/// Compiles a small program with the compiler of a toolchain, and runs it.
fn compile(scratch: &Scratch, toolchain: &Path) -> Result<Duration, ScratchError> {
    crate::bench::compile(scratch, toolchain)
}

fn fastest(
    times: usize,
    mut measure: impl FnMut() -> Result<Duration, ScratchError>,
) -> Result<Duration, ScratchError> {
    let mut best = measure()?;
    for _ in 1..times {
        best = best.min(measure()?);
    }
    Ok(best)
}

fn beside(ours: Duration, local: Duration) -> String {
    format!("{} (local disk {})", seconds(ours), seconds(local))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The publisher's own account of what it stored.
fn stored(report: &Value) -> String {
    let number = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or_default();
    format!(
        "{} in {} objects, {} catalogs",
        megabytes(number("bytes_stored")),
        number("objects_new"),
        number("catalogs_written")
    )
}

/// The mount's own account of what it fetched.
fn fetched(status: &Value, total: u64) -> Vec<Fact> {
    let number = |key: &str| status.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (hits, misses) = (number("cache_hits"), number("cache_misses"));
    let bytes = number("bytes_fetched");
    let mut facts = vec![Fact::new(
        "fetched",
        format!(
            "{} in {misses} objects ({:.1} % of the tree's bytes)",
            megabytes(bytes),
            100.0 * bytes as f64 / total.max(1) as f64
        ),
    )];
    if hits + misses > 0 {
        facts.push(Fact::new("cache hits", format!("{:.1} %", 100.0 * hits as f64 / (hits + misses) as f64)));
    }
    facts
}
