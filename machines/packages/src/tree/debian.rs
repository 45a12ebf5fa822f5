//! Debian: mmdebstrap installs the lock's packages from a directory that has them and no others.

use std::path::Path;

use super::error::TreeError;
use super::program;
use super::rooted::Root;
use super::work::Work;
use crate::lock::Lock;

mod directory;

/// Packages of systems that have everything below `/usr`; the second one wants it so before it is installed.
const MERGED: [&str; 2] = ["usrmerge", "usr-is-merged"];

/// Unpacks and configures the packages of the lock.
pub(super) fn install(lock: &Lock, archive: &Path, work: &Work, epoch: i64) -> Result<(), TreeError> {
    let packages = work.path().join("packages");
    directory::make(lock, archive, &packages)?;
    let names: Vec<&str> = lock.packages.iter().map(|package| package.name.as_str()).collect();
    let mut mmdebstrap = program::clean("mmdebstrap", epoch, &work.temporary());
    mmdebstrap
        .args(["--mode=root", "--format=directory", "--variant=essential"])
        .args(["--skip=check/signed-by,check/empty,chroot/mount/sys"])
        .arg(format!("--architectures={}", lock.architecture))
        // The tree is written to the disk once, when it is whole.
        .arg("--dpkgopt=force-unsafe-io")
        // This machine's, which mmdebstrap has copied; the network that they are for isn't there.
        .arg("--setup-hook=rm -f \"$1\"/etc/resolv.conf \"$1\"/etc/hostname")
        .arg(format!("--include={}", names.join(",")))
        .args(["", &work.root().to_string_lossy()])
        .arg(format!("deb [trusted=yes] copy:{} ./", packages.display()));
    if MERGED.iter().any(|name| lock.package(name).is_some()) {
        mmdebstrap.arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr");
    }
    program::run(&mut mmdebstrap, "mmdebstrap", "install packages of Debian", &work.log())
}

/// Where the machine's own apt finds packages: where the lock's were found. Directories of this machine are left out.
pub(super) fn sources(lock: &Lock) -> String {
    let mut text = String::new();
    for index in &lock.indexes {
        if index.mirror.directory().is_some() {
            continue;
        }
        let components = index.components.join(" ");
        let separator = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!(
            "{separator}Types: deb\nURIs: {}\nSuites: {}\nComponents: {components}\n",
            index.mirror, index.suite
        ));
    }
    text
}

/// Replaces the configuration that the installation used by the machine's own.
pub(super) fn settle(root: &Root, lock: &Lock) -> std::io::Result<()> {
    root.remove("etc/apt/sources.list")?;
    root.remove("etc/dpkg/dpkg.cfg.d/99mmdebstrap")?;
    let sources = sources(lock);
    if root.has("etc/apt") && !sources.is_empty() {
        root.write("etc/apt/sources.list.d/system.sources", sources.as_bytes(), 0o644)?;
    }
    Ok(())
}
