//! The program that becomes process 1: checked to be one that runs without libraries, and reduced to what is loaded.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use object::elf::{EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, pod};

/// The most bytes of the program's file, with all that debuggers read.
const FILE_LIMIT: u64 = 512 << 20;

/// A static program for x86-64, without sections that only debuggers read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    bytes: Vec<u8>,
}

impl Guest {
    /// Reads a program's file.
    ///
    /// # Errors
    /// [`GuestError`] if it can't be read or needs libraries.
    pub fn open(path: &Path) -> Result<Self, GuestError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes))
            .map_err(|source| GuestError::Read { path: path.to_owned(), source })?;
        match loaded(bytes) {
            Some(Ok(bytes)) => Ok(Self { bytes }),
            Some(Err(())) => Err(GuestError::Dynamic { path: path.to_owned() }),
            None => Err(GuestError::NotOne { path: path.to_owned() }),
        }
    }

    /// The program.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Cuts off what no segment holds, which are the sections for debuggers and their table: none if it is no program for
/// x86-64, an error if it needs a dynamic linker.
fn loaded(mut bytes: Vec<u8>) -> Option<Result<Vec<u8>, ()>> {
    let header = FileHeader64::<Endianness>::parse(&*bytes).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != EM_X86_64 {
        return None;
    }
    let segments = header.program_headers(endian, &*bytes).ok()?;
    if segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
        return Some(Err(()));
    }
    let ends = segments.iter().map(|segment| segment.p_offset(endian).checked_add(segment.p_filesz(endian)));
    let end = usize::try_from(ends.max()??).ok()?;
    let table = usize::try_from(header.e_phoff(endian)).ok()?.checked_add(size_of_val(segments))?;
    let end = end.max(table);
    if end > bytes.len() {
        return None;
    }
    bytes.truncate(end);
    let (header, _) = pod::from_bytes_mut::<FileHeader64<Endianness>>(&mut bytes).ok()?;
    header.e_shoff.set(endian, 0);
    header.e_shnum.set(endian, 0);
    header.e_shstrndx.set(endian, object::elf::SymbolSection(0));
    Some(Ok(bytes))
}

/// Why a program can't be the guest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// It can't be read.
    #[error("cannot read the guest {path}")]
    Read {
        /// Its file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is no program for x86-64")]
    NotOne {
        /// The file.
        path: PathBuf,
    },
    /// It needs libraries that a boot image does not have.
    #[error("{path} is linked to libraries; the guest must be a static program")]
    Dynamic {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_dynamic_and_a_text_no_program() {
        let this = std::env::current_exe().expect("this program");
        assert!(matches!(Guest::open(&this), Err(GuestError::Dynamic { .. })));
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("text");
        std::fs::write(&path, b"#!/bin/sh\n").expect("write");
        assert!(matches!(Guest::open(&path), Err(GuestError::NotOne { .. })));
    }

    #[test]
    fn what_no_segment_holds_is_cut_off() {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        elf.resize(32, 0);
        elf.extend(64_u64.to_le_bytes());
        elf.extend(200_u64.to_le_bytes());
        elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 3, 0, 2, 0]);
        elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        for number in [0_u64, 0, 0, 150, 150, 4096] {
            elf.extend(number.to_le_bytes());
        }
        elf.resize(500, 7);
        let cut = loaded(elf.clone()).expect("a program").expect("static");
        assert_eq!((cut.len(), &cut[40..48], &cut[60..64]), (150, &[0; 8][..], &[0; 4][..]));
        elf.truncate(140);
        assert!(loaded(elf).is_none(), "a part is missing");
    }
}
