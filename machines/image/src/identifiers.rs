//! What makes a converted disk another one each time: qemu-img puts random identifiers and the time into the headers of
//! some forms. Here they become a function of the contents, so that the same image makes the same bytes.

use sha2::{Digest as _, Sha256};

use crate::format::Format;

/// Where the two headers of a VHDX lie, and how large they are.
const VHDX_HEADERS: [usize; 2] = [64 << 10, 128 << 10];
const VHDX_HEADER: usize = 4096;

/// Where `qemu-img` puts the log of a VHDX, and how large it is.
const VHDX_LOG: std::ops::Range<usize> = (1 << 20)..(2 << 20);

/// The name of the identifier among a VHDX's metadata: BECA12AB-B2E6-4523-93EF-C309E000C746, as it is stored.
const VHDX_PAGE_83: [u8; 16] =
    [0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46];

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

/// A VMDK's description, a text in sectors of its own, has a line `CID=` with up to eight digits.
fn vmdk(mut disk: Vec<u8>, unique: &[u8; 32]) -> Option<Vec<u8>> {
    const MARK: &str = "\nCID=";
    let number = |at: usize| usize::try_from(u64::from_le_bytes(disk.get(at..at + 8)?.try_into().ok()?)).ok();
    if !disk.starts_with(b"KDMV") {
        return None;
    }
    let (begin, size) = (number(28)?.checked_mul(512)?, number(36)?.checked_mul(512)?);
    let description = disk.get_mut(begin..begin.checked_add(size)?)?;
    let end = description.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&description[..end]).ok()?;
    let (before, after) = text.split_once(MARK)?;
    let (_, after) = after.split_once('\n')?;
    let text = format!("{before}{MARK}{}\n{after}", hex::encode(&unique[..4])).into_bytes();
    description.fill(0);
    description.get_mut(..text.len())?.copy_from_slice(&text);
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

/// A VHDX's two headers have a counter that begins anywhere, two GUIDs and a check sum. Its log is empty, and what is left
/// in it goes. One of its metadata is a GUID.
fn vhdx(mut disk: Vec<u8>, unique: &[u8; 32]) -> Option<Vec<u8>> {
    let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
    let [first, second] = VHDX_HEADERS.map(|at| disk.get(at + 8..at + 16).and_then(number));
    let (first, second) = if first? < second? { (1_u64, 2_u64) } else { (2, 1) };
    for (at, counter) in VHDX_HEADERS.into_iter().zip([first, second]) {
        let header = disk.get_mut(at..at + VHDX_HEADER)?;
        let no_log = header[48..64].iter().all(|byte| *byte == 0);
        let length = u64::from(u32::from_le_bytes(header[68..72].try_into().ok()?));
        let begin = number(&header[72..80])?;
        if !header.starts_with(b"head") || !no_log {
            return None;
        }
        if begin != VHDX_LOG.start as u64 || length != VHDX_LOG.len() as u64 {
            return None;
        }
        header[4..8].fill(0);
        header[8..16].copy_from_slice(&counter.to_le_bytes());
        header[16..48].copy_from_slice(unique);
        let sum = crc32c(header);
        header[4..8].copy_from_slice(&sum.to_le_bytes());
    }
    disk.get_mut(VHDX_LOG)?.fill(0);
    // The regions lie at whole MiB; the one with metadata begins with that word, and then has entries of 32 bytes.
    let region = (1..disk.len() >> 20).map(|at| at << 20).find(|at| disk[*at..].starts_with(b"metadata"))?;
    let table = disk.get(region..region + (64 << 10))?;
    let entry = table.chunks_exact(32).find(|entry| entry.starts_with(&VHDX_PAGE_83))?;
    let item = region + usize::try_from(u32::from_le_bytes(entry[16..20].try_into().ok()?)).ok()?;
    disk.get_mut(item..item + 16)?.copy_from_slice(&unique[..16]);
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
        let mut vmdk = b"KDMV".to_vec();
        vmdk.resize(1536, 0);
        (vmdk[28], vmdk[36]) = (1, 1);
        let text = b"# Disk DescriptorFile\nversion=1\nCID=1234567\nparentCID=ffffffff\n";
        vmdk[512..512 + text.len()].copy_from_slice(text);
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
