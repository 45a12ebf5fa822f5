//! The fields of a tar header and the records of extended (pax) headers. Pure: bytes in, values out.
//!
//! Where the fields lie is known to the `tar` crate. Its reader is not used: it keeps extended headers of any size in
//! memory, splits their records at line ends, which values may contain, and expands only one of four kinds of sparse files.

use std::collections::BTreeMap;

use varve_repository::Mtime;

use super::error::ArchiveProblem;

/// Bytes of a header, and what contents are padded to.
pub(super) const BLOCK: usize = 512;

/// The records of extended headers, by their keyword.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Whether the checksum fits, in the standard's way or in that of those who summed signed bytes.
pub(super) fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let Some(stated) = number(&block[148..156]) else { return false };
    let bytes =
        || block.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { b' ' } else { byte });
    let unsigned: i64 = bytes().map(i64::from).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte as i8)).sum();
    stated == unsigned || stated == signed
}

/// A number in a header: octal digits, or binary with the highest bit set. Empty fields are 0.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // A two's complement number; its sign is the second highest bit.
        let start = if first & 0x40 != 0 { -1 } else { 0 };
        let first = i64::from(first & 0x7f) | (start << 7);
        return rest
            .iter()
            .try_fold(first, |value, &byte| value.checked_mul(256)?.checked_add(i64::from(byte)));
    }
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    field[..end].trim_ascii().iter().try_fold(0i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// A number in the header that is not negative.
pub(super) fn unsigned<T: TryFrom<i64>>(field: &[u8], name: &'static str) -> Result<T, ArchiveProblem> {
    let value = number(field).ok_or(ArchiveProblem::Number { field: name })?;
    T::try_from(value).map_err(|_| ArchiveProblem::Number { field: name })
}

/// A decimal number in an extended header.
pub(super) fn decimal<T: std::str::FromStr>(value: &[u8], name: &'static str) -> Result<T, ArchiveProblem> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim_ascii().parse().ok())
        .ok_or(ArchiveProblem::Number { field: name })
}

/// A time in an extended header: seconds with any number of decimals.
pub(super) fn time(value: &[u8]) -> Result<Mtime, ArchiveProblem> {
    let wrong = || ArchiveProblem::Number { field: "time" };
    let text = std::str::from_utf8(value).map_err(|_| wrong())?.trim_ascii();
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) {
        return Err(wrong());
    }
    let seconds: i64 = whole.parse().map_err(|_| wrong())?;
    let nanoseconds = decimals
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    let (seconds, nanoseconds) = match (negative, nanoseconds) {
        (false, nanoseconds) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, nanoseconds) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    };
    Ok(Mtime { seconds, nanoseconds: Some(nanoseconds) })
}

/// Adds the records of an extended header: `LENGTH KEYWORD=VALUE\n`, the length being that of the whole record. A record
/// without a value takes an earlier one away. Records that come more than once are the map of a sparse file in its oldest
/// form; they are joined with commas, which is its next form.
pub(super) fn records(mut bytes: &[u8], into: &mut Records) -> Result<(), ArchiveProblem> {
    let mut map = Vec::new();
    while !bytes.is_empty() {
        // Some pad with zeros.
        if bytes.iter().all(|&byte| byte == 0) {
            break;
        }
        let space = bytes.iter().take(20).position(|&byte| byte == b' ').ok_or(ArchiveProblem::Extended)?;
        let length: usize =
            decimal(&bytes[..space], "length of a record").map_err(|_| ArchiveProblem::Extended)?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(ArchiveProblem::Extended);
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(ArchiveProblem::Extended)?;
        let (keyword, value) = (&record[..equals], &record[equals + 1..]);
        if keyword == b"GNU.sparse.offset" || keyword == b"GNU.sparse.numbytes" {
            if !map.is_empty() {
                map.push(b',');
            }
            map.extend_from_slice(value);
        } else {
            into.insert(keyword.to_vec(), value.to_vec());
        }
        bytes = &bytes[length..];
    }
    if !map.is_empty() {
        into.insert(b"GNU.sparse.map".to_vec(), map);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"77777777"), Some(0o77_777_777));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"12x"), None);
        assert_eq!(number(b"8"), None);
        assert_eq!(number(&[0x80, 0, 1, 2]), Some(0x102));
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xfe]), Some(-2));
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert!(unsigned::<u64>(&[0xff; 8], "size").is_err());
    }

    #[test]
    fn times_have_decimals() {
        let time = |text: &str| time(text.as_bytes()).ok().map(|time| (time.seconds, time.nanoseconds));
        assert_eq!(time("1"), Some((1, Some(0))));
        assert_eq!(time("1.5"), Some((1, Some(500_000_000))));
        assert_eq!(time("1.0000000019"), Some((1, Some(1))));
        assert_eq!(time("-1.25"), Some((-2, Some(750_000_000))));
        assert_eq!(time("-1"), Some((-1, Some(0))));
        for wrong in ["", "-", ".5x", "1e3", "--1", "99999999999999999999"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn records_may_hold_anything() {
        let mut read = Records::new();
        records(b"11 path=ab\n9 a=b\nc=\n14 path=later\n5 c=\n\0\0", &mut read).expect("well-formed");
        let pairs: Vec<_> = read.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        assert_eq!(pairs, [(&b"a"[..], &b"b\nc="[..]), (b"c", b""), (b"path", b"later")]);
        for wrong in
            [&b"5 a=b\n"[..], b"7 a=b\n", b"x", b"6 abc\n", b"0 a=b\n", b"99999999999999999999 a=b\n"]
        {
            assert!(records(wrong, &mut Records::new()).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
