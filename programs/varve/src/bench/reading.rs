//! `varve bench warm` and `varve bench cold`: what reading through a mount costs, beside the local disk and the bare work.

use std::path::PathBuf;
use std::time::Duration;

use super::limits;
use super::readers;
use super::report::{Finding, seconds};
use super::trees::{self, Trees};
use crate::scratch::{Scratch, ScratchError, Talk};

/// Readers at once in the parallel cold read.
const PARALLEL: usize = 4;

/// Everything that the kernel or the cache already holds, beside the same on the local disk.
pub(super) fn warm(
    scratch: &mut Scratch,
    trees: &mut Trees,
    rounds: usize,
) -> Result<Vec<Finding>, ScratchError> {
    let toolchain = trees.toolchain(scratch)?;
    let data = trees::data(scratch)?;
    publish(scratch, "toolchain.bench.example", &toolchain)?;
    publish(scratch, "data.bench.example", &data)?;
    scratch.start_server()?;
    let (mounted_toolchain, _) = scratch.mount("toolchain.bench.example", "mnt/toolchain", "cache-warm")?;
    let (mounted, _) = scratch.mount("data.bench.example", "mnt/data", "cache-warm")?;
    let small = |root: &PathBuf| -> Result<Vec<PathBuf>, ScratchError> {
        let mut files: Vec<PathBuf> =
            limits::regular_files(&root.join("small"))?.into_iter().map(|(path, _)| path).collect();
        files.sort();
        Ok(files)
    };
    let (small_local, small_mounted) = (small(&data)?, small(&mounted)?);
    let mut pairs: [Vec<(Duration, Duration)>; 4] = Default::default();
    // Round 0 warms both sides and is thrown away.
    for round in 0..=rounds {
        let found = [
            (readers::sequentially(&mounted.join("large"))?, readers::sequentially(&data.join("large"))?),
            (readers::file_after_file(&small_mounted, 1)?, readers::file_after_file(&small_local, 1)?),
            (readers::find(scratch, &mounted.join("small"))?, readers::find(scratch, &data.join("small"))?),
            (readers::compile(scratch, &mounted_toolchain)?, readers::compile(scratch, &toolchain)?),
        ];
        if round > 0 {
            pairs.iter_mut().zip(found).for_each(|(pairs, pair)| pairs.push(pair));
        }
    }
    scratch.unmount(&mounted)?;
    scratch.unmount(&mounted_toolchain)?;
    scratch.stop_server();
    let [large, small, find, compile] = &pairs;
    let count = trees::SMALL_FILES;
    Ok(vec![
        Finding::speed("warm: read 1 GiB sequentially", large, "local disk", ">= 0.9"),
        Finding::time(format!("warm: open+read+close {count} files of 4 KiB"), small, "local disk", "<= 1.5"),
        Finding::time(format!("warm: find -ls over {count} files"), find, "local disk", "<= 1.3"),
        Finding::time("warm: compile and run a small program", compile, "local disk", "<= 1.05"),
    ])
}

/// Everything fetched from a server on loopback with an empty cache, beside inflate + SHA-1 of the same objects.
pub(super) fn cold(
    scratch: &mut Scratch,
    trees: &mut Trees,
    rounds: usize,
) -> Result<Vec<Finding>, ScratchError> {
    let name = "cold.bench.example";
    let tree = trees.toolchain(scratch)?;
    publish(scratch, name, &tree)?;
    let data = scratch.path("home/repositories").join(name).join("data");
    limits::hash_inflate(&data)?;
    let mut files: Vec<PathBuf> = limits::regular_files(&tree)?.into_iter().map(|(path, _)| path).collect();
    files.sort();
    scratch.start_server()?;
    let (mut find, mut one, mut many) = (vec![], vec![], vec![]);
    let (mut remounted_find, mut remounted_tar) = (vec![], vec![]);
    for round in 0..rounds {
        let limit = limits::hash_inflate(&data)?.elapsed;
        let cache = format!("cache-cold-{round}");
        let (mounted, _) = scratch.mount(name, "mnt/cold", &cache)?;
        find.push(readers::find(scratch, &mounted)?);
        one.push((readers::tar(scratch, &mounted)?, limit));
        scratch.unmount(&mounted)?;
        let (mounted, _) = scratch.mount(name, "mnt/cold", &cache)?;
        remounted_find.push(readers::find(scratch, &mounted)?);
        remounted_tar.push((readers::tar(scratch, &mounted)?, readers::tar(scratch, &tree)?));
        scratch.unmount(&mounted)?;
        let (mounted, _) = scratch.mount(name, "mnt/cold", &format!("{cache}-parallel"))?;
        let paths: Vec<PathBuf> = files
            .iter()
            .filter_map(|path| path.strip_prefix(&tree).ok())
            .map(|relative| mounted.join(relative))
            .collect();
        many.push((readers::file_after_file(&paths, PARALLEL)?, limit));
        scratch.unmount(&mounted)?;
        for cache in [cache.clone(), format!("{cache}-parallel")] {
            std::fs::remove_dir_all(scratch.path(&cache))
                .map_err(crate::scratch::io_error("remove a cache"))?;
        }
    }
    scratch.stop_server();
    let limit = "inflate+SHA-1";
    Ok(vec![
        Finding::alone("cold: find -ls", median(&mut find), ""),
        Finding::speed("cold: tar of the whole tree", &one, limit, ">= 0.7"),
        Finding::speed(format!("cold: {PARALLEL} readers of the whole tree"), &many, limit, ">= 0.7"),
        Finding::alone("after a remount: find -ls", median(&mut remounted_find), ""),
        Finding::time("after a remount: tar", &remounted_tar, "local disk", ""),
    ])
}

/// Memory of the mount's processes after a walk over very many entries.
pub(super) fn memory(scratch: &mut Scratch, count: usize) -> Result<Vec<Finding>, ScratchError> {
    let name = "entries.bench.example";
    let tree = trees::entries(scratch, count)?;
    publish(scratch, name, &tree)?;
    scratch.start_server()?;
    let (mounted, _) = scratch.mount(name, "mnt/entries", "cache-entries")?;
    let walk = readers::find(scratch, &mounted)?;
    let status = scratch.status(&mounted)?;
    let worker = status.get("worker").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let memory = std::fs::read_to_string(format!("/proc/{worker}/status"))
        .map_err(crate::scratch::io_error("read the memory of the mount"))?;
    scratch.unmount(&mounted)?;
    scratch.stop_server();
    let megabytes = |field: &str| {
        let kilobytes =
            memory.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
        kilobytes.map_or_else(
            || "unknown".to_owned(),
            |kilobytes: f64| format!("{:.1} MB", kilobytes * 1024.0 / 1e6),
        )
    };
    Ok(vec![
        Finding::alone(format!("walk {count} entries, find -ls"), seconds(walk), ""),
        Finding::alone("private memory of the mount afterwards", megabytes("RssAnon:"), ""),
        Finding::alone("resident with the mapped index", megabytes("VmRSS:"), ""),
    ])
}

fn publish(scratch: &Scratch, name: &str, tree: &std::path::Path) -> Result<(), ScratchError> {
    scratch.run(scratch.varve("repo create").arg(name), Talk::Kept)?;
    scratch.run(scratch.varve("repo publish").arg(name).arg(tree), Talk::Kept)?;
    Ok(())
}

fn median(durations: &mut [Duration]) -> String {
    durations.sort();
    durations
        .get(durations.len() / 2)
        .map_or_else(|| "not measured".to_owned(), |&duration| seconds(duration))
}
