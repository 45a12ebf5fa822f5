//! Which other programs the kernel opens when it runs one, without asking anybody: the interpreter of a script, and the dynamic
//! linker of an ELF program. Reads the first bytes of a program and nothing else.

/// How much of a script's first line counts, as the kernel has it.
pub(super) const SCRIPT_LINE: usize = 256;

/// Where an ELF program's headers stand, and how many.
const HEADERS: std::ops::Range<usize> = 0..64;
const INTERPRETER: u32 = 3;
/// The longest path that the kernel takes for an interpreter.
const LONGEST: u64 = 4096;

/// The path of a script's interpreter, given the beginning of the file.
pub(super) fn of_script(head: &[u8]) -> Option<&[u8]> {
    let line = head.strip_prefix(b"#!")?;
    let line = line.get(..SCRIPT_LINE - 2).unwrap_or(line);
    let line = line.split(|&byte| byte == b'\n' || byte == 0).next()?;
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let word = line.split(is_space).find(|word| !word.is_empty())?;
    Some(word)
}

/// The path of an ELF program's dynamic linker. `read` gives bytes at an offset of the file, all of them or nothing.
pub(super) fn of_elf(read: impl Fn(u64, usize) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let head = read(0, HEADERS.end)?;
    // Of 64 bits, in the byte order of this machine: the kernel runs no other through this.
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    if head.get(..6)? != [0x7f, b'E', b'L', b'F', 2, order] {
        return None;
    }
    let table = u64::from_ne_bytes(head.get(32..40)?.try_into().ok()?);
    let length = u16::from_ne_bytes(head.get(54..56)?.try_into().ok()?);
    let count = u16::from_ne_bytes(head.get(56..58)?.try_into().ok()?);
    if length != 56 {
        return None;
    }
    let headers = read(table, usize::from(length) * usize::from(count))?;
    let header = headers.chunks_exact(56).find(|header| header[..4] == INTERPRETER.to_ne_bytes())?;
    let offset = u64::from_ne_bytes(header[8..16].try_into().ok()?);
    let size = u64::from_ne_bytes(header[32..40].try_into().ok()?);
    if size > LONGEST {
        return None;
    }
    let mut path = read(offset, size as usize)?;
    path.truncate(path.iter().position(|&byte| byte == 0)?);
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_of_scripts_are_found_as_the_kernel_does() {
        for (head, interpreter) in [
            (&b"#!/bin/sh\n"[..], Some(&b"/bin/sh"[..])),
            (b"#! \t/usr/bin/env python3 -u\nrest", Some(b"/usr/bin/env")),
            (b"#!/cvmfs/x/bin/python\r\n", Some(b"/cvmfs/x/bin/python\r")),
            (b"#!relative", Some(b"relative")),
            (b"#!", None),
            (b"#! \n/bin/sh", None),
            (b"\x7fELF", None),
            (b"", None),
        ] {
            assert_eq!(of_script(head), interpreter, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn this_test_has_a_dynamic_linker_unless_it_is_static() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let read = |offset: u64, length: usize| {
            program.get(offset as usize..).and_then(|rest| rest.get(..length)).map(<[u8]>::to_vec)
        };
        let found = of_elf(read);
        if cfg!(target_env = "gnu") {
            assert!(found.is_some_and(|path| path.starts_with(b"/lib")));
        }
        assert_eq!(of_elf(|_, length| Some(vec![0xff; length])), None);
        assert_eq!(of_elf(|_, _| None), None);
    }
}
