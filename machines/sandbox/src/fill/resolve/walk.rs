//! The way to one path, step by step: in trees by their catalogs, elsewhere by what the kernel tells of each place.

use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;
use varve_repository::EntryKind;
use varve_store::Deadline;

use super::super::patience::{Patience, Stop};
use super::super::target::Target;
use super::super::tree::{Directory, Tree};
use super::{Landing, Resolver, below};

/// As many links as the kernel follows.
const MOST_LINKS: u32 = 40;

/// The way to a path.
pub(super) struct Walk<'a> {
    resolver: &'a Resolver,
    target: &'a Target<'a>,
    patience: Patience,
    /// What an absolute path begins at, without a slash at its end; empty but for those who changed their root.
    root: Vec<u8>,
    /// Where it is, elsewhere: absolute, without links, without a slash at its end.
    at: Vec<u8>,
    /// Where it is, in a tree: the directories from its root on.
    inside: Option<(usize, Vec<Arc<Directory>>)>,
    links: u32,
}

enum Step {
    Further,
    Link(Vec<u8>),
    End(Landing),
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        resolver: &'a Resolver,
        target: &'a Target<'a>,
        patience: Patience,
        root: Vec<u8>,
    ) -> Self {
        Self { resolver, target, patience, root, at: Vec::new(), inside: None, links: 0 }
    }

    /// Where a path leads from a directory. Also says whether the way stayed in one tree.
    pub(super) fn go(&mut self, start: Vec<u8>, path: &[u8], follow: bool) -> Result<(Landing, bool), Stop> {
        let mut rest = path.to_vec();
        self.at = start;
        while self.at.last() == Some(&b'/') {
            self.at.pop();
        }
        let mounts = &self.resolver.mounts;
        if let Some((mount, _)) = mounts.iter().find(|(mount, _)| below(mount, &self.at).is_some()) {
            // A descriptor's or the working directory's own path has no links in it.
            let further = self.at.split_off(mount.len());
            rest = [further.as_slice(), &rest].join(&b'/');
            self.enter()?;
        } else if let Some(landed) = self.quickly(&rest, follow)? {
            return match landed {
                None => Ok((Landing::Elsewhere, false)),
                Some(path) => {
                    self.at.clear();
                    self.walk(path, false).map(|landing| (landing, false))
                }
            };
        }
        let began_inside = self.inside.is_some() || self.resolver.is_below_a_tree(&rest);
        let links = self.links;
        let landing = self.walk(rest, follow)?;
        Ok((landing, began_inside && self.links == links))
    }

    /// Asks the kernel about a path that begins elsewhere: `Some(None)` if it stays there, or the path without links that it
    /// leads to in a tree; `None` if it has to be walked.
    fn quickly(&self, rest: &[u8], follow: bool) -> Result<Option<Option<Vec<u8>>>, Stop> {
        if !self.root.is_empty() {
            return Ok(None);
        }
        let path = [self.at.as_slice(), rest].join(&b'/');
        if self.may_touch_a_tree(&path) {
            return Ok(None);
        }
        let flags = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        let cached = match self.patience {
            Patience::None => ResolveFlags::CACHED,
            Patience::Until(_) => ResolveFlags::empty(),
        };
        match self.resolver.place(self.target, &path, flags, cached | ResolveFlags::NO_SYMLINKS) {
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(Some(None)),
            Err(Errno::AGAIN | Errno::INVAL) if matches!(self.patience, Patience::None) => {
                return Err(Stop::Wait);
            }
            Err(_) => {}
        }
        match self.resolver.place(self.target, &path, flags, cached) {
            Ok(place) => {
                let shown = format!("/proc/self/fd/{}", place.as_raw_fd());
                let landed = rustix::fs::readlink(shown, Vec::new()).map(|path| path.into_bytes());
                Ok(landed.ok().map(|path| self.resolver.is_below_a_tree(&path).then_some(path)))
            }
            Err(Errno::AGAIN) if matches!(self.patience, Patience::None) => Err(Stop::Wait),
            Err(_) => Ok(None),
        }
    }

    /// Whether the text of a path goes through the place of a tree, or through a process' own links.
    fn may_touch_a_tree(&self, path: &[u8]) -> bool {
        let mut at = Vec::with_capacity(path.len());
        for part in path.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => at.truncate(parent(&at).len()),
                name => {
                    at.push(b'/');
                    at.extend_from_slice(name);
                    if self.resolver.mounts.iter().any(|(mount, _)| *mount == at) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn walk(&mut self, mut rest: Vec<u8>, follow: bool) -> Result<Landing, Stop> {
        if rest.first() == Some(&b'/') && self.inside.is_none() && self.at.is_empty() {
            self.at.clone_from(&self.root);
        }
        loop {
            let begin = rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len());
            let end = rest[begin..].iter().position(|&byte| byte == b'/').map_or(rest.len(), |at| begin + at);
            if begin == end {
                return self.here();
            }
            let name = rest[begin..end].to_vec();
            let tail = rest.split_off(end);
            let is_last = tail.iter().all(|&byte| byte == b'/');
            let follow = follow || !is_last || !tail.is_empty();
            match self.step(&name, is_last, follow)? {
                Step::Further => rest = tail,
                Step::End(landing) => return Ok(landing),
                Step::Link(target) => {
                    self.links += 1;
                    if self.links > MOST_LINKS {
                        return Ok(Landing::Elsewhere);
                    }
                    if target.first() == Some(&b'/') {
                        self.inside = None;
                        self.at.clone_from(&self.root);
                        self.enter()?;
                    }
                    rest = [target, tail].concat();
                }
            }
        }
    }

    fn here(&self) -> Result<Landing, Stop> {
        match &self.inside {
            None => Ok(Landing::Elsewhere),
            Some((mount, stack)) => {
                let tree = Arc::clone(&self.resolver.mounts[*mount].1);
                let directory = stack.last().expect("because the root is never taken off");
                Ok(Landing::Directory(tree, Arc::clone(directory)))
            }
        }
    }

    /// If this is where a tree is shown, goes into it.
    fn enter(&mut self) -> Result<(), Stop> {
        let mounts = &self.resolver.mounts;
        if let Some(mount) = mounts.iter().position(|(mount, _)| *mount == self.at) {
            let tree = &mounts[mount].1;
            let root = match tree.known(b"") {
                Some(root) => root,
                None => tree.root()?,
            };
            self.inside = Some((mount, vec![root]));
        }
        Ok(())
    }

    fn step(&mut self, name: &[u8], is_last: bool, follow: bool) -> Result<Step, Stop> {
        if name == b"." {
            return Ok(Step::Further);
        }
        match self.inside.take() {
            Some((mount, mut stack)) if name == b".." => {
                stack.pop();
                if stack.is_empty() {
                    self.at = parent(&self.resolver.mounts[mount].0).to_vec();
                } else {
                    self.inside = Some((mount, stack));
                }
                Ok(Step::Further)
            }
            Some((mount, stack)) => self.step_inside(mount, stack, name, is_last, follow),
            None if name == b".." => {
                if self.at != self.root {
                    self.at.truncate(parent(&self.at).len());
                }
                Ok(Step::Further)
            }
            None => self.step_elsewhere(name, is_last, follow),
        }
    }

    fn step_inside(
        &mut self,
        mount: usize,
        mut stack: Vec<Arc<Directory>>,
        name: &[u8],
        is_last: bool,
        follow: bool,
    ) -> Result<Step, Stop> {
        let tree = &self.resolver.mounts[mount].1;
        let directory = stack.last().expect("because the root is never taken off");
        // The catalog of a directory that is known is here: this doesn't wait.
        let now = Deadline::after(std::time::Duration::ZERO);
        let Some(location) = tree.child(directory, name, now)? else {
            return Ok(Step::End(Landing::Elsewhere));
        };
        match location.entry().kind() {
            EntryKind::Directory => {
                let child = match tree.known(&directory.joined(name)) {
                    Some(child) => child,
                    None => tree.directory(directory, name, &location, self.patience.deadline()?)?,
                };
                stack.push(child);
                self.inside = Some((mount, stack));
                Ok(Step::Further)
            }
            EntryKind::Symlink if follow && !tree.leads_nowhere(&location.entry()) => {
                // The kernel is to find the link.
                if !Tree::is_populated(directory) {
                    tree.populate(directory, self.patience.deadline()?)?;
                }
                let target = tree.link_target(&location);
                self.inside = Some((mount, stack));
                Ok(Step::Link(target))
            }
            _ => {
                if !Tree::is_populated(directory) {
                    tree.populate(directory, self.patience.deadline()?)?;
                }
                if !is_last {
                    return Ok(Step::End(Landing::Elsewhere));
                }
                Ok(Step::End(Landing::Entry(Arc::clone(tree), Arc::clone(directory), location)))
            }
        }
    }

    fn step_elsewhere(&mut self, name: &[u8], is_last: bool, follow: bool) -> Result<Step, Stop> {
        if self.at == b"/proc" && matches!(name, b"self" | b"thread-self") {
            let Some((process, thread)) = self.target.own_numbers() else {
                return Ok(Step::End(Landing::Elsewhere));
            };
            let target = match name {
                b"self" => process.to_string(),
                _ => format!("{process}/task/{thread}"),
            };
            return Ok(Step::Link(target.into_bytes()));
        }
        self.at.push(b'/');
        self.at.extend_from_slice(name);
        self.enter()?;
        if self.inside.is_some() {
            return Ok(Step::Further);
        }
        // Here the kernel may have to look at disks that are slow, or hang.
        self.patience.deadline()?;
        let flags = OFlags::NOFOLLOW;
        let Ok(place) = self.resolver.place(self.target, &self.at, flags, ResolveFlags::NO_MAGICLINKS) else {
            return Ok(Step::End(Landing::Elsewhere));
        };
        let Ok(stat) = rustix::fs::fstat(&place) else { return Ok(Step::End(Landing::Elsewhere)) };
        match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::Directory => Ok(Step::Further),
            rustix::fs::FileType::Symlink if follow => {
                let Ok(target) = rustix::fs::readlinkat(&place, c"", Vec::new()) else {
                    return Ok(Step::End(Landing::Elsewhere));
                };
                self.at.truncate(parent(&self.at).len());
                Ok(Step::Link(target.into_bytes()))
            }
            _ if is_last => Ok(Step::End(Landing::Elsewhere)),
            _ => Ok(Step::End(Landing::Elsewhere)),
        }
    }
}

/// The path without its last part.
fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)]
}
