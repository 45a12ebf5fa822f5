//! What becomes of each call: what has to be filled for it, and what it is told of files that aren't.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use parking_lot::Mutex;
use varve_repository::{EntryKind, Location};

use super::attributes::Attributes;
use super::calls::{Call, Follow, OpenFlags, StatForm, watched};
use super::error::FillError;
use super::interpreter;
use super::kernel::{self, Answer, Notification};
use super::listing;
use super::resolve::{Landing, Patience, Resolver, Stop};
use super::target::{GivenPath, Target};
use super::tree::{Directory, Tree};

/// How many interpreters of interpreters are looked for; the kernel stops earlier.
const MOST_INTERPRETERS: usize = 6;
/// The number that stands for users without one.
const NOBODY: u32 = 65534;

type Identities = (Vec<(u32, u32, u32)>, Vec<(u32, u32, u32)>);

/// Answers calls.
pub(super) struct Answers {
    resolver: Resolver,
    calls: HashMap<i64, Call>,
    /// How users and groups are called in each user name space.
    identities: Mutex<HashMap<Vec<u8>, Arc<Identities>>>,
}

impl Answers {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { resolver, calls: watched().collect(), identities: Mutex::default() }
    }

    /// The answer to a call, or why there is none yet.
    pub(super) fn answer(
        &self,
        listener: &OwnedFd,
        notification: &Notification,
        patience: Patience,
    ) -> Result<Answer, Stop> {
        let target = Target { notification };
        let Some(&call) = self.calls.get(&notification.number) else { return Ok(Answer::Continue) };
        let (path, follow) = match call {
            Call::List { legacy } => {
                return listing::answer(&self.resolver, listener, &target, legacy, patience);
            }
            Call::Execute(path, follow) => {
                patience.deadline()?;
                return self.execute(&target, target.path(path), is_followed(&target, follow), patience);
            }
            Call::TwoLookups(first, second) => {
                for path in [first, second] {
                    if let Some(given) = target.path(path) {
                        self.resolver.resolve(&target, &given, false, patience)?;
                    }
                }
                return Ok(Answer::Continue);
            }
            Call::ChangeRoot(path) => {
                self.resolver.expect_other_roots();
                (path, true)
            }
            Call::ReadLink(path) => (path, false),
            Call::Open(path, flags) => {
                let flags = open_flags(&target, flags);
                let exclusive = libc::O_CREAT | libc::O_EXCL;
                (path, flags & libc::O_NOFOLLOW == 0 && flags & exclusive != exclusive)
            }
            Call::Stat(path, follow, _)
            | Call::Access(path, follow, _)
            | Call::Whole(path, follow)
            | Call::Lookup(path, follow)
            | Call::Attributes(path, follow)
            | Call::Change(path, follow) => (path, is_followed(&target, follow)),
        };
        // What the kernel can't read either, or what begins at no directory, is the kernel's to answer.
        let Some(given) = target.path(path) else { return Ok(Answer::Continue) };
        if given.path.is_empty() || self.resolver.is_settled(&given) {
            return Ok(Answer::Continue);
        }
        let (landing, stayed) = self.resolver.resolve(&target, &given, follow, patience)?;
        let (answer, settled) = match landing {
            Landing::Elsewhere => return Ok(Answer::Continue),
            Landing::Directory(tree, directory) => {
                self.directory(listener, &target, call, &tree, &directory, patience)?
            }
            Landing::Entry(tree, directory, location) => {
                self.entry(listener, &target, call, &tree, &directory, &location, patience)?
            }
        };
        if settled && stayed {
            self.resolver.settle(&given);
        }
        Ok(answer)
    }

    fn directory(
        &self,
        listener: &OwnedFd,
        target: &Target<'_>,
        call: Call,
        tree: &Tree,
        directory: &Directory,
        patience: Patience,
    ) -> Result<(Answer, bool), Stop> {
        let other_permissions = tree.shows_other_permissions(directory.entry().permissions());
        match call {
            Call::Stat(_, _, form) if other_permissions || !Tree::is_populated(directory) => {
                let disk = tree
                    .stat_in_view(&directory.path)
                    .map_err(FillError::io("look at a directory of", &tree.view()))?;
                let attributes = Attributes::of(&directory.entry(), &disk);
                Ok((self.tell(listener, target, attributes, form)?, false))
            }
            Call::Attributes(..) if directory.entry().xattrs_blob().is_empty() => {
                Ok((Answer::Continue, false))
            }
            Call::Open(..) | Call::Whole(..) | Call::Attributes(..) => {
                if !Tree::is_populated(directory) {
                    tree.populate(directory, patience.deadline()?)?;
                }
                Ok((Answer::Continue, !other_permissions))
            }
            _ => Ok((Answer::Continue, false)),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn entry(
        &self,
        listener: &OwnedFd,
        target: &Target<'_>,
        call: Call,
        tree: &Tree,
        directory: &Directory,
        location: &Location,
        patience: Patience,
    ) -> Result<(Answer, bool), Stop> {
        let entry = location.entry();
        match entry.kind() {
            EntryKind::File => {}
            EntryKind::Symlink if tree.leads_nowhere(&entry) && !matches!(call, Call::Stat(..)) => {
                let is_asked = matches!(call, Call::ReadLink(..));
                return Ok((if is_asked { Answer::Return(0) } else { Answer::Fail(libc::ENOENT) }, false));
            }
            EntryKind::Directory | EntryKind::Fifo => return Ok((Answer::Continue, false)),
            EntryKind::Symlink if !tree.leads_nowhere(&entry) => return Ok((Answer::Continue, false)),
            // They stay placeholders.
            EntryKind::Symlink | EntryKind::Socket | EntryKind::CharacterDevice | EntryKind::BlockDevice => {
                let Call::Stat(_, _, form) = call else { return Ok((Answer::Continue, false)) };
                let Some(disk) = tree.unfilled(directory, location)? else {
                    return Ok((Answer::Continue, false));
                };
                let attributes = Attributes::of(&entry, &disk);
                return Ok((self.tell(listener, target, attributes, form)?, false));
            }
        }
        if Tree::is_known_filled(directory, location) {
            return Ok((Answer::Continue, true));
        }
        let needs_content = match call {
            Call::Open(_, flags) => {
                let flags = open_flags(target, flags);
                let is_changed = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
                if flags & libc::O_PATH == 0 && is_changed && flags & libc::O_EXCL == 0 {
                    return Ok((Answer::Fail(libc::EROFS), false));
                }
                flags & (libc::O_EXCL | libc::O_DIRECTORY) == 0
            }
            Call::Whole(..) => true,
            Call::Attributes(..) => !entry.xattrs_blob().is_empty(),
            Call::Change(..) => return Ok((Answer::Fail(libc::EROFS), false)),
            _ => false,
        };
        if needs_content {
            // What an earlier run has filled needs no patience.
            if tree.unfilled(directory, location)?.is_some() {
                tree.fill(directory, location, patience.deadline()?)?;
            }
            return Ok((Answer::Continue, true));
        }
        let (Call::Stat(..) | Call::Access(..)) = call else { return Ok((Answer::Continue, false)) };
        let Some(disk) = tree.unfilled(directory, location)? else { return Ok((Answer::Continue, true)) };
        let attributes = Attributes::of(&entry, &disk);
        let answer = match call {
            Call::Stat(_, _, form) => self.tell(listener, target, attributes, form)?,
            Call::Access(_, _, wanted) => access(target, &attributes, target.flags(wanted)),
            _ => Answer::Continue,
        };
        Ok((answer, false))
    }

    /// Writes attributes into the caller's memory.
    fn tell(
        &self,
        listener: &OwnedFd,
        target: &Target<'_>,
        mut attributes: Attributes,
        form: StatForm,
    ) -> Result<Answer, FillError> {
        let identities = self.identities_of(target);
        attributes.user = called(&identities.0, attributes.user);
        attributes.group = called(&identities.1, attributes.group);
        let (address, bytes) = match form {
            StatForm::Stat(address) => (address, attributes.to_stat()),
            StatForm::Statx(address) => (address, attributes.to_statx()),
        };
        Ok(write(listener, target, target.argument(address), &bytes, Answer::Return(0)))
    }

    fn identities_of(&self, target: &Target<'_>) -> Arc<Identities> {
        let name_space = target.name_space("user");
        let mut known = self.identities.lock();
        if let Some(identities) = known.get(&name_space) {
            return Arc::clone(identities);
        }
        let identities = Arc::new((target.identities("uid_map"), target.identities("gid_map")));
        // New ones are not made inside; whoever comes in from outside has few.
        if known.len() < 64 {
            known.insert(name_space, Arc::clone(&identities));
        }
        identities
    }

    /// Fills a program and everything that the kernel opens to run it.
    fn execute(
        &self,
        target: &Target<'_>,
        given: Option<GivenPath>,
        follow: bool,
        patience: Patience,
    ) -> Result<Answer, Stop> {
        let Some(mut given) = given else { return Ok(Answer::Continue) };
        for _ in 0..MOST_INTERPRETERS {
            let (landing, _) = self.resolver.resolve(target, &given, follow, patience)?;
            let file = match landing {
                Landing::Directory(..) => None,
                Landing::Entry(tree, directory, location) => {
                    tree.fill(&directory, &location, patience.deadline()?)?;
                    tree.open_filled(&directory, location.entry().name()).ok()
                }
                Landing::Elsewhere => self.resolver.open_elsewhere(target, &given),
            };
            let Some(path) = file.and_then(|file| interpreter_of(&std::fs::File::from(file))) else { break };
            let base = match path.first() {
                Some(b'/') => None,
                _ => match target.working_directory() {
                    Some(directory) => Some(directory),
                    None => break,
                },
            };
            given = GivenPath { base, path };
        }
        Ok(Answer::Continue)
    }
}

/// Writes an answer into the caller's memory. The memory is opened first and the call looked at then, so that it can't be the
/// memory of another process by now.
pub(super) fn write(
    listener: &OwnedFd,
    target: &Target<'_>,
    address: u64,
    bytes: &[u8],
    answer: Answer,
) -> Answer {
    let Ok(memory) = target.memory() else { return Answer::Fail(libc::EIO) };
    if !kernel::is_waiting(listener.as_fd(), target.notification.id) {
        return Answer::Fail(libc::EINTR);
    }
    match memory.write_all_at(bytes, address) {
        Ok(()) => answer,
        Err(_) => Answer::Fail(libc::EFAULT),
    }
}

fn interpreter_of(file: &std::fs::File) -> Option<Vec<u8>> {
    let mut head = [0; interpreter::SCRIPT_LINE];
    let length = file.read_at(&mut head, 0).ok()?;
    if let Some(path) = interpreter::of_script(&head[..length]) {
        return Some(path.to_vec());
    }
    interpreter::of_elf(|offset, length| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
    })
}

