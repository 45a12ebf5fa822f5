//! The host's own files as the root: each entry of its root directory, but for what the kernel shows and what is replaced.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{make_directory, memory};
use crate::error::SandboxError;
use crate::mounts::{Attributes, Detached};
use crate::sandbox::Sandbox;

/// What a sandbox has of its own.
const OWN: [&str; 3] = ["proc", "sys", "dev"];
/// Where software is shown: what the host has there is not seen where there is anything of ours.
const SOFTWARE: &str = "/cvmfs";

pub(super) fn show(sandbox: &Sandbox, root: &Path) -> Result<(), SandboxError> {
    memory("755", Attributes::PLAIN)
        .and_then(|memory| memory.show_at(root))
        .map_err(SandboxError::io("mount memory on", root))?;
    let software: Vec<&Path> = sandbox
        .binds
        .iter()
        .map(|bind| bind.destination.as_path())
        .filter(|destination| destination.starts_with(SOFTWARE))
        .collect();
    let host = Path::new("/");
    for entry in fs::read_dir(host).map_err(SandboxError::io("read", host))? {
        let entry = entry.map_err(SandboxError::io("read", host))?;
        let name = entry.file_name();
        if OWN.iter().any(|own| name.as_bytes() == own.as_bytes())
            || (!software.is_empty() && entry.path() == Path::new(SOFTWARE))
        {
            continue;
        }
        show_entry(&entry.path(), &root.join(&name))?;
    }
    for own in OWN {
        make_directory(&root.join(own), 0o755)?;
    }
    for destination in software {
        let relative: PathBuf = destination.components().skip(1).collect();
        let point = root.join(relative);
        fs::create_dir_all(&point).map_err(SandboxError::io("create", destination))?;
    }
    Ok(())
}

fn show_entry(entry: &Path, at: &Path) -> Result<(), SandboxError> {
    let Ok(kind) = fs::symlink_metadata(entry).map(|status| status.file_type()) else { return Ok(()) };
    if kind.is_symlink() {
        let target = fs::read_link(entry).map_err(SandboxError::io("read", entry))?;
        return std::os::unix::fs::symlink(target, at).map_err(SandboxError::io("show", entry));
    }
    if kind.is_dir() {
        make_directory(at, 0o755)?;
    } else {
        fs::write(at, b"").map_err(SandboxError::io("show", entry))?;
    }
    Detached::of(entry, Attributes::default())
        .and_then(|copy| copy.show_at(at))
        .map_err(SandboxError::io("show", entry))
}
