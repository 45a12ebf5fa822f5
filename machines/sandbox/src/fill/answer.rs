//! What becomes of each call: what has to be filled for it, and what it is told of files that aren't.

use std::collections::HashMap;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use parking_lot::Mutex;
use varve_repository::{EntryKind, Location};

use super::attributes::Attributes;
use super::calls::{Call, StatForm};
use super::error::FillError;
use super::interpreter;
use super::kernel::Answer;
use super::listing;
use super::patience::Stop;
use super::pending::PendingCall;
use super::resolve::{Landing, Resolver};
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
    /// How users and groups are called in each user name space.
    identities: Mutex<HashMap<Vec<u8>, Arc<Identities>>>,
}

impl Answers {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { resolver, identities: Mutex::default() }
    }

    /// The answer to a call, or why there is none yet.
    pub(super) fn answer(&self, pending: &PendingCall<'_>) -> Result<Answer, Stop> {
        let (target, patience) = (&pending.target, pending.patience);
        let (path, follow) = match pending.call {
            Call::List { legacy } => return listing::answer(&self.resolver, pending, legacy),
            Call::Execute(path, follow) => {
                patience.deadline()?;
                return self.execute(pending, target.path(path), pending.is_followed(follow));
            }
            Call::TwoLookups(first, second) => {
                for path in [first, second] {
                    if let Some(given) = target.path(path) {
                        self.resolver.resolve(target, &given, false, patience)?;
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
                let flags = pending.open_flags(flags);
                let exclusive = libc::O_CREAT | libc::O_EXCL;
                (path, flags & libc::O_NOFOLLOW == 0 && flags & exclusive != exclusive)
            }
            Call::Stat(path, follow, _)
            | Call::Access(path, follow, _)
            | Call::Whole(path, follow)
            | Call::Lookup(path, follow)
            | Call::Attributes(path, follow)
            | Call::Change(path, follow) => (path, pending.is_followed(follow)),
        };
        // What the kernel can't read either, or what begins at no directory, is the kernel's to answer.
        let Some(given) = target.path(path) else { return Ok(Answer::Continue) };
        if given.path.is_empty() || self.resolver.is_settled(&given) {
            return Ok(Answer::Continue);
        }
        let (landing, stayed) = self.resolver.resolve(target, &given, follow, patience)?;
        let (answer, settled) = match landing {
            Landing::Elsewhere => return Ok(Answer::Continue),
            Landing::Directory(tree, directory) => self.directory(pending, &tree, &directory)?,
            Landing::Entry(tree, directory, location) => self.entry(pending, &tree, &directory, &location)?,
        };
        if settled && stayed {
            self.resolver.settle(&given);
        }
        Ok(answer)
    }

    /// Also says whether the answer stays the same.
    fn directory(
        &self,
        pending: &PendingCall<'_>,
        tree: &Tree,
        directory: &Directory,
    ) -> Result<(Answer, bool), Stop> {
        let patience = pending.patience;
        let other_permissions = tree.shows_other_permissions(directory.entry().permissions());
        match pending.call {
            Call::Stat(_, _, form) if other_permissions || !Tree::is_populated(directory) => {
                let disk = tree
                    .stat_in_view(&directory.path)
                    .map_err(FillError::io("look at a directory of", &tree.view()))?;
                let attributes = Attributes::of(&directory.entry(), &disk);
                Ok((self.tell(pending, attributes, form)?, false))
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

    /// Also says whether the answer stays the same.
    fn entry(
        &self,
        pending: &PendingCall<'_>,
        tree: &Tree,
        directory: &Directory,
        location: &Location,
    ) -> Result<(Answer, bool), Stop> {
        let (call, patience) = (pending.call, pending.patience);
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
                return Ok((self.tell(pending, attributes, form)?, false));
            }
        }
        if Tree::is_known_filled(directory, location) {
            return Ok((Answer::Continue, true));
        }
        let needs_content = match call {
            Call::Open(_, flags) => {
                let flags = pending.open_flags(flags);
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
            Call::Stat(_, _, form) => self.tell(pending, attributes, form)?,
            Call::Access(_, _, wanted) => access(&pending.target, &attributes, pending.target.flags(wanted)),
            _ => Answer::Continue,
        };
        Ok((answer, false))
    }

    /// Writes attributes into the caller's memory.
    fn tell(
        &self,
        pending: &PendingCall<'_>,
        mut attributes: Attributes,
        form: StatForm,
    ) -> Result<Answer, FillError> {
        let identities = self.identities_of(&pending.target);
        attributes.user = called(&identities.0, attributes.user);
        attributes.group = called(&identities.1, attributes.group);
        let (address, bytes) = match form {
            StatForm::Stat(address) => (address, attributes.to_stat()),
            StatForm::Statx(address) => (address, attributes.to_statx()),
        };
        Ok(pending.write(pending.target.argument(address), &bytes, Answer::Return(0)))
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
        pending: &PendingCall<'_>,
        given: Option<GivenPath>,
        follow: bool,
    ) -> Result<Answer, Stop> {
        let (target, patience) = (&pending.target, pending.patience);
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
