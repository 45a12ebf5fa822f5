//! The members of a tar archive, one after the other, from a stream that is read once. Knows every form that GNU tar,
//! bsdtar and the standard have for long names, times, attributes and sparse files, but no repository.
//!
//! Memory is bounded whatever the archive claims: an extended header has at most [`EXTENDED_LIMIT`] bytes, contents are
//! only passed on.

use std::io::{Read, Seek, SeekFrom};

use tar::{GnuExtSparseHeader, Header};
use varve_repository::Mtime;

use super::error::{ArchiveError, ArchiveProblem};
use super::header::{BLOCK, Records, decimal, has_checksum, number, records, time, unsigned};
use super::sparse::{SparseMap, TextMap};
use crate::pipeline::ContentStream;

/// The largest extended header or long name that is read, and the most that headers for all members may hold.
const EXTENDED_LIMIT: u64 = 1 << 20;

/// The keyword before the name of an extended attribute.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// An archive that is being read.
pub(super) struct Archive<R> {
    reader: R,
    /// Bytes read.
    offset: u64,
    /// Where the current header begins.
    start: u64,
    /// The name of the current member, or of the last one while the next one's is not known.
    name: Option<String>,
    behind: bool,
    /// Bytes of the current member's content that have not been read, and those that it is padded with.
    left: u64,
    padding: u64,
    /// Records for all members.
    global: Records,
    /// There was something behind the end mark.
    pub(super) more: bool,
}

/// A member's header.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) permissions: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Mtime,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// It has access control lists in a form that is not read.
    pub(super) has_acl: bool,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File {
        size: u64,
        /// Which parts of it are in the archive.
        map: SparseMap,
    },
    HardLink {
        target: Vec<u8>,
    },
    Symlink {
        target: Vec<u8>,
    },
    Fifo,
    CharacterDevice {
        device: u64,
    },
    BlockDevice {
        device: u64,
    },
}