fn is_followed(target: &Target<'_>, follow: Follow) -> bool {
    match follow {
        Follow::Always => true,
        Follow::Never => false,
        Follow::UnlessFlag(argument) => target.flags(argument) & libc::AT_SYMLINK_NOFOLLOW == 0,
        Follow::IfFlag(argument) => target.flags(argument) & libc::AT_SYMLINK_FOLLOW != 0,
    }
}

fn open_flags(target: &Target<'_>, flags: OpenFlags) -> i32 {
    match flags {
        OpenFlags::Argument(argument) => target.flags(argument),
        OpenFlags::Structure(argument) => {
            target.number_at(target.argument(argument)).map_or(0, |flags| flags as i32)
        }
        OpenFlags::Create => libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC,
    }
}

fn access(target: &Target<'_>, attributes: &Attributes, wanted: i32) -> Answer {
    if wanted & libc::W_OK != 0 {
        return Answer::Fail(libc::EROFS);
    }
    let (user, groups) = target.who();
    if attributes.permits(user, &groups, wanted as u32 & 7) {
        Answer::Return(0)
    } else {
        Answer::Fail(libc::EACCES)
    }
}

/// A number of this process' as the other side calls it.
fn called(map: &[(u32, u32, u32)], number: u32) -> u32 {
    let found = map.iter().find(|(_, outside, count)| number >= *outside && number - outside < *count);
    found.map_or(NOBODY, |(inside, outside, _)| inside + (number - outside))
}
