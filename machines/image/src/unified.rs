//! The unified kernel image: systemd's stub with kernel, initramfs and command line as further sections of one UEFI
//! program (the UAPI group's specification "Unified Kernel Image"), appended to the PE file without other changes.

use crate::engine::{EngineError, file_of};

const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// Contents, to be read, not run: `IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ`.
const READ_ONLY_DATA: u32 = 0x4000_0040;

/// The size of a section's header.
const HEADER: usize = 40;

/// Makes one. `release` is the kernel's, `title` what a boot menu shows.
///
/// # Errors
/// [`EngineError`] if the stub is missing or has a form that is not known.
pub(crate) fn unified(
    kernel: &[u8],
    initramfs: &[u8],
    command_line: &str,
    release: &str,
    title: &str,
) -> Result<Vec<u8>, EngineError> {
    let stub = file_of(STUB, "systemd-boot-efi")?;
    let system = format!("ID=varve\nNAME=Varve\nPRETTY_NAME=\"{title}\"\nVERSION_ID={release}\n");
    let sections: [(&[u8; 8], &[u8]); 5] = [
        (b".osrel\0\0", system.as_bytes()),
        (b".cmdline", command_line.as_bytes()),
        (b".uname\0\0", release.as_bytes()),
        (b".linux\0\0", kernel),
        (b".initrd\0", initramfs),
    ];
    append(stub, &sections).ok_or_else(|| EngineError::Failed {
        program: "systemd-boot",
        said: format!("{STUB} has a form that Varve does not know"),
    })
}

/// Adds sections behind the last one, in the file and in memory.
fn append(mut image: Vec<u8>, sections: &[(&[u8; 8], &[u8])]) -> Option<Vec<u8>> {
    let header = usize::try_from(read32(&image, 0x3c)?).ok()?;
    if image.get(header..header + 4)? != b"PE\0\0" || read16(&image, header + 24)? != 0x20b {
        return None;
    }
    let count = usize::from(read16(&image, header + 6)?);
    let optional = header + 24;
    let section_alignment = read32(&image, optional + 32)?;
    let file_alignment = usize::try_from(read32(&image, optional + 36)?).ok()?;
    if !section_alignment.is_power_of_two() || !file_alignment.is_power_of_two() {
        return None;
    }
    let headers_end = usize::try_from(read32(&image, optional + 60)?).ok()?;
    let table = optional + usize::from(read16(&image, header + 20)?);
    if table + (count + sections.len()) * HEADER > headers_end.min(image.len()) {
        return None;
    }
    let mut memory_end = 0;
    for section in 0..count {
        let at = table + section * HEADER;
        memory_end = memory_end.max(read32(&image, at + 12)?.checked_add(read32(&image, at + 8)?)?);
    }
    for (index, (name, contents)) in sections.iter().enumerate() {
        memory_end = memory_end.checked_next_multiple_of(section_alignment)?;
        image.resize(image.len().next_multiple_of(file_alignment), 0);
        let (begin, size) = (u32::try_from(image.len()).ok()?, u32::try_from(contents.len()).ok()?);
        image.extend_from_slice(contents);
        image.resize(image.len().next_multiple_of(file_alignment), 0);
        let stored = u32::try_from(image.len()).ok()? - begin;
        let at = table + (count + index) * HEADER;
        image[at..at + 8].copy_from_slice(*name);
        for (offset, number) in [
            (8, size),
            (12, memory_end),
            (16, stored),
            (20, begin),
            (24, 0),
            (28, 0),
            (32, 0),
            (36, READ_ONLY_DATA),
        ] {
            image[at + offset..at + offset + 4].copy_from_slice(&number.to_le_bytes());
        }
        memory_end = memory_end.checked_add(size)?;
    }
    let count = u16::try_from(count + sections.len()).ok()?;
    image[header + 6..header + 8].copy_from_slice(&count.to_le_bytes());
    let size = memory_end.checked_next_multiple_of(section_alignment)?;
    image[optional + 56..optional + 60].copy_from_slice(&size.to_le_bytes());
    // The check sum is optional for programs, and what a signature would replace.
    image[optional + 64..optional + 68].fill(0);
    Some(image)
}

fn read16(image: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?))
}

fn read32(image: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE file with one section and room for `room` headers.
    fn program(room: usize) -> Vec<u8> {
        let mut image = vec![0; 0x200];
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x46] = 1;
        image[0x54] = 0x70;
        let optional = 0x58;
        image[optional..optional + 2].copy_from_slice(&[0x0b, 0x02]);
        for (at, number) in [(32, 0x1000_u32), (36, 0x200), (56, 0x2000)] {
            image[optional + at..optional + at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let table = optional + 0x70;
        let headers = u32::try_from(table + room * HEADER).expect("small");
        image[optional + 60..optional + 64].copy_from_slice(&headers.to_le_bytes());
        for (at, number) in [(8, 0x123_u32), (12, 0x1000), (16, 0x200), (20, 0x200)] {
            image[table + at..table + at + 4].copy_from_slice(&number.to_le_bytes());
        }
        image.resize(0x400, 1);
        image
    }

    #[test]
    fn sections_follow_the_last_one() {
        let image =
            append(program(3), &[(b".linux\0\0", b"kernel"), (b".initrd\0", b"files")]).expect("room");
        assert_eq!((image.len(), image[0x46]), (0x800, 3));
        assert_eq!(&image[0x400..0x406], b"kernel");
        assert_eq!(&image[0x600..0x605], b"files");
        let second = 0x58 + 0x70 + 2 * HEADER;
        assert_eq!(&image[second..second + 8], b".initrd\0");
        assert_eq!(read32(&image, second + 12), Some(0x3000));
        assert_eq!(read32(&image, 0x58 + 56), Some(0x4000));
    }

    #[test]
    fn a_stub_without_room_or_of_another_kind_is_refused() {
        assert!(append(program(1), &[(b".linux\0\0", b"kernel")]).is_none());
        assert!(append(b"MZ".to_vec(), &[]).is_none());
        assert!(append(vec![0xff; 0x100], &[]).is_none());
    }
}
