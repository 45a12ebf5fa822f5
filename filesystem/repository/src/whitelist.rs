//! The whitelist `.cvmfswhitelist`: which certificates may sign a repository's manifests, and until when.
//!
//! Reading the text and checking who signed it are apart: bytes become a [`SignedWhitelist`] here, and only
//! [`crate::Trust::verify_whitelist`] makes a [`Whitelist`] of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use varve_content::ContentHash;

use crate::signature::{Letter, LetterError, text_of};
use crate::{Certificate, RepositoryName};

/// The most certificates that one whitelist may name.
const MOST_CERTIFICATES: usize = 10_000;

/// What a whitelist says, whoever says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WhitelistFields {
    /// The hour before which it is valid, in hours since 1970.
    expiry_hour: i64,
    /// As written: the name is compared, not used.
    repository: String,
    verification: WhitelistVerification,
    ca_chain: bool,
    certificates: Vec<ContentHash>,
}

/// How a whitelist says that it is to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhitelistVerification {
    /// By the signature in the file, made with a master key.
    MasterKey,
    /// By the file `.cvmfswhitelist.pkcs7` beside it, which a certificate authority stands behind.
    Pkcs7,
}

impl WhitelistFields {
    /// The text that is hashed and signed.
    pub(crate) fn text(
        repository: &RepositoryName,
        issued: SystemTime,
        expires: SystemTime,
        certificates: &[ContentHash],
    ) -> Option<String> {
        let mut text = format!("{}\nE{}\nN{repository}\n", stamp(issued)?, stamp(expires)?);
        for certificate in certificates {
            text.push_str(&certificate.fingerprint());
            text.push('\n');
        }
        Some(text)
    }

    /// Reads the lines of a whitelist. Lines where fingerprints stand that are none are passed over.
    pub(crate) fn parse(text: &str) -> Result<Self, WhitelistError> {
        let mut lines = text.split_terminator('\n').peekable();
        let issued = lines.next().unwrap_or_default();
        if issued.len() != 14 || !issued.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(WhitelistError::Issued { line: shorten(issued) });
        }
        let expiry = lines.next().unwrap_or_default();
        let expiry_hour = expiry
            .strip_prefix('E')
            .and_then(hour)
            .ok_or_else(|| WhitelistError::Expiry { line: shorten(expiry) })?;
        let name = lines.next().unwrap_or_default();
        let repository =
            name.strip_prefix('N').ok_or_else(|| WhitelistError::Name { line: shorten(name) })?.to_owned();
        let verification = match lines.next_if_eq(&"Vpkcs7") {
            Some(_) => WhitelistVerification::Pkcs7,
            None => WhitelistVerification::MasterKey,
        };
        let ca_chain = lines.next_if_eq(&"Wcachain").is_some();
        let certificates: Vec<_> = lines
            .filter_map(|line| ContentHash::from_fingerprint(line).ok())
            .take(MOST_CERTIFICATES)
            .collect();
        if certificates.is_empty() {
            return Err(WhitelistError::NoCertificates);
        }
        Ok(Self { expiry_hour, repository, verification, ca_chain, certificates })
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }
}

/// A whitelist as it came: its form is right, its signature has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedWhitelist {
    fields: WhitelistFields,
    /// Present where a master key is to verify it.
    letter: Option<Letter>,
}

impl SignedWhitelist {
    /// Reads the bytes of `.cvmfswhitelist`.
    ///
    /// # Errors
    /// [`WhitelistError`] if they are no whitelist, or not the one whose hash is printed in it.
    pub fn parse(bytes: &[u8]) -> Result<Self, WhitelistError> {
        if let Ok(text) = text_of(bytes)
            && let Ok(fields) = WhitelistFields::parse(text)
            && fields.verification == WhitelistVerification::Pkcs7
        {
            return Ok(Self { fields, letter: None });
        }
        let letter = Letter::parse(bytes)?;
        let fields = WhitelistFields::parse(letter.text())?;
        Ok(Self { fields, letter: Some(letter) })
    }

    /// How it has to be verified: with PKCS #7 a second file is needed.
    pub fn verification(&self) -> WhitelistVerification {
        self.fields.verification
    }

    pub(crate) fn fields(&self) -> &WhitelistFields {
        &self.fields
    }

    pub(crate) fn letter(&self) -> Option<&Letter> {
        self.letter.as_ref()
    }
}

/// A whitelist that a master key or a certificate authority stands behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whitelist(WhitelistFields);

impl Whitelist {
    /// The caller has verified the signature.
    pub(crate) fn new_verified(fields: WhitelistFields) -> Self {
        Self(fields)
    }

    /// When it ends: the beginning of an hour, since that is how finely it is compared.
    pub fn expires(&self) -> SystemTime {
        let seconds = u64::try_from(self.0.expiry_hour).unwrap_or(0).saturating_mul(3600);
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
    }

    /// The same for people: `2026-11-21 00:00 UTC`.
    pub fn expiry_text(&self) -> String {
        Timestamp::from_second(self.0.expiry_hour.saturating_mul(3600)).map_or_else(
            |_| format!("hour {}", self.0.expiry_hour),
            |time| time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string(),
        )
    }

