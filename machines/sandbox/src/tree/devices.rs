//! `/dev`: the few devices that every program expects, terminals of its own, memory to share.

use std::fs;
use std::io::IsTerminal as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Place, make_directory, memory};
use crate::error::SandboxError;
use crate::mounts::{self, Attributes, Detached};

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(super) fn show(place: &Place) -> Result<(), SandboxError> {
    let dev = Path::new("/dev");
    let attributes = Attributes { no_set_id: true, no_programs: true, ..Attributes::default() };
    let directory = memory("755", attributes).map_err(SandboxError::io("mount", dev))?;
    place.show(dev, &directory)?;
    // The path leads over no link: the directory is ours, and the place was found.
    let at = mounts::path_of(place.find(dev).map_err(SandboxError::io("open", dev))?)
        .map_err(SandboxError::io("open", dev))?;
    debug_assert!(at.starts_with(&place.path));
    for name in DEVICES {
        let device = dev.join(name);
        if device.exists() {
            show_file(&device, &at.join(name))?;
        }
    }
    for (name, target) in LINKS {
        symlink(target, at.join(name)).map_err(SandboxError::io("create", &dev.join(name)))?;
    }
    let own = [
        ("pts", "devpts", &[("newinstance", ""), ("ptmxmode", "666"), ("mode", "620")][..]),
        ("shm", "tmpfs", &[("mode", "1777")][..]),
        ("mqueue", "mqueue", &[][..]),
    ];
    for (name, kind, options) in own {
        make_directory(&at.join(name), 0o755)?;
        let attributes =
            if kind == "devpts" { attributes } else { Attributes { no_devices: true, ..attributes } };
        let shown = Detached::new(kind, options, attributes).and_then(|mount| mount.show_at(&at.join(name)));
        match shown {
            // A kernel without message queues, which next to nothing uses.
            Err(_) if kind == "mqueue" => {}
            result => result.map_err(SandboxError::io("mount on", &dev.join(name)))?,
        }
    }
    // Programs that ask for the name of their terminal find it here: its own is among the host's.
    let input = std::io::stdin();
    if input.is_terminal()
        && let Ok(terminal) = mounts::path_of(&input)
        && terminal.starts_with(dev)
    {
        show_file(&terminal, &at.join("console"))?;
    }
    Ok(())
}

fn show_file(device: &Path, at: &Path) -> Result<(), SandboxError> {
    fs::write(at, b"").map_err(SandboxError::io("create", at))?;
    Detached::only(device, Attributes { no_set_id: true, no_programs: true, ..Attributes::default() })
        .and_then(|copy| copy.show_at(at))
        .map_err(SandboxError::io("show", device))
}
