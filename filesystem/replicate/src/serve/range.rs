//! The `Range` header: one range of bytes, or the whole file. Pure.

use std::ops::Range;

/// What part of a file a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: no range, one that can't be read, several, or a unit that isn't bytes.
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// No byte of the file is in the range.
    Unsatisfiable,
}

impl Part {
    /// What `value` means for a file of `size` bytes (RFC 9110, section 14).
    pub(crate) fn parse(value: &str, size: u64) -> Self {
        let Some((unit, range)) = value.split_once('=') else { return Self::Whole };
        let Some((first, last)) = range.trim().split_once('-') else { return Self::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let range = match (first, number(first), last, number(last)) {
            (_, Some(first), "", _) => first..size,
            (_, Some(first), _, Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            ("", _, _, Some(length)) => size.saturating_sub(length)..size,
            _ => return Self::Whole,
        };
        if range.is_empty() { Self::Unsatisfiable } else { Self::Bytes(range) }
    }
}

/// Digits only; what doesn't fit is more than any file has.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_hundred_bytes() {
        for (value, part) in [
            ("bytes=0-9", Part::Bytes(0..10)),
            ("Bytes=5-", Part::Bytes(5..100)),
            ("bytes=5-", Part::Bytes(5..100)),
            ("bytes=99-99", Part::Bytes(99..100)),
            ("bytes=90-1000", Part::Bytes(90..100)),
            ("bytes=-7", Part::Bytes(93..100)),
            ("bytes=-1000", Part::Bytes(0..100)),
            ("bytes=0-18446744073709551615", Part::Bytes(0..100)),
            ("bytes=0-99999999999999999999999", Part::Bytes(0..100)),
            ("bytes=100-", Part::Unsatisfiable),
            ("bytes=100-200", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=9-5", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-5", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("0-1", Part::Whole),
        ] {
            assert_eq!(Part::parse(value, 100), part, "{value}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        for value in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            assert_eq!(Part::parse(value, 0), Part::Unsatisfiable, "{value}");
        }
    }
}
