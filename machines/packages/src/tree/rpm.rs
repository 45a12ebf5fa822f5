//! RPM: the lock's package files, installed by rpm into a tree with a database of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::archived;
use super::error::TreeError;
use super::program;
use super::rooted::Root;
use super::work::Work;
use crate::lock::Lock;

mod mounts;

use mounts::Mounts;

/// Where a system keeps its database: today, and before. The first that a package of the lock brings is used.
pub(super) const DATABASES: [&str; 2] = ["usr/lib/sysimage/rpm", "var/lib/rpm"];

/// Unpacks and configures the packages of the lock.
pub(super) fn install(lock: &Lock, archive: &Path, work: &Work, epoch: i64) -> Result<(), TreeError> {
    let root = work.root();
    std::fs::create_dir(&root).map_err(TreeError::io("make", &root))?;
    let files: Vec<PathBuf> = lock.packages.iter().map(|package| archived(archive, package)).collect();
    let database = database(&files, work, epoch)?;
    let manifest = work.path().join("packages");
    let lines: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    std::fs::write(&manifest, lines).map_err(TreeError::io("write", &manifest))?;
    let mounts = Mounts::make(&root)?;
    let mut rpm = rpm(work, epoch);
    rpm.arg("--root").arg(&root).arg(format!("--dbpath=/{database}"));
    // Signatures were those of the index; what is mounted here is not the packages' to change.
    rpm.args(["--install", "--nosignature", "--define=_netsharedpath /dev:/proc:/sys"]).arg(&manifest);
    program::run(&mut rpm, "rpm", "install RPM packages", &work.log())?;
    mounts.remove()
}

/// Removes what the database keeps beside it while it is open. Its end has put everything into the database.
pub(super) fn settle(root: &Root) -> io::Result<()> {
    for database in DATABASES {
        let log = format!("{database}/rpmdb.sqlite-wal");
        if root.read(&log, 0)?.is_some() {
            root.remove(&log)?;
            root.remove(&format!("{database}/rpmdb.sqlite-shm"))?;
        }
    }
    Ok(())
}

fn rpm(work: &Work, epoch: i64) -> Command {
    let mut rpm = program::clean("rpm", epoch, &work.temporary());
    rpm.arg("--define=_db_backend sqlite");
    rpm
}

/// The directory of the database, relative to the tree.
fn database(files: &[PathBuf], work: &Work, epoch: i64) -> Result<&'static str, TreeError> {
    let mut query = rpm(work, epoch);
    query.args(["--query", "--list", "--nosignature", "--package"]).args(files);
    let listed = program::output(&mut query, "rpm", "read RPM packages")?;
    let listed = String::from_utf8_lossy(&listed);
    let is_brought = |database: &&&str| {
        listed.lines().any(|line| line.strip_prefix('/').is_some_and(|path| path == **database))
    };
    Ok(DATABASES.iter().find(is_brought).unwrap_or(&DATABASES[1]))
}
