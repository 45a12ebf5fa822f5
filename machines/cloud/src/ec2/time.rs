//! Times as EC2 writes them. A time inside of this crate is a number of milliseconds since 1970 UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// `2026-11-22T02:00:00.000Z`
pub(crate) fn iso(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    format!("{time:.3}")
}

/// `20261122T020000Z`, as signatures have it.
pub(crate) fn compact(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default().to_zoned(TimeZone::UTC).datetime();
    let (date, time) = (time.date(), time.time());
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The other way round, in seconds.
pub(crate) fn parse_compact(text: &str) -> Option<i64> {
    let digits = text.len() == 16 && text.is_ascii() && text.as_bytes()[8] == b'T' && text.ends_with('Z');
    if !digits {
        return None;
    }
    let part = |from: usize, to: usize| {
        let part = &text[from..to];
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i16>().ok()).flatten()
    };
    let small = |from, to| part(from, to).and_then(|number| i8::try_from(number).ok());
    let time = DateTime::new(
        part(0, 4)?,
        small(4, 6)?,
        small(6, 8)?,
        small(9, 11)?,
        small(11, 13)?,
        small(13, 15)?,
        0,
    );
    Some(time.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        assert_eq!(iso(1_440_938_160_000), "2015-08-30T12:36:00.000Z");
        assert_eq!(compact(1_440_938_160), "20150830T123600Z");
        assert_eq!(parse_compact("20150830T123600Z"), Some(1_440_938_160));
        for text in ["", "20150830T123600", "20151330T123600Z", "+0150830T123600Z", "2015-08-30T12:36Z"] {
            assert_eq!(parse_compact(text), None, "{text}");
        }
    }
}