    /// Whether it has ended: the hour of its expiry counts as over.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        seconds(now).div_euclid(3600) >= self.0.expiry_hour
    }

    /// Whether it names this certificate.
    pub fn names(&self, certificate: &Certificate) -> bool {
        self.0.certificates.iter().any(|listed| certificate.fingerprint(listed.algorithm()) == *listed)
    }

    /// The fingerprints of the certificates that it names.
    pub fn certificates(&self) -> &[ContentHash] {
        &self.0.certificates
    }

    /// Whether it demands that a certificate authority stands behind the manifest's certificate too.
    pub fn demands_ca_chain(&self) -> bool {
        self.0.ca_chain
    }
}

/// Why bytes are no whitelist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhitelistError {
    /// Not a signed file at all, or damaged.
    #[error("whitelist is no signed file")]
    Letter(#[from] LetterError),
    /// The first line is no time.
    #[error("whitelist begins with '{line}' instead of the time it was made")]
    Issued {
        /// The line, shortened.
        line: String,
    },
    /// The second line is no expiry.
    #[error("second line of the whitelist is '{line}' instead of its expiry")]
    Expiry {
        /// The line, shortened.
        line: String,
    },
    /// The third line is no name.
    #[error("third line of the whitelist is '{line}' instead of the repository's name")]
    Name {
        /// The line, shortened.
        line: String,
    },
    /// It names nobody.
    #[error("whitelist names no certificate")]
    NoCertificates,
}

/// Seconds since 1970, also before.
fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds - 1),
    }
}

/// `YYYYMMDDHHMMSS` of a time, UTC.
fn stamp(time: SystemTime) -> Option<String> {
    let time = Timestamp::from_second(seconds(time)).ok()?.to_zoned(TimeZone::UTC);
    (time.year() >= 0).then(|| time.strftime("%Y%m%d%H%M%S").to_string())
}

/// The hour since 1970 of `YYYYMMDDHHMMSS`, UTC; minutes and seconds only need to be digits.
fn hour(stamp: &str) -> Option<i64> {
    if stamp.len() != 14 || !stamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| stamp[range].parse::<i16>().ok();
    let small = |range| part(range).and_then(|number| i8::try_from(number).ok());
    let time = DateTime::new(part(0..4)?, small(4..6)?, small(6..8)?, small(8..10)?, 0, 0, 0).ok()?;
    Some(time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_hours())
}

/// At most 60 characters of a foreign text, for messages.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use varve_content::Algorithm;

    use super::*;

    fn fields(expiry: &str) -> WhitelistFields {
        let hash = Algorithm::Shake128.hash(b"a certificate").fingerprint();
        WhitelistFields::parse(&format!("20200101000000\nE{expiry}\nNa.example\n{hash} # comment\nother\n"))
            .expect("a whole whitelist")
    }

    fn at(stamp: &str) -> SystemTime {
        let time: DateTime = stamp.parse().expect("a time");
        let second = time.to_zoned(TimeZone::UTC).expect("in range").timestamp().as_second();
        UNIX_EPOCH + Duration::from_secs(second as u64)
    }

    #[test]
    fn expiry_is_compared_by_the_hour() {
        let whitelist = Whitelist::new_verified(fields("20300228134501"));
        assert!(!whitelist.has_expired(at("2030-02-28T12:59:59")));
        assert!(whitelist.has_expired(at("2030-02-28T13:00:00")));
        assert_eq!(whitelist.expires(), at("2030-02-28T13:00:00"));
        assert_eq!(whitelist.expiry_text(), "2030-02-28 13:00 UTC");
        assert_eq!(whitelist.certificates(), [Algorithm::Shake128.hash(b"a certificate")]);
        assert!(!Whitelist::new_verified(fields("99991231230000")).has_expired(at("2400-01-01T00:00:00")));
    }

    #[test]
    fn each_bad_line_has_its_name() {
        let hash = Algorithm::Sha1.hash(b"").fingerprint();
        let parse = |text: String| WhitelistFields::parse(&text).expect_err("a bad line");
        assert!(matches!(parse(String::new()), WhitelistError::Issued { .. }));
        assert!(matches!(parse("2020010100000é\n".to_owned()), WhitelistError::Issued { .. }));
        for expiry in ["20300101000000", "E2030010100000", "E20301301000000", "E20300132000000", "Eéééééééé"]
        {
            let text = format!("20200101000000\n{expiry}\nNa.example\n{hash}\n");
            assert!(matches!(parse(text), WhitelistError::Expiry { .. }), "{expiry}");
        }
        let name = format!("20200101000000\nE20300101000000\na.example\n{hash}\n");
        assert!(matches!(parse(name), WhitelistError::Name { .. }));
        let nobody = "20200101000000\nE20300101000000\nNa.example\nnobody\n".to_owned();
        assert_eq!(parse(nobody), WhitelistError::NoCertificates);
    }

    #[test]
    fn flags_are_read() {
        let hash = Algorithm::Sha1.hash(b"").fingerprint();
        let text = format!("20200101000000\nE20300101000000\nNa.example\nVpkcs7\nWcachain\n{hash}\n");
        let whitelist = SignedWhitelist::parse(text.as_bytes()).expect("no signature is needed");
        assert_eq!(whitelist.verification(), WhitelistVerification::Pkcs7);
        assert!(whitelist.fields().ca_chain && whitelist.letter().is_none());
    }
}
