//! Which revision of a repository is meant: what people write behind `@`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use varve_content::ContentHash;

/// One revision of a repository, by one of its names.
///
/// Read from text: nothing is the latest; 40 hexadecimal digits (with the algorithm's suffix) are a root catalog;
/// `2026-11-21`, `2026-11-21T00:36:09` and `2026-11-21T00:36:09Z` or with an offset are times; everything else is a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reference {
    /// What the manifest names; it moves on as revisions are published.
    #[default]
    Latest,
    /// What a tag names. Whether there is such a tag is found out later.
    Tag(String),
    /// The root catalog itself. It names its content by hash, so no manifest has to vouch for it.
    Hash(ContentHash),
    /// What was the newest at a time, as far as tags tell.
    Date {
        /// Seconds since 1970. Of a day without a time, the last second, UTC.
        seconds: u64,
        /// The text as written: a tag of exactly this name goes before.
        text: String,
    },
}

impl FromStr for Reference {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if text.is_empty() {
            return Ok(Self::Latest);
        }
        if let Ok(hash) = text.parse() {
            return Ok(Self::Hash(hash));
        }
        Ok(match seconds(text) {
            Some(seconds) => Self::Date { seconds, text: text.to_owned() },
            None => Self::Tag(text.to_owned()),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => Ok(()),
            Self::Hash(hash) => hash.fmt(f),
            Self::Tag(text) | Self::Date { text, .. } => f.write_str(text),
        }
    }
}

/// The time that a text names, if it begins with a whole date: `2026` and `20261121` are tags, not dates.
fn seconds(text: &str) -> Option<u64> {
    let shape = |at: usize, byte: u8| text.as_bytes().get(at) == Some(&byte);
    if !(shape(4, b'-') && shape(7, b'-')) {
        return None;
    }
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).map(|time: Zoned| time.timestamp());
    let time = if text.len() == "2026-11-21".len() {
        utc(text.parse::<Date>().ok()?.to_datetime(Time::constant(23, 59, 59, 0))).ok()?
    } else if !shape(10, b'T') {
        return None;
    } else {
        text.parse::<Timestamp>().or_else(|_| text.parse().and_then(utc)).ok()?
    };
    u64::try_from(time.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_name_is_told_from_the_others() {
        let read = |text: &str| -> Reference { text.parse().expect("because no text is refused") };
        let hash = "38cb3870b263c3327ff694d0ab371c62d9c1d8da";
        assert_eq!(read(""), Reference::Latest);
        assert_eq!(read(hash), Reference::Hash(hash.parse().expect("a hash")));
        assert!(matches!(read(&format!("{hash}-rmd160")), Reference::Hash(_)));
        for (text, expected) in [
            ("2026-11-21T00:36:09Z", 1_795_221_369),
            ("2026-11-21T00:36:09", 1_795_221_369),
            ("2026-11-21T02:36:09+02:00", 1_795_221_369),
            ("2026-11-20", 1_795_219_199),
        ] {
            assert_eq!(read(text), Reference::Date { seconds: expected, text: text.to_owned() });
            assert_eq!(read(text).to_string(), text);
        }
        for text in
            ["v1", "trunk", "2026", "20261121", "2026-11-31", "2026-11-21 x", "generic-2026-11-21T00:36:09Z"]
        {
            assert_eq!(read(text), Reference::Tag(text.to_owned()));
        }
    }
}
