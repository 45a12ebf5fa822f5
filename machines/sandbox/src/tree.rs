//! The tree of directories that a command sees, put together in a mount namespace of its own.
//!
//! ```text
//! scaffold (memory, seen by nobody else)
//! ├── tree     the operating system, read-only
//! ├── layers   more memory: an overlay takes no layer of what can't be shown elsewhere, as the scaffold
//! │   └── points   what the tree lacks: directories to show things on, and files of this host and user
//! ├── writes   upper, work: what is written; memory too, unless it is kept
//! └── root     the overlay of these, or, over the host's own system, memory with the host's directories shown in it
//! ```
//!
//! Destinations are looked up as a program inside would, so no link in a tree leads out of it.

mod devices;
mod host;
mod kernel;
mod points;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount,
};

use self::points::Points;
use crate::error::SandboxError;
use crate::mounts::{self, Attributes, Detached};
use crate::sandbox::{Access, Bind, Root, Sandbox, Writes};

/// Directories that lie in memory of a sandbox: with the host's own files, and with a tree.
const MEMORY: [&[&str]; 2] = [&["/dev"], &["/dev", "/tmp", "/run"]];

/// A finished tree.
#[derive(Debug)]
pub(crate) struct Built {
    /// Where it is.
    pub(crate) root: PathBuf,
    /// The directory that gets what is written, if it is kept apart.
    pub(crate) upper: Option<OwnedFd>,
}

/// Puts the tree together on `scaffold`, an existing directory. `in_user_namespace`: whether this process is root only there.
pub(crate) fn build(
    sandbox: &Sandbox,
    scaffold: &Path,
    in_user_namespace: bool,
) -> Result<Built, SandboxError> {
    memory("755", Attributes::PLAIN)
        .and_then(|memory| memory.show_at(scaffold))
        .map_err(SandboxError::io("mount memory on", scaffold))?;
    // Else it would be shown within itself wherever the directory that it lies in is.
    mount_change(scaffold, MountPropagationFlags::UNBINDABLE)
        .map_err(SandboxError::io("change the mount", scaffold))?;
    let root = scaffold.join("root");
    make_directory(&root, 0o755)?;
    let upper = match &sandbox.root {
        Root::Host => {
            host::show(sandbox, &root)?;
            None
        }
        Root::Tree(tree) => Some(show_tree(sandbox, tree, scaffold, &root, in_user_namespace)?),
    };
    let place = Place::of(&root, upper.is_some())?;
    kernel::show(&place)?;
    devices::show(&place)?;
    if upper.is_some() {
        place.show(
            "/tmp",
            &memory("1777", Attributes::PLAIN).map_err(SandboxError::io("mount", Path::new("/tmp")))?,
        )?;
        place.show(
            "/run",
            &memory("755", Attributes::PLAIN).map_err(SandboxError::io("mount", Path::new("/run")))?,
        )?;
    }
    for bind in &sandbox.binds {
        show_bind(&place, bind)?;
    }
    Ok(Built { root, upper })
}

/// The root directory that is being put together.
struct Place {
    path: PathBuf,
    root: OwnedFd,
    /// Which directories are its own.
    memory: &'static [&'static str],
}

impl Place {
    fn of(path: &Path, is_tree: bool) -> Result<Self, SandboxError> {
        let root = mounts::opened(path).map_err(SandboxError::io("open", path))?;
        Ok(Self { path: path.to_owned(), root, memory: MEMORY[usize::from(is_tree)] })
    }

    /// What is at a path, as a program inside finds it.
    fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        mounts::opened_in(&self.root, path)
    }

    /// Makes a directory, or a file, in memory of this sandbox.
    fn make(&self, path: &Path, directory: bool) -> io::Result<()> {
        let mut names: Vec<_> = path.components().skip(1).collect();
        let mut missing = vec![];
        let mut at = loop {
            match self.find(&Path::new("/").join(names.iter().collect::<PathBuf>())) {
                Ok(found) => break found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.extend(names.pop()),
                Err(error) => return Err(error),
            }
        };
        let devices = self
            .memory
            .iter()
            .filter_map(|memory| Some(rustix::fs::fstat(self.find(Path::new(memory)).ok()?).ok()?.st_dev));
        let here = rustix::fs::fstat(&at)?.st_dev;
        if !devices.into_iter().any(|device| device == here) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it doesn't exist, and can't be made there"));
        }
        while let Some(name) = missing.pop() {
            let name = name.as_os_str();
            if missing.is_empty() && !directory {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                rustix::fs::openat(&at, name, flags, Mode::from_raw_mode(0o644))?;
                break;
            }
            rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755))?;
            at = rustix::fs::openat(
                &at,
                name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
        }
        Ok(())
    }

    /// Shows a mount at a path that exists.
    fn show(&self, path: impl AsRef<Path>, mount: &Detached) -> Result<(), SandboxError> {
        let path = path.as_ref();
        self.find(path).and_then(|place| mount.show_on(place)).map_err(SandboxError::io("mount on", path))
    }
}

