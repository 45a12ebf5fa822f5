//! The release file of a suite: which index files it has, their sizes and digests, and when it was made. Its signature is
//! checked before it comes here.

use std::collections::HashMap;
use std::time::SystemTime;

use jiff::Timestamp;

use super::stanzas::fields;
use crate::digest::Sha256;
use crate::location::PackagePath;

/// A release file's content.
#[derive(Clone, Debug)]
pub struct Release {
    /// When it was made.
    pub date: Timestamp,
    /// When it should no longer be used, if it says so.
    pub valid_until: Option<Timestamp>,
    /// Who made it.
    pub label: String,
    /// Whether newer versions from here are taken only when they are asked for.
    pub not_automatic: bool,
    /// Whether index files can be fetched under their digest.
    pub by_hash: bool,
    /// Whether packages for all architectures stand in lists of their own.
    pub separate_all: bool,
    files: HashMap<PackagePath, IndexFile>,
}

/// What a release file says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexFile {
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

/// A text that is not a release file, or one that is too old.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// A field is missing or has a wrong value.
    #[error("the release file has no valid {field}: '{}'", text.escape_debug())]
    Field {
        /// Which one.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// Its time is over.
    #[error("the release file of {date} was valid until {valid_until}")]
    Expired {
        /// When it was made.
        date: Timestamp,
        /// Its end.
        valid_until: Timestamp,
    },
}

impl Release {
    /// Reads a release file's text.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut found = HashMap::new();
        for (name, value) in fields(text) {
            found.entry(name.to_ascii_lowercase()).or_insert(value);
        }
        let value = |name: &str| found.get(name).copied().unwrap_or_default();
        let is = |name: &str, word: &str| value(name).eq_ignore_ascii_case(word);
        let wrong = |field, text: &str| ReleaseError::Field { field, text: text.chars().take(100).collect() };
        let date = |field: &'static str, text: &str| parse_date(text).ok_or_else(|| wrong(field, text));
        let mut files = HashMap::new();
        for line in value("sha256").lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_ascii_whitespace();
            let file = (|| {
                let sha256 = words.next()?.parse().ok()?;
                let size = words.next()?.parse().ok()?;
                Some((words.next()?, IndexFile { size, sha256 }))
            })();
            let (path, file) =
                file.filter(|_| words.next().is_none()).ok_or_else(|| wrong("SHA256", line))?;
            // Names that would leave the mirror are of no index that anybody asks for.
            if let Ok(path) = path.parse() {
                files.insert(path, file);
            }
        }
        if files.is_empty() {
            return Err(wrong("SHA256", ""));
        }
        let all = value("architectures").split_ascii_whitespace().any(|word| word == "all");
        Ok(Self {
            date: date("Date", value("date"))?,
            valid_until: match value("valid-until") {
                "" => None,
                text => Some(date("Valid-Until", text)?),
            },
            label: value("label").to_owned(),
            not_automatic: is("notautomatic", "yes") && !is("butautomaticupgrades", "always"),
            by_hash: is("acquire-by-hash", "yes"),
            separate_all: all && !is("no-support-for-architecture-all", "Packages"),
            files,
        })
    }

    /// Refuses what should no longer be used.
    ///
    /// # Errors
    /// If it has expired.
    pub fn check_age(&self, now: SystemTime) -> Result<(), ReleaseError> {
        match self.valid_until {
            Some(valid_until) if Timestamp::try_from(now).is_ok_and(|now| now > valid_until) => {
                Err(ReleaseError::Expired { date: self.date, valid_until })
            }
            _ => Ok(()),
        }
    }

    /// What it says of a file.
    pub(crate) fn file(&self, path: &PackagePath) -> Option<IndexFile> {
        self.files.get(path).copied()
    }
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`, or with a numeric offset.
fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text
        .strip_suffix(" UTC")
        .or_else(|| text.strip_suffix(" GMT"))
        .map(|text| format!("{text} +0000"))?;
    let time = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S %z", &text).ok()?;
    time.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEXT: &str = "Origin: x\nSuite: stable\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
        Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nArchitectures: all amd64\nAcquire-By-Hash: yes\nMD5Sum:\n 00 1 x\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 12 main/binary-amd64/Packages.gz\n";

    #[test]
    fn a_release_file_is_read() {
        let release = Release::parse(TEXT).expect("because it is one");
        assert_eq!(release.date.to_string(), "2026-07-11T10:16:37Z");
        assert!(release.by_hash && release.separate_all && !release.not_automatic);
        let path = PackagePath::new("main/binary-amd64/Packages.gz").expect("because it is a path");
        assert_eq!(release.file(&path).map(|file| file.size), Some(12));
        let date = SystemTime::from(release.date);
        assert!(release.check_age(date + Duration::from_secs(86_400)).is_ok());
        assert!(release.check_age(date + Duration::from_secs(30 * 86_400)).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let told = |text: &str| Release::parse(text).expect_err("because it is none").to_string();
        assert_eq!(told(""), "the release file has no valid SHA256: ''");
        assert_eq!(
            told(&TEXT.replace("Date: S", "Date: X")),
            "the release file has no valid Date: 'Xat, 11 Jul 2026 10:16:37 UTC'"
        );
        assert!(
            told(&TEXT.replace(" 12 ", " x ")).starts_with("the release file has no valid SHA256: 'e3b0")
        );
    }
}
