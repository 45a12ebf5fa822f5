//! How long a list takes and how small its closure is: `cargo run --release -p varve-packages --example closure -- LIST
//! ARCHIVE [LP]`. Indexes are those of this machine's apt, or of the list. With LP the same problem is written for an integer
//! programming solver; docs/benchmarks.md says how to compare.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use varve_packages::{
    Architecture, Archive, Index, IndexAccess, ShoppingList, TransferConfig, Transfers, apt_sources,
    make_lock, problem_of, universe,
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let list = PathBuf::from(arguments.next().context("the first argument is a list")?);
    let archive = Archive::open(arguments.next().context("the second argument is a directory")?)?;
    let lp = arguments.next();
    let native = Architecture::new("amd64")?;
    let text = std::fs::read_to_string(&list)?;
    let list_directory = list.parent().unwrap_or(Path::new(""));
    let list = ShoppingList::parse(&text, None, Some(&native))?;
    let sources = if list.indexes.is_empty() {
        apt_sources(Path::new("/"), &list.architecture)?.indexes
    } else {
        list.indexes.iter().map(|index| index.source(list_directory)).collect::<Result<_, _>>()?
    };
    let transfers = Transfers::new(TransferConfig {
        user_agent: "varve".to_owned(),
        proxy: None,
        patience: Duration::from_secs(30),
        attempts: 3,
        parallel: 4,
    })?;
    let access = IndexAccess { transfers: &transfers, archive: &archive, now: SystemTime::now() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let begin = Instant::now();
    let mut indexes = Vec::new();
    for source in &sources {
        indexes.push(Index::fetch(source, list.family, &list.architecture, access)?);
    }
    let fetched = begin.elapsed();
    let universe = universe(&indexes, list.family, &list.architecture, threads)?;
    let parsed = begin.elapsed();
    let resolved = make_lock(&list, &indexes, universe.as_ref(), None)?;
    let solved = begin.elapsed();
    println!("packages in the indexes:  {}", universe.count());
    println!("requests:                 {}", list.requests.len());
    println!("indexes read, verified:   {fetched:.3?}");
    println!("parsed:                   {:.3?}", parsed - fetched);
    println!("solved:                   {:.3?}", solved - parsed);
    println!("together:                 {solved:.3?}");
    println!("closure:                  {}", resolved.closure.packages.len());
    println!("installed:                {} bytes", resolved.installed_size);
    if let Some(path) = lp {
        let problem = problem_of(&list, &indexes, universe.as_ref())?;
        println!("packages in reach:        {}", problem.size());
        std::fs::write(path, problem.to_lp())?;
    }
    Ok(())
}
