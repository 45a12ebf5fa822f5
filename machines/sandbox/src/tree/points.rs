//! What an operating system's tree lacks: directories and files to show others on, and files that belong to this host and this
//! user. They lie in a layer of their own between the tree and what is written, so that neither of these changes.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Component, Path, PathBuf};

use crate::error::SandboxError;
use crate::mounts;
use crate::sandbox::{Account, Identity, Network, Sandbox};

/// Larger tables of users aren't taken over.
const LARGEST_FILE: u64 = 4 << 20;
/// What a sandbox has of its own.
const OWN: [&str; 5] = ["/proc", "/sys", "/dev", "/tmp", "/run"];

/// A layer over a tree.
pub(super) struct Points<'a> {
    tree: &'a Path,
    root: OwnedFd,
    layer: &'a Path,
}

impl<'a> Points<'a> {
    pub(super) fn new(tree: &'a Path, layer: &'a Path) -> Result<Self, SandboxError> {
        let root = mounts::opened(tree).map_err(SandboxError::io("open", tree))?;
        Ok(Self { tree, root, layer })
    }

    /// Makes whatever the sandbox needs and the tree lacks.
    pub(super) fn prepare(&self, sandbox: &Sandbox) -> Result<(), SandboxError> {
        for own in OWN.map(Path::new) {
            self.directory(own).map_err(SandboxError::io("create", own))?;
        }
        for bind in &sandbox.binds {
            let source = fs::metadata(&bind.source).map_err(SandboxError::io("show", &bind.source))?;
            let made = if source.is_dir() {
                self.directory(&bind.destination).map(drop)
            } else {
                self.file(&bind.destination)
            };
            made.map_err(SandboxError::io("make a place at", &bind.destination))?;
        }
        if let (Identity::Own, Some(account)) = (sandbox.identity, &sandbox.account) {
            self.account(account).map_err(SandboxError::io("change", Path::new("/etc/passwd")))?;
        }
        if sandbox.network == Network::Host {
            for name in ["/etc/resolv.conf", "/etc/hosts"].map(Path::new) {
                if let Ok(text) = bounded(name) {
                    self.write(name, &text).map_err(SandboxError::io("change", name))?;
                }
            }
        }
        Ok(())
    }

    /// The user must have a name and a home.
    fn account(&self, account: &Account) -> io::Result<()> {
        let Account { user, group, name, home } = account;
        let (passwd, groups) = (Path::new("/etc/passwd"), Path::new("/etc/group"));
        // Characters that end a field or a line would make another entry.
        let plain = |text: &str| !text.contains([':', '\n']);
        let home_text = home.to_str().filter(|home| plain(home)).unwrap_or("/");
        if plain(name) {
            self.append(passwd, *user, &format!("{name}:x:{user}:{group}::{home_text}:/bin/sh\n"))?;
            self.append(groups, *group, &format!("{name}:x:{group}:\n"))?;
        }
        if self.find(home).is_err() {
            let made = self.directory(home)?;
            chown(&made, Some(rustix::process::getuid().as_raw()), None)?;
            fs::set_permissions(&made, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// Adds a line to a table whose third field is a number, unless that number is there.
    fn append(&self, table: &Path, number: u32, line: &str) -> io::Result<()> {
        let mut text = match self.find(table).and_then(|found| bounded(&mounts::path_of(found)?)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![],
            Err(error) => return Err(error),
        };
        let number = number.to_string();
        let is_it = |line: &[u8]| line.split(|&byte| byte == b':').nth(2) == Some(number.as_bytes());
        if text.split(|&byte| byte == b'\n').any(is_it) {
            return Ok(());
        }
        if text.last().is_some_and(|&last| last != b'\n') {
            text.push(b'\n');
        }
        text.extend(line.bytes());
        self.write(table, &text)
    }

    /// A file of the layer, instead of what the tree has there.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let file = self.in_layer(parent)?.join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))
    }

    fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        mounts::opened_in(&self.root, path)
    }

    /// Makes a directory if neither the tree nor the layer has it. Returns where it would be in the layer.
    fn directory(&self, path: &Path) -> io::Result<PathBuf> {
        match self.find(path) {
            Ok(found) if mounts::is_directory(&found)? => Ok(self.layer.join(self.relative(&found)?)),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(_) => self.in_layer(path),
        }
    }

    fn file(&self, path: &Path) -> io::Result<()> {
        match self.find(path) {
            Ok(found) if mounts::is_directory(&found)? => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => Ok(()),
            Err(_) => self.write(path, b""),
        }
    }

    /// Makes a directory in the layer, and its parents with the attributes that they have in the tree.
    fn in_layer(&self, path: &Path) -> io::Result<PathBuf> {
        let (existing, missing) = self.split(path)?;
        let (mut at, mut of_tree) = (self.layer.to_owned(), self.tree.to_owned());
        for name in existing.components() {
            at.push(name);
            of_tree.push(name);
            match fs::create_dir(&at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result?,
            }
            let status = fs::symlink_metadata(&of_tree)?;
            // Of an owner that has no number here nothing can be said.
            let _ = chown(&at, Some(status.uid()), Some(status.gid()));
            fs::set_permissions(&at, fs::Permissions::from_mode(status.mode() & 0o7777))?;
        }
        for name in missing.components() {
            at.push(name);
            match fs::create_dir(&at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => result?,
            }
        }
        Ok(at)
    }

    /// The longest part of a path that leads to a directory of the tree, without links, and the rest.
    fn split(&self, path: &Path) -> io::Result<(PathBuf, PathBuf)> {
        let names: Vec<Component<'_>> = path.components().skip(1).collect();
        if names.iter().any(|name| !matches!(name, Component::Normal(_))) || !path.is_absolute() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an absolute path without '..'"));
        }
        for length in (0..=names.len()).rev() {
            let existing: PathBuf = Path::new("/").join(names[..length].iter().collect::<PathBuf>());
            match self.find(&existing) {
                Ok(found) if mounts::is_directory(&found)? => {
                    return Ok((self.relative(&found)?, names[length..].iter().collect()));
                }
                Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Where something of the tree is in it.
    fn relative(&self, found: &OwnedFd) -> io::Result<PathBuf> {
        let path = mounts::path_of(found)?;
        path.strip_prefix(self.tree).map(Path::to_owned).map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}

/// The contents of a file that isn't large.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut text = vec![];
    if !file.metadata()?.is_file()
        || file.take(LARGEST_FILE + 1).read_to_end(&mut text)? as u64 > LARGEST_FILE
    {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file of a usual size"));
    }
    Ok(text)
}
