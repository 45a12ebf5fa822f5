//! Reads an archive's members into an [`Assembly`], their contents into the pipeline.

use std::collections::BTreeMap;
use std::io::Read;

use varve_repository::{Entry, EntryName, HardLink, Metadata, NestedRole, Node, RepositoryPath, Xattrs};

use super::archive::{Archive, Kind, Member};
use super::assembly::Assembly;
use super::error::{ArchiveError, ArchiveProblem};
use crate::pipeline::{Feeder, Stamp};
use crate::progress::Progress;
use crate::source::is_local_xattr;
use crate::walk::{DIRECTORY_SIZE, LONGEST_TARGET, WalkTally, Warning, pending};

/// The longest path: no system can be asked for a longer one.
const LONGEST_PATH: usize = 4095;

/// The most directories in each other: catalogs are made of them one in the other, on a stack.
const DEEPEST: usize = 256;

/// Where the members go.
pub(super) struct Unpacking<'a, 'b> {
    /// The directory of the repository that the archive's names are below.
    pub(super) at: &'a RepositoryPath,
    /// Whether extended attributes are recorded.
    pub(super) xattrs: bool,
    pub(super) feeder: &'a mut Feeder<'b>,
    pub(super) progress: &'a dyn Progress,
    pub(super) assembly: Assembly,
    pub(super) tally: WalkTally,
    pub(super) devices: Devices,
    /// So much more is taken.
    pub(super) room: Room,
}

/// What becomes of device files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Devices {
    /// They are recorded as they are.
    Recorded,
    /// They are left out.
    LeftOut,
}

/// How much an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Members.
    pub(super) members: u64,
    /// Bytes of contents.
    pub(super) bytes: u64,
}

impl Room {
    /// Whatever there is.
    pub(super) const UNLIMITED: Self = Self { members: u64::MAX, bytes: u64::MAX };

    fn take(&mut self, kind: &Kind) -> Result<(), ArchiveProblem> {
        let bytes = if let Kind::File { size, .. } = kind { *size } else { 0 };
        let too_large = |what| ArchiveProblem::TooLarge { what };
        self.members = self.members.checked_sub(1).ok_or_else(|| too_large("number of members"))?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| too_large("sum of all files"))?;
        Ok(())
    }
}

impl Unpacking<'_, '_> {
    /// Reads the whole archive.
    pub(super) fn run(&mut self, reader: impl Read) -> Result<(), ArchiveError> {
        let mut archive = Archive::new(reader);
        while let Some(member) = archive.next()? {
            self.member(&mut archive, member).map_err(|problem| archive.error(problem))?;
        }
        if archive.more {
            self.warn(self.at.clone(), "what follows the archive's end mark was left out".to_owned());
        }
        Ok(())
    }

    fn member<R: Read>(&mut self, archive: &mut Archive<R>, member: Member) -> Result<(), ArchiveProblem> {
        self.room.take(&member.kind)?;
        if self.assembly.implied > self.room.members {
            return Err(ArchiveProblem::TooLarge { what: "number of directories" });
        }
        let path = self.path(&member.name)?;
        let mut entry = self.entry(&path, &member);
        self.tally.entries += 1;
        match member.kind {
            Kind::Directory => {
                self.progress.seen(None);
                return self.assembly.directory(&path, entry);
            }
            Kind::HardLink { target } => {
                self.progress.seen(None);
                let found = self.path(&target)?;
                if self.assembly.hard_link(&path, &found)? {
                    return Ok(());
                }
                let target = target.escape_ascii().to_string();
                return Err(ArchiveProblem::LinkTarget { target });
            }
            Kind::File { size, map } => {
                let Some((directory, name)) = path.split_last() else {
                    return Err(ArchiveProblem::Name { reason: "is that of the repository's root" });
                };
                self.progress.seen(Some(size));
                self.tally.files += 1;
                let stamp = Stamp { size, mtime: entry.metadata.mtime };
                let ticket = self.feeder.stream(&path, stamp, &mut archive.content(size, &map))?;
                self.progress.stored(&directory, &name, size);
                entry.node = Node::File(pending(size));
                return self.assembly.file(&path, entry, Some(ticket));
            }
            Kind::Symlink { target } => {
                if !(1..=LONGEST_TARGET).contains(&target.len()) {
                    return Err(ArchiveProblem::SymlinkTarget { length: target.len() });
                }
                entry.node = Node::Symlink { target };
            }
            Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } if self.devices == Devices::LeftOut => {
                self.warn(path, "left out: a device".to_owned());
                return Ok(());
            }
            Kind::Fifo => entry.node = Node::Fifo,
            Kind::CharacterDevice { device } => entry.node = Node::CharacterDevice { device },
            Kind::BlockDevice { device } => entry.node = Node::BlockDevice { device },
        }
        self.progress.seen(None);
        self.assembly.file(&path, entry, None)
    }

    /// Where a name of the archive is in the repository. A first `/` is left out, as are `.` and repeated `/`.
    fn path(&self, name: &[u8]) -> Result<RepositoryPath, ArchiveProblem> {
        let mut path = self.at.as_bytes().to_vec();
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(ArchiveProblem::Name { reason: "leads outside with '..'" }),
                component if EntryName::is_valid(component) => {
                    path.push(b'/');
                    path.extend_from_slice(component);
                }
                _ => {
                    return Err(ArchiveProblem::Name {
                        reason: "has a part of over 255 bytes, or a zero byte",
                    });
                }
            }
        }
        if name.is_empty() {
            return Err(ArchiveProblem::Name { reason: "is empty" });
        }
        if path.len() > LONGEST_PATH {
            return Err(ArchiveProblem::Name { reason: "is longer than 4095 bytes" });
        }
        if path.iter().filter(|&&byte| byte == b'/').count() > DEEPEST {
            return Err(ArchiveProblem::Name { reason: "has more than 256 parts" });
        }
        RepositoryPath::new(&path).map_err(|_| ArchiveProblem::Name { reason: "is impossible" })
    }

    /// The entry of a directory; other nodes are set by the caller.
    fn entry(&mut self, path: &RepositoryPath, member: &Member) -> Entry {
        Entry {
            name: path.split_last().map(|(_, name)| name),
            metadata: Metadata {
                permissions: member.permissions,
                uid: member.uid,
                gid: member.gid,
                mtime: member.mtime,
            },
            node: Node::Directory { size: DIRECTORY_SIZE },
            hard_link: HardLink::SINGLE,
            xattrs: self.member_xattrs(path, member),
            nested: NestedRole::Plain,
            hidden: false,
        }
    }

    fn member_xattrs(&mut self, path: &RepositoryPath, member: &Member) -> Xattrs {
        if !self.xattrs {
            return Xattrs::default();
        }
        if member.has_acl {
            self.warn(path.clone(), "access control lists left out: their form is not read".to_owned());
        }
        let mut kept = BTreeMap::new();
        for (name, value) in &member.xattrs {
            if is_local_xattr(name) {
                continue;
            }
            let one = vec![(name.clone(), value.clone())];
            if kept.len() < 255 && Xattrs::new(one).is_ok() {
                kept.insert(name.clone(), value.clone());
            } else {
                let reason = format!(
                    "attribute {} left out: a catalog holds at most 255 attributes of at most 255 bytes",
                    String::from_utf8_lossy(name)
                );
                self.warn(path.clone(), reason);
            }
        }
        Xattrs::new(kept.into_iter().collect()).unwrap_or_default()
    }

    fn warn(&mut self, path: RepositoryPath, reason: String) {
        self.tally.warnings.push(Warning { path, reason });
    }
}