impl<R: Read> Archive<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            offset: 0,
            start: 0,
            name: None,
            behind: false,
            left: 0,
            padding: 0,
            global: Records::new(),
            more: false,
        }
    }

    /// The next member; what is left of the content of the one before is passed over. `None` at the end, behind which the
    /// rest of the stream has been read: compressions have a checksum there.
    pub(super) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        self.try_next().map_err(|problem| self.error(problem))
    }

    /// The content of the current member, which is a file.
    pub(super) fn content<'a>(&'a mut self, size: u64, map: &'a SparseMap) -> Content<'a, R> {
        Content { archive: self, size, map, position: 0, part: 0 }
    }

    /// A problem with its place.
    pub(super) fn error(&self, problem: ArchiveProblem) -> ArchiveError {
        let reading = matches!(problem, ArchiveProblem::Read(_) | ArchiveProblem::CutOff);
        let offset = if reading { self.offset } else { self.start };
        ArchiveError { offset, member: self.name.clone(), behind: self.behind, problem }
    }

    fn try_next(&mut self) -> Result<Option<Member>, ArchiveProblem> {
        self.pass(self.left)?;
        self.pass(self.padding)?;
        (self.left, self.padding) = (0, 0);
        let mut own = self.global.clone();
        let (mut long_name, mut long_link) = (None, None);
        let mut extended = false;
        self.behind = true;
        loop {
            self.start = self.offset;
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block == [0; BLOCK] {
                if extended {
                    return Err(ArchiveProblem::CutOff);
                }
                self.drain()?;
                return Ok(None);
            }
            if !has_checksum(&block) {
                return Err(ArchiveProblem::Checksum);
            }
            let header = Header::from_byte_slice(&block);
            let size = unsigned(&header.as_old().size, "size");
            match header.as_old().linkflag[0] {
                b'L' => long_name = Some(text(self.extended(size?)?)),
                b'K' => long_link = Some(text(self.extended(size?)?)),
                b'x' | b'X' => records(&self.extended(size?)?, &mut own)?,
                b'g' => {
                    let bytes = self.extended(size?)?;
                    records(&bytes, &mut self.global)?;
                    let held: usize = self.global.iter().map(|(key, value)| key.len() + value.len()).sum();
                    if held as u64 > EXTENDED_LIMIT {
                        return Err(ArchiveProblem::TooLarge { what: "extended header" });
                    }
                    own = self.global.clone();
                    continue;
                }
                b'V' => {
                    self.pass(padded(size?))?;
                    continue;
                }
                b'M' => return Err(ArchiveProblem::Volumes),
                _ => return self.member(header, &own, long_name, long_link).map(Some),
            }
            extended = true;
        }
    }

    fn member(
        &mut self,
        header: &Header,
        own: &Records,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Member, ArchiveProblem> {
        let record = |keyword: &str| own.get(keyword.as_bytes()).filter(|value| !value.is_empty());
        let name = record("GNU.sparse.name").or_else(|| record("path")).cloned();
        let name = name.or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
        self.name = Some(name.escape_ascii().to_string());
        self.behind = false;
        let old = header.as_old();
        let size = match record("size") {
            Some(value) => decimal(value, "size")?,
            None => unsigned(&old.size, "size")?,
        };
        let target = || {
            let target = record("linkpath").cloned().or(long_link);
            target.unwrap_or_else(|| header.link_name_bytes().map_or_else(Vec::new, |name| name.into_owned()))
        };
        let kind = match old.linkflag[0] {
            b'1' => Kind::HardLink { target: target() },
            b'2' => Kind::Symlink { target: target() },
            b'3' => Kind::CharacterDevice { device: device(header)? },
            b'4' => Kind::BlockDevice { device: device(header)? },
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            // A directory with the list of its names as content.
            b'D' => {
                self.stored(size);
                Kind::Directory
            }
            // Before there was a kind for them.
            0 | b'0' if name.ends_with(b"/") => {
                self.stored(size);
                Kind::Directory
            }
            0 | b'0' | b'7' | b'S' => {
                self.stored(size);
                self.file(header, own, size)?
            }
            kind => return Err(ArchiveProblem::Kind { kind }),
        };
        let owner = |keyword, field: &[u8]| match record(keyword) {
            Some(value) => decimal(value, "owner"),
            None => unsigned(field, "owner"),
        };
        let mtime = match record("mtime") {
            Some(value) => time(value)?,
            None => Mtime {
                seconds: number(&old.mtime).ok_or(ArchiveProblem::Number { field: "time" })?,
                nanoseconds: Some(0),
            },
        };
        let xattrs = own
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?.to_vec(), value.clone())))
            .collect();
        Ok(Member {
            name,
            kind,
            permissions: unsigned::<u32>(&old.mode, "mode")? & 0o7777,
            uid: owner("uid", &old.uid)?,
            gid: owner("gid", &old.gid)?,
            mtime,
            xattrs,
            has_acl: own.keys().any(|key| key.starts_with(b"SCHILY.acl.")),
        })
    }

    /// A file, with its map read if it is a sparse one.
    fn file(&mut self, header: &Header, own: &Records, stored: u64) -> Result<Kind, ArchiveProblem> {
        let record = |keyword: &str| own.get(keyword.as_bytes()).filter(|value| !value.is_empty());
        let real = record("GNU.sparse.realsize").or_else(|| record("GNU.sparse.size"));
        let mut map = SparseMap::default();
        let size;
        if header.as_old().linkflag[0] == b'S' {
            let gnu = header.as_gnu().ok_or(ArchiveProblem::Sparse)?;
            size = match real {
                Some(value) => decimal(value, "size")?,
                None => unsigned(&gnu.realsize, "size")?,
            };
            let mut ended = map.header(&gnu.sparse)?;
            let mut more = gnu.isextended[0] != 0;
            while more {
                let mut block = GnuExtSparseHeader::new();
                self.fill(block.as_mut_bytes())?;
                ended = ended || map.header(&block.sparse)?;
                more = block.isextended[0] != 0;
            }
        } else if let Some(value) = record("GNU.sparse.map") {
            size = decimal(real.ok_or(ArchiveProblem::Sparse)?, "size")?;
            map = SparseMap::record(value)?;
        } else if let Some(value) = record("GNU.sparse.major") {
            if value != b"1" || record("GNU.sparse.minor").is_none_or(|minor| minor != b"0") {
                return Err(ArchiveProblem::Sparse);
            }
            size = decimal(real.ok_or(ArchiveProblem::Sparse)?, "size")?;
            let mut text = TextMap::default();
            loop {
                self.left = self.left.checked_sub(BLOCK as u64).ok_or(ArchiveProblem::Sparse)?;
                let mut block = [0; BLOCK];
                self.fill(&mut block)?;
                if text.block(&block)? {
                    break;
                }
            }
            map = text.map;
        } else {
            map.push(0, stored)?;
            return Ok(Kind::File { size: stored, map });
        }
        map.fits(size, self.left)?;
        Ok(Kind::File { size, map })
    }

    fn stored(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// The content of an extended header.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>, ArchiveProblem> {
        if size > EXTENDED_LIMIT {
            return Err(ArchiveProblem::TooLarge { what: "extended header" });
        }
        let mut bytes = Vec::new();
        self.append(&mut bytes, size)?;
        self.pass(padded(size) - size)?;
        Ok(bytes)
    }

    fn append(&mut self, into: &mut Vec<u8>, length: u64) -> Result<(), ArchiveProblem> {
        let before = into.len();
        let result = self.reader.by_ref().take(length).read_to_end(into);
        let read = (into.len() - before) as u64;
        self.offset += read;
        result?;
        if read == length { Ok(()) } else { Err(ArchiveProblem::CutOff) }
    }

    fn fill(&mut self, block: &mut [u8]) -> Result<(), ArchiveProblem> {
        let mut filled = 0;
        while filled < block.len() {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) => return Err(ArchiveProblem::CutOff),
                Ok(read) => {
                    filled += read;
                    self.offset += read as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn pass(&mut self, length: u64) -> Result<(), ArchiveProblem> {
        let passed = std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink())?;
        self.offset += passed;
        if passed == length { Ok(()) } else { Err(ArchiveProblem::CutOff) }
    }

    fn drain(&mut self) -> Result<(), ArchiveProblem> {
        let mut rest = Vec::new();
        loop {
            rest.clear();
            let read = self.reader.by_ref().take(64 << 10).read_to_end(&mut rest)?;
            self.offset += read as u64;
            self.more |= rest.iter().any(|&byte| byte != 0);
            if read == 0 {
                return Ok(());
            }
        }
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Passes over the content of the current member without reading it. Returns where it begins.
    pub(super) fn leap(&mut self) -> Result<u64, ArchiveError> {
        let start = self.offset;
        let length = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        let end = start.checked_add(length).ok_or_else(|| self.error(ArchiveProblem::CutOff))?;
        self.reader.seek(SeekFrom::Start(end)).map_err(|error| self.error(error.into()))?;
        self.offset = end;
        Ok(start)
    }
}

/// The content of a member, its holes filled with zeros.
pub(super) struct Content<'a, R> {
    archive: &'a mut Archive<R>,
    size: u64,
    map: &'a SparseMap,
    position: u64,
    /// The part that the position is in or before.
    part: usize,
}

