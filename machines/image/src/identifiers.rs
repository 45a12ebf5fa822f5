//! What makes a converted disk another one each time: qemu-img puts random identifiers and the time into the headers of
//! some forms. Here they become a function of the contents, so that the same image makes the same bytes.

use sha2::{Digest as _, Sha256};

use crate::format::Format;

/// Where the two headers of a VHDX lie, and how large they are.
const VHDX_HEADERS: [usize; 2] = [64 << 10, 128 << 10];
const VHDX_HEADER: usize = 4096;

/// Where `qemu-img` puts the log of a VHDX, and how large it is.
const VHDX_LOG: std::ops::Range<usize> = (1 << 20)..(2 << 20);

/// Gives a disk made by `qemu-img` from `source` identifiers of its contents: none if it doesn't look as expected.
pub(crate) fn settle(format: Format, disk: Vec<u8>, source: &[u8]) -> Option<Vec<u8>> {
    let mut unique = [0; 32];
    unique.copy_from_slice(&Sha256::digest(source));
    match format {
        Format::Vmdk | Format::Ova => vmdk(disk, &unique),
        Format::Vdi => vdi(disk, &unique),
        Format::Vhd => vhd(disk, &unique),
        Format::Vhdx => vhdx(disk, &unique),
        Format::Qcow2 | Format::Iso | Format::Raw | Format::Efi | Format::Kernel => Some(disk),
    }
}

/// A VMDK's description has `CID=` and eight digits.
fn vmdk(mut disk: Vec<u8>, unique: &[u8; 32]) -> Option<Vec<u8>> {
    const MARK: &[u8] = b"\nCID=";
    let description = disk.get(..64 << 10).unwrap_or(&disk);
    let at = description.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    disk.get_mut(at..at + 8)?.copy_from_slice(hex::encode(&unique[..4]).as_bytes());
    Some(disk)
}

/// A VDI's header has two UUIDs: its own, and that of the last snapshot.
fn vdi(mut disk: Vec<u8>, unique: &[u8; 32]) -> Option<Vec<u8>> {
    const OWN: std::ops::Range<usize> = 392..424;
    if disk.get(64..68)? != 0xbeda_107f_u32.to_le_bytes() {
        return None;
    }
    disk.get_mut(OWN)?.copy_from_slice(unique);
    Some(disk)
}

/// A VHD's footer has a time, a UUID and a sum of all its bytes.
fn vhd(mut disk: Vec<u8>, unique: &[u8; 32]) -> Option<Vec<u8>> {
    let at = disk.len().checked_sub(512)?;
    let footer = disk.get_mut(at..)?;
    if !footer.starts_with(b"conectix") {
        return None;
    }
    footer[24..28].fill(0);
    footer[64..68].fill(0);
    footer[68..84].copy_from_slice(&unique[..16]);
    let sum = footer.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    Some(disk)
}

/// A VHDX's two headers have two GUIDs and a check sum. Its log is empty, and what is left in it goes.
fn vhdx(mut disk: Vec<u8>, unique: &[u8; 32]) -> Option<Vec<u8>> {
    for at in VHDX_HEADERS {
        let header = disk.get_mut(at..at + VHDX_HEADER)?;
        let no_log = header[48..64].iter().all(|byte| *byte == 0);
        if !header.starts_with(b"head") || !no_log {
            return None;
        }
        header[4..8].fill(0);
        header[16..48].copy_from_slice(unique);
        let sum = crc32c(header);
        header[4..8].copy_from_slice(&sum.to_le_bytes());
        let number = |at: usize| header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        let length = u64::from(u32::from_le_bytes(header[68..72].try_into().ok()?));
        let begin = u64::from_le_bytes(number(72)?);
        if begin != VHDX_LOG.start as u64 || length != VHDX_LOG.len() as u64 {
            return None;
        }
    }
    disk.get_mut(VHDX_LOG)?.fill(0);
    Some(disk)
}

/// The check sum of Castagnoli's polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn identifiers_are_those_of_the_contents() {
        let vmdk = b"# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n".to_vec();
        let settled = settle(Format::Vmdk, vmdk.clone(), b"a").expect("settled");
        assert_ne!(settled, vmdk);
        assert_eq!(settle(Format::Vmdk, settled.clone(), b"a"), Some(settled.clone()));
        assert_ne!(settle(Format::Vmdk, settled.clone(), b"b"), Some(settled));

        let mut vhd = b"conectix".to_vec();
        vhd.resize(512, 3);
        let settled = settle(Format::Vhd, vhd, b"a").expect("settled");
        let (sum, rest) = (&settled[64..68], [&settled[..64], &settled[68..]].concat());
        let expected: u32 = rest.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(sum, (!expected).to_be_bytes());
    }

    #[test]
    fn what_is_not_known_is_not_touched() {
        for format in [Format::Vmdk, Format::Vdi, Format::Vhd, Format::Vhdx] {
            assert_eq!(settle(format, b"something else".to_vec(), b"a"), None);
            assert_eq!(settle(format, vec![0; 3 << 20], b"a"), None);
        }
    }
}