/// An empty file system in memory.
fn memory(mode: &str, attributes: Attributes) -> io::Result<Detached> {
    Detached::new("tmpfs", &[("mode", mode), ("source", "varve")], attributes)
}

fn make_directory(path: &Path, mode: u32) -> Result<(), SandboxError> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(mode)).map_err(SandboxError::io("create", path))
}

/// Shows an operating system, with what is written kept apart. Returns the directory of what is written.
fn show_tree(
    sandbox: &Sandbox,
    tree: &Path,
    scaffold: &Path,
    root: &Path,
    in_user_namespace: bool,
) -> Result<OwnedFd, SandboxError> {
    let lower = scaffold.join("tree");
    make_directory(&lower, 0o755)?;
    Detached::only(tree, Attributes::PLAIN.read_only())
        .and_then(|copy| copy.show_at(&lower))
        .map_err(SandboxError::io("show", tree))?;

    let layers = scaffold.join("layers");
    make_directory(&layers, 0o755)?;
    memory("755", Attributes::PLAIN)
        .and_then(|memory| memory.show_at(&layers))
        .map_err(SandboxError::io("mount memory on", &layers))?;
    let points = layers.join("points");
    let status = rustix::fs::stat(&lower).map_err(SandboxError::io("look at", tree))?;
    make_directory(&points, status.st_mode & 0o7777)?;
    let points = Points::new(&lower, &points)?;
    points.prepare(sandbox)?;

    let writes = scaffold.join("writes");
    make_directory(&writes, 0o700)?;
    match &sandbox.writes {
        Writes::Keep(kept) => Detached::only(kept, Attributes::PLAIN)
            .and_then(|copy| copy.show_at(&writes))
            .map_err(SandboxError::io("show", kept))?,
        Writes::Discard => memory("700", Attributes::PLAIN)
            .and_then(|memory| memory.show_at(&writes))
            .map_err(SandboxError::io("mount memory on", &writes))?,
    }
    for part in ["upper", "work"] {
        match rustix::fs::mkdir(writes.join(part), Mode::from_raw_mode(0o755)) {
            Err(rustix::io::Errno::EXIST) => {}
            result => result.map_err(SandboxError::io("create", &writes.join(part)))?,
        }
    }
    let upper = mounts::opened(&writes.join("upper")).map_err(SandboxError::io("open", &writes))?;
    overlay(scaffold, in_user_namespace)
        .and_then(|overlay| {
            Ok(move_mount(&overlay, "", rustix::fs::CWD, root, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
        })
        .map_err(SandboxError::io("mount an overlay over", tree))?;
    Ok(upper)
}

/// Paths are relative, since the kernel takes no more than 255 bytes of them.
fn overlay(scaffold: &Path, in_user_namespace: bool) -> io::Result<OwnedFd> {
    rustix::process::chdir(scaffold)?;
    // What is kept must make sense over the same tree when that is mounted elsewhere.
    let features: &[&[&str]] =
        if in_user_namespace { &[&["userxattr"]] } else { &[&["redirect_dir=off", "metacopy=off"], &[]] };
    let mut last = rustix::io::Errno::INVAL;
    for wanted in features {
        match open_overlay(wanted) {
            Err(error @ (rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP)) => last = error,
            result => return Ok(result?),
        }
    }
    Err(last.into())
}

fn open_overlay(features: &[&str]) -> Result<OwnedFd, rustix::io::Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "varve")?;
    for (key, path) in
        [("lowerdir", "layers/points:tree"), ("upperdir", "writes/upper"), ("workdir", "writes/work")]
    {
        fsconfig_set_string(&context, key, path)?;
    }
    for feature in features {
        match feature.split_once('=') {
            None => fsconfig_set_flag(&context, *feature)?,
            Some((feature, value)) => fsconfig_set_string(&context, feature, value)?,
        }
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// The destination is made where it is missing, if that is in memory of this sandbox: in a tree it was made before, and the host's
/// own directories stay as they are.
fn show_bind(place: &Place, bind: &Bind) -> Result<(), SandboxError> {
    let attributes = match bind.access {
        Access::ReadOnly => Attributes::default().read_only(),
        Access::ReadWrite => Attributes::default(),
    };
    let copy = Detached::of(&bind.source, attributes).map_err(SandboxError::io("show", &bind.source))?;
    if let Err(error) = place.find(&bind.destination)
        && error.kind() == io::ErrorKind::NotFound
    {
        let directory = mounts::is_directory(&copy).map_err(SandboxError::io("look at", &bind.source))?;
        place
            .make(&bind.destination, directory)
            .map_err(SandboxError::io("make a place at", &bind.destination))?;
    }
    place.show(&bind.destination, &copy)
}