impl<R: Read> ContentStream for Content<'_, R> {
    type Error = ArchiveProblem;

    fn read(&mut self, into: &mut Vec<u8>, limit: usize) -> Result<(), ArchiveProblem> {
        let zeros = self.zeros().min(limit as u64);
        if zeros > 0 {
            into.resize(into.len() + zeros as usize, 0);
            self.skip_zeros(zeros);
            return Ok(());
        }
        let part = self.map.parts.get(self.part).ok_or(ArchiveProblem::Sparse)?;
        let length = (part.offset + part.length - self.position).min(limit as u64);
        self.archive.append(into, length)?;
        self.archive.left -= length;
        self.position += length;
        if self.position == part.offset + part.length {
            self.part += 1;
        }
        Ok(())
    }

    fn zeros(&self) -> u64 {
        self.map.parts.get(self.part).map_or(self.size, |part| part.offset).saturating_sub(self.position)
    }

    fn skip_zeros(&mut self, bytes: u64) {
        self.position += bytes;
    }
}

/// A long name is followed by a zero byte, and may be by more.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}

fn device(header: &Header) -> Result<u64, ArchiveProblem> {
    let ustar = header.as_ustar().map(|ustar| (&ustar.dev_major, &ustar.dev_minor));
    let gnu = header.as_gnu().map(|gnu| (&gnu.dev_major, &gnu.dev_minor));
    let (major, minor) = ustar.or(gnu).ok_or(ArchiveProblem::Number { field: "device" })?;
    Ok(rustix::fs::makedev(unsigned(major, "device")?, unsigned(minor, "device")?))
}
